import { ACTION_NATIVE, ruleWords } from '../../kernel/syscalls/filter.js';
import { actionWord, type ProfileAction } from '../../kernel/syscalls/seccomp-profile.js';
import { native } from '../../native.js';
import type { SeccompProfile } from '../../oci/seccomp.js';
import { kernelProfile } from '../../sandbox/process/seccomp-conditions.js';
import { syscallNumbers } from './syscall-numbers.js';

/** A container's seccomp profile as a program for seccomp(2); empty without one. Calls of no number that is known here get the profile's default. */
export function seccompFilter(seccomp: SeccompProfile | null): Uint8Array {
	if (seccomp === null) return new Uint8Array(0);
	const numbers = syscallNumbers();
	const { defaultAction, rules } = kernelProfile(seccomp);
	const words: number[] = [];
	// Rules for arguments come before the one for the rest.
	for (const hasConditions of [true, false])
		for (const { names, action, conditions } of rules) {
			if (conditions.length > 0 !== hasConditions) continue;
			for (const name of names) if (name in numbers) words.push(...ruleWords(numbers[name]!, wordOf(action), conditions));
		}
	const program = native.compileFilter(Uint32Array.from(words), wordOf(defaultAction));
	if (typeof program === 'number') throw new Error(`linux.seccomp: the profile does not fit into a filter (errno ${-program})`);
	return program;
}

function wordOf(action: ProfileAction): number {
	return action.kind === 'allow' ? ACTION_NATIVE : actionWord(action);
}
