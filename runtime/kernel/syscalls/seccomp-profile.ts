import { native } from '../../native.js';
import { EPERM } from '../abi/errno.js';
import { NR_PLAN } from '../abi/exec-plan.js';
import { ACTION_NATIVE, ACTION_TRAP, errnoAction, ruleWords } from './filter.js';
import type { Condition, Syscall } from './native-rules.js';

/** What a profile does with a call, as a filter's action. */
export type ProfileAction =
	| { readonly kind: 'allow' | 'killThread' | 'killProcess' | 'signal' }
	| { readonly kind: 'errno'; readonly errno: number };

export interface ProfileRule {
	readonly names: readonly string[];
	readonly action: ProfileAction;
	readonly conditions: readonly Condition[];
}

/** A container's own seccomp profile. */
export interface Profile {
	readonly defaultAction: ProfileAction;
	readonly rules: readonly ProfileRule[];
}

const ACTION_KILL_PROCESS = 3;
const ACTION_KILL_THREAD = 4;
const ACTION_SIGNAL = 5;
const CLOSE_RANGE_UNSHARE = 2;

/**
 * The guests' filter of a container with a seccomp profile: what the profile denies is denied by the host at once, and costs no trap; what it allows is
 * native or trapped as ever. Throws when the profile is too large for a filter.
 */
export function compileProfile(table: readonly Syscall[], profile: Profile): Uint8Array {
	const byName = new Map<string, ProfileRule[]>();
	for (const rule of profile.rules) {
		for (const name of rule.names) {
			const rules = byName.get(name) ?? [];
			// Rules for arguments come before the one for the rest.
			if (rule.conditions.length > 0) rules.unshift(rule);
			else rules.push(rule);
			byName.set(name, rules);
		}
	}
	const words: number[] = [];
	for (const call of table) {
		// The loader's question isn't the program's.
		if (call.number === NR_PLAN) continue;
		// Nor is the call by which a first process leaves the sandbox process's descriptors behind, nor its exec.
		if (call.name === 'close_range') words.push(...ruleWords(call.number, ACTION_TRAP, UNSHARE_ALL));
		for (const { action, conditions } of byName.get(call.name) ?? []) words.push(...callWords(call, action, conditions));
		words.push(...callWords(call, profile.defaultAction, []));
	}
	const program = native.compileFilter(Uint32Array.from(words), ACTION_TRAP);
	if (typeof program === 'number') throw new Error(`linux.seccomp: the profile does not fit into a filter (errno ${-program})`);
	return program;
}

const INT_BITS = 0xffff_ffff;
const UNSHARE_ALL: readonly Condition[] = [
	{ argument: 0, mask: INT_BITS, equal: 0 },
	{ argument: 2, mask: INT_BITS, equal: CLOSE_RANGE_UNSHARE },
];

/** What becomes of a call for which one rule of a profile holds. */
function callWords(call: Syscall, action: ProfileAction, conditions: readonly Condition[]): number[] {
	if (action.kind !== 'allow') return ruleWords(call.number, actionWord(action), conditions);
	if (call.isAnsweredByFilter) return ruleWords(call.number, errnoAction(call.errno ?? EPERM), conditions);
	const natives = call.lane === 'native' ? (call.rules ?? [[]]) : [];
	return [
		...natives.flatMap((own) => ruleWords(call.number, ACTION_NATIVE, [...conditions, ...own])),
		...ruleWords(call.number, ACTION_TRAP, conditions),
	];
}

/** What a filter does for an action of a profile but "allow". */
export function actionWord(action: Exclude<ProfileAction, { kind: 'allow' }>): number {
	switch (action.kind) {
		case 'errno':
			return errnoAction(action.errno);
		case 'killThread':
			return ACTION_KILL_THREAD;
		case 'killProcess':
			return ACTION_KILL_PROCESS;
		default:
			return ACTION_SIGNAL;
	}
}
