import { randomBytes } from 'node:crypto';
import { native } from '../../native.js';
import { EINVAL, ENOMEM, ENOSYS } from '../abi/errno.js';
import { NR_PLAN } from '../abi/exec-plan.js';

/** Bytes of a sock_filter: code, jumps, operand. */
export const INSTRUCTION_BYTES = 8;
/** BPF_MAXINSNS. */
export const MAX_INSTRUCTIONS = 4096;

export const SECCOMP_RET_KILL_THREAD = 0;
export const SECCOMP_RET_ERRNO = 0x0005_0000;
export const SECCOMP_RET_USER_NOTIF = 0x7fc0_0000;
export const SECCOMP_RET_TRACE = 0x7ff0_0000;
export const SECCOMP_RET_LOG = 0x7ffc_0000;
export const SECCOMP_RET_ALLOW = 0x7fff_0000;
const ACTION = 0xffff_0000;
const NO_CALL = SECCOMP_RET_ERRNO | ENOSYS;

/** Instructions: what they do, to what. */
const LOAD = 0x20;
const CLASS = 0x07;
const JUMP = 0x05;
const JUMP_EQUAL = 0x15;
const RETURN = 0x06;
const RETURN_ACCUMULATOR = 0x16;
const AND = 0x54;
const STORE = 0x02;
const LOAD_STORED = 0x60;

/** struct seccomp_data. */
const AT_NUMBER = 0;
const AT_FIFTH = 48;
const AT_SIXTH = 56;

const NR_MMAP = 9;
const NR_MUNMAP = 11;
const NR_RT_SIGSUSPEND = 130;

type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, operand: number];

/** What a program says of its own calls that the guest kernel or the host can't do as it says: nobody traces or listens, and the host's log is not the guest's. */
function mended(result: number): number {
	switch ((result & ACTION) >>> 0) {
		case SECCOMP_RET_LOG:
			return SECCOMP_RET_ALLOW;
		case SECCOMP_RET_TRACE:
		case SECCOMP_RET_USER_NOTIF:
			return NO_CALL;
		default:
			return result;
	}
}

/** The mark of calls that the guest kernel makes a thread run: as two words each, the fifth and the sixth argument. A page's multiple, as mmap's offset has to be. */
let mark: readonly number[] | null = null;

function callMark(): readonly number[] {
	if (mark !== null) return mark;
	const bytes = randomBytes(16);
	mark = [bytes.readUInt32LE(0), bytes.readUInt32LE(4), (bytes.readUInt32LE(8) & 0xffff_f000) >>> 0, bytes.readUInt32LE(12) & 0x7fff];
	native.setCallMark(mark[0]!, mark[1]!, mark[2]!, mark[3]!);
	return mark;
}

/** What stands before a program: calls that aren't the guest's own are not its business. The accumulator is zero behind it, as at the beginning. */
function prologue(): Instruction[] {
	const [fifthLow, fifthHigh, sixthLow, sixthHigh] = callMark();
	const toBody = 10;
	return [
		[LOAD, 0, 0, AT_NUMBER],
		[JUMP_EQUAL, toBody + 1, 0, NR_PLAN],
		[JUMP_EQUAL, 2, 0, NR_MMAP],
		[JUMP_EQUAL, 1, 0, NR_MUNMAP],
		[JUMP_EQUAL, 0, toBody - 1, NR_RT_SIGSUSPEND],
		[LOAD, 0, 0, AT_FIFTH],
		[JUMP_EQUAL, 0, toBody - 3, fifthLow!],
		[LOAD, 0, 0, AT_FIFTH + 4],
		[JUMP_EQUAL, 0, toBody - 5, fifthHigh!],
		[LOAD, 0, 0, AT_SIXTH],
		[JUMP_EQUAL, 0, toBody - 7, sixthLow!],
		[LOAD, 0, 0, AT_SIXTH + 4],
		[JUMP_EQUAL, 0, 1, sixthHigh!],
		[RETURN, 0, 0, SECCOMP_RET_ALLOW],
		[AND, 0, 0, 0],
	];
}

/** What stands behind a program: what it has computed is mended as what it says outright. */
const EPILOGUE: readonly Instruction[] = [
	[STORE, 0, 0, 0],
	[AND, 0, 0, ACTION],
	[JUMP_EQUAL, 4, 0, SECCOMP_RET_LOG],
	[JUMP_EQUAL, 4, 0, SECCOMP_RET_TRACE],
	[JUMP_EQUAL, 3, 0, SECCOMP_RET_USER_NOTIF],
	[LOAD_STORED, 0, 0, 0],
	[RETURN_ACCUMULATOR, 0, 0, 0],
	[RETURN, 0, 0, SECCOMP_RET_ALLOW],
	[RETURN, 0, 0, NO_CALL],
];

/**
 * A guest's seccomp program as it is given to the host. Whatever it is, it can only take away from what the sandbox's own filter lets through: of two
 * filters the sterner result counts, and that filter's traps go to no listener but the sandbox process. The host checks the rest of it. Errors: EINVAL (empty, a jump out of it, no return at its end), ENOMEM (too long with
 * what is added).
 */
export function guardedFilter(program: Uint8Array): Uint8Array | number {
	const count = program.length / INSTRUCTION_BYTES;
	if (count === 0 || count > MAX_INSTRUCTIONS) return -EINVAL;
	const before = prologue();
	const total = before.length + count + EPILOGUE.length;
	if (total > MAX_INSTRUCTIONS) return -ENOMEM;
	const out = new Uint8Array(total * INSTRUCTION_BYTES);
	const view = new DataView(out.buffer);
	for (const [index, instruction] of before.entries()) put(view, index, instruction);
	out.set(program, before.length * INSTRUCTION_BYTES);
	const end = before.length + count;
	for (let index = before.length; index < end; index++) {
		const at = index * INSTRUCTION_BYTES;
		const code = view.getUint16(at, true);
		if (!staysInside(view, at, code, end - index - 1)) return -EINVAL;
		if (code === RETURN) view.setUint32(at + 4, mended(view.getUint32(at + 4, true)), true);
		else if (code === RETURN_ACCUMULATOR) put(view, index, [JUMP, 0, 0, end - index - 1]);
	}
	for (const [index, instruction] of EPILOGUE.entries()) put(view, end + index, instruction);
	return out;
}

/** Does the program go on within itself, with `left` instructions behind this one? The host sees no end where something is added. */
function staysInside(view: DataView, at: number, code: number, left: number): boolean {
	if (left === 0) return code === RETURN || code === RETURN_ACCUMULATOR;
	if ((code & CLASS) !== JUMP) return true;
	if (code === JUMP) return view.getUint32(at + 4, true) < left;
	return view.getUint8(at + 2) < left && view.getUint8(at + 3) < left;
}

function put(view: DataView, index: number, [code, ifTrue, ifFalse, operand]: Instruction): void {
	const at = index * INSTRUCTION_BYTES;
	view.setUint16(at, code, true);
	view.setUint8(at + 2, ifTrue);
	view.setUint8(at + 3, ifFalse);
	view.setUint32(at + 4, operand, true);
}

const AT_ARCHITECTURE = 4;
const AUDIT_ARCH_X86_64 = 0xc000_003e;

/** What SECCOMP_SET_MODE_STRICT leaves: read, write, rt_sigreturn, exit. */
export function strictFilter(): Uint8Array {
	const instructions: Instruction[] = [
		[LOAD, 0, 0, AT_ARCHITECTURE],
		[JUMP_EQUAL, 0, 5, AUDIT_ARCH_X86_64],
		[LOAD, 0, 0, AT_NUMBER],
		...[0, 1, 15].map((number, index): Instruction => [JUMP_EQUAL, 4 - index, 0, number]),
		[JUMP_EQUAL, 1, 0, 60],
		[RETURN, 0, 0, SECCOMP_RET_KILL_THREAD],
		[RETURN, 0, 0, SECCOMP_RET_ALLOW],
	];
	const out = new Uint8Array(instructions.length * INSTRUCTION_BYTES);
	const view = new DataView(out.buffer);
	for (const [index, instruction] of instructions.entries()) put(view, index, instruction);
	return out;
}
