import { GATE_IP } from '../abi/exec-plan.js';
import {
	MADV_DODUMP,
	MADV_DOFORK,
	MADV_DONTDUMP,
	MADV_DONTFORK,
	MADV_DONTNEED,
	MADV_FREE,
	MADV_HUGEPAGE,
	MADV_KEEPONFORK,
	MADV_NOHUGEPAGE,
	MADV_NORMAL,
	MADV_POPULATE_READ,
	MADV_POPULATE_WRITE,
	MADV_RANDOM,
	MADV_SEQUENTIAL,
	MADV_WILLNEED,
	MADV_WIPEONFORK,
	MAP_ANONYMOUS,
	MAP_FIXED,
	MAP_HUGETLB,
	MAP_PRIVATE,
} from '../abi/mman.js';
import type { Handler, RestartClass } from '../trap/dispatcher.js';

/** One test of a native rule. All tests of a rule must hold for the host to run the call. */
export type Condition =
	| { readonly argument: number; readonly mask: number; readonly equal: number }
	| { readonly argument: number; readonly mask: number; readonly notEqual: number }
	| { readonly argument: number; readonly atLeast: number }
	| { readonly argument: number; readonly below: number }
	| { readonly instructionPointer: number };

/** A row of the table. */
export interface Syscall {
	readonly number: number;
	/** Linux's name. */
	readonly name: string;
	/** native: the host runs it without a trap (where `rules` hold, if there are any); continued: trapped, checked, then run by the host. */
	readonly lane: 'native' | 'trapped' | 'continued';
	readonly support: 'full' | 'partial' | 'none';
	/** What is missing. */
	readonly note?: string;
	/** Why every value that the rules let through is harmless (invariant 1). */
	readonly native?: string;
	/** Alternatives; without any, all of the call is native. */
	readonly rules?: readonly (readonly Condition[])[];
	readonly handler?: Handler;
	/** What a call without a handler answers. */
	readonly errno?: number;
	/** The filter answers `errno` by itself: for calls that programs try all the time. */
	readonly isAnsweredByFilter?: boolean;
	readonly restart?: RestartClass;
}

const ALL_BITS = 0xffff_ffff_ffff;
const INT_BITS = 0xffff_ffff;

/** A rule per value of an `int` argument. */
export function oneOf(argument: number, values: readonly number[]): readonly (readonly Condition[])[] {
	return values.map((equal) => [{ argument, mask: INT_BITS, equal }]);
}

export const MMAP_RULES: readonly (readonly Condition[])[] = [
	[{ argument: 3, mask: MAP_ANONYMOUS | MAP_HUGETLB, equal: MAP_ANONYMOUS }],
	[{ instructionPointer: GATE_IP }, { argument: 3, mask: ALL_BITS, equal: MAP_PRIVATE | MAP_FIXED }],
];

/** No MADV_REMOVE (punches holes into lent files), MERGEABLE, COLD, PAGEOUT, HWPOISON. */
export const MADVICE = [
	MADV_NORMAL,
	MADV_RANDOM,
	MADV_SEQUENTIAL,
	MADV_WILLNEED,
	MADV_DONTNEED,
	MADV_FREE,
	MADV_DONTFORK,
	MADV_DOFORK,
	MADV_HUGEPAGE,
	MADV_NOHUGEPAGE,
	MADV_DONTDUMP,
	MADV_DODUMP,
	MADV_WIPEONFORK,
	MADV_KEEPONFORK,
	MADV_POPULATE_READ,
	MADV_POPULATE_WRITE,
];

/** Threads of glibc, musl, Go without and with CLONE_SETTLS. */
export const THREAD_FLAGS = [0x3d0f00, 0x7d0f00, 0x50f00, 0xd0f00];

/** Every signal but SIGCHLD: see sysRtSigaction. */
export const SIGACTION_RULES: readonly (readonly Condition[])[] = [[{ argument: 0, mask: INT_BITS, notEqual: 17 }]];

/** FUTEX_WAIT, WAKE, REQUEUE, CMP_REQUEUE, WAKE_OP, WAIT_BITSET, WAKE_BITSET, each with or without FUTEX_PRIVATE_FLAG and FUTEX_CLOCK_REALTIME. */
export const FUTEX_RULES: readonly (readonly Condition[])[] = [0, 1, 3, 4, 5, 9, 10].map((equal) => [
	{ argument: 1, mask: INT_BITS - 128 - 256, equal },
]);

/** Query, private expedited and its registration, with core serialization and rseq. */
export const MEMBARRIERS = [0, 8, 16, 32, 64, 128, 256];

/** ARCH_SET_GS, SET_FS, GET_FS, GET_GS. */
export const ARCH_PRCTL = [0x1001, 0x1002, 0x1003, 0x1004];

/** PR_SET_NAME, PR_GET_NAME, PR_GET_TIMERSLACK, PR_SET_VMA. */
export const PRCTL = [15, 16, 30, 0x53564d41];
