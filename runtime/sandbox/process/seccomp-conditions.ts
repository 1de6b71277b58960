import type { Condition } from '../../kernel/syscalls/native-rules.js';
import type { Profile } from '../../kernel/syscalls/seccomp-profile.js';
import type { SeccompArgument, SeccompProfile } from '../../oci/seccomp.js';

/** A profile of config.json as the guest kernel's filter takes it: comparisons of whole 64-bit arguments. */
export function kernelProfile({ defaultAction, rules }: SeccompProfile): Profile {
	return {
		defaultAction,
		rules: rules.flatMap(({ names, action, args }) => alternatives(args).map((conditions) => ({ names, action, conditions }))),
	};
}

/** What all comparisons together say, as alternatives of which each is a list of conditions that hold. */
function alternatives(args: readonly SeccompArgument[]): readonly (readonly Condition[])[] {
	let result: readonly (readonly Condition[])[] = [[]];
	for (const arg of args) result = result.flatMap((before) => comparison(arg).map((conditions) => [...before, ...conditions]));
	return result;
}

function comparison({ index: argument, value, valueTwo, operator }: SeccompArgument): readonly (readonly Condition[])[] {
	const below = (limit: number): Condition => ({ argument, below: limit });
	const atLeast = (limit: number): Condition => ({ argument, atLeast: limit });
	switch (operator) {
		case 'EQ':
			return [[atLeast(value), below(value + 1)]];
		case 'NE':
			return [[below(value)], [atLeast(value + 1)]];
		case 'LT':
			return [[below(value)]];
		case 'LE':
			return [[below(value + 1)]];
		case 'GE':
			return [[atLeast(value)]];
		case 'GT':
			return [[atLeast(value + 1)]];
		case 'MASKED_EQ':
			return [[{ argument, mask: value, equal: valueTwo }]];
	}
}
