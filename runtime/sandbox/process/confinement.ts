import { HostError } from '../../host-error.js';
import { ENOSYS, EPERM } from '../../kernel/abi/errno.js';
import { errnoRule, nativeRules } from '../../kernel/syscalls/filter.js';
import { SYSCALLS } from '../../kernel/syscalls/table.js';
import { native } from '../../native.js';
import { OWN_SYSCALLS } from './own-syscalls.js';

/**
 * The last of the sandbox process's walls: its system-call allow-list, for all its threads at once. The launcher has made the others (namespaces, root, ids,
 * capabilities, no_new_privs). Throws HostError if the host refuses, before any guest could run.
 */
export function confineProcess(): void {
	const error = native.confine(ownRules(), EPERM);
	if (error < 0) throw HostError.errno("Install the sandbox process's system-call list", -error);
}

/** The list as `native.confine` reads it. */
export function ownRules(): Uint32Array {
	const numbers = new Map(SYSCALLS.map((call) => [call.name, call.number]));
	const number = (name: string): number => {
		const found = numbers.get(name);
		if (found === undefined) throw new Error(`${name} is no system call`);
		return found;
	};
	// ENOSYS makes the C library fall back to clone, whose flags a filter can see.
	const words = errnoRule(number('clone3'), ENOSYS);
	for (const call of OWN_SYSCALLS) words.push(...nativeRules(number(call.name), call.rules));
	return Uint32Array.from(words);
}
