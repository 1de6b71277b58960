import { native } from '../../native.js';
import { ENOSYS } from '../abi/errno.js';
import type { Condition, Syscall } from './native-rules.js';

/** What a rule does: FilterAction of native/addon/filter.h. */
export const ACTION_NATIVE = 0;
export const ACTION_TRAP = 1;
const ACTION_ERRNO = 2;
/** The errno is in the action word's high half. */
const ERRNO_SHIFT = 0x10000;
const MASKED_EQUAL = 0;
const MASKED_NOT_EQUAL = 1;
const AT_LEAST = 2;
const BELOW = 3;
const INSTRUCTION_POINTER = 4;

const low = (value: number): number => (value % 0x1_0000_0000) >>> 0;
const high = (value: number): number => Math.floor(value / 0x1_0000_0000) >>> 0;

/** The words of one condition, as `native.compileFilter` reads them. */
function encode(condition: Condition): number[] {
	if ('instructionPointer' in condition)
		return [INSTRUCTION_POINTER, 0, 0, 0, low(condition.instructionPointer), high(condition.instructionPointer)];
	if ('atLeast' in condition) return [AT_LEAST, condition.argument, 0, 0, low(condition.atLeast), high(condition.atLeast)];
	if ('below' in condition) return [BELOW, condition.argument, 0, 0, low(condition.below), high(condition.below)];
	const { argument, mask } = condition;
	const isEqual = 'equal' in condition;
	const value = isEqual ? condition.equal : condition.notEqual;
	return [isEqual ? MASKED_EQUAL : MASKED_NOT_EQUAL, argument, low(mask), high(mask), low(value), high(value)];
}

/** The words of one rule: `action` where all `conditions` hold. */
export function ruleWords(number: number, action: number, conditions: readonly Condition[]): number[] {
	return [number, action, conditions.length, ...conditions.flatMap(encode)];
}

/** The words that let the host run a call where one of `rules` holds; without any, always. */
export function nativeRules(number: number, rules: readonly (readonly Condition[])[] = [[]]): number[] {
	return rules.flatMap((conditions) => ruleWords(number, ACTION_NATIVE, conditions));
}

/** The action that answers with an errno. */
export function errnoAction(errno: number): number {
	return ACTION_ERRNO + errno * ERRNO_SHIFT;
}

/** The words that answer a call with an errno. */
export function errnoRule(number: number, errno: number): number[] {
	return ruleWords(number, errnoAction(errno), []);
}

/** The native list of the table as the data that the addon compiles. Everything else traps. */
export function filterRules(table: readonly Syscall[]): Uint32Array {
	const words: number[] = [];
	for (const call of table) {
		if (call.isAnsweredByFilter) words.push(...errnoRule(call.number, call.errno ?? ENOSYS));
		if (call.lane === 'native') words.push(...nativeRules(call.number, call.rules));
	}
	return Uint32Array.from(words);
}

/** The guests' filter: BPF. Throws if the host's compiler refuses the table, which is a bug of the table. */
export function compileGuestFilter(table: readonly Syscall[]): Uint8Array {
	const program = native.compileFilter(filterRules(table), ACTION_TRAP);
	if (typeof program === 'number') throw new Error(`Compile the guests' filter: errno ${-program}`);
	return program;
}
