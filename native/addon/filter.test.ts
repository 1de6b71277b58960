import t from 'tap';
import { addon, errnoAction, NATIVE, TRAPPED } from './test-guests.js';

const ARCH_X86_64 = 0xc000003e;
const ARCH_I386 = 0x40000003;
const RET_ALLOW = 0x7fff0000;
const RET_TRAP = 0x7fc00000;
const RET_ERRNO = 0x00050000;
const ENOSYS = RET_ERRNO + 38;

interface Call {
	readonly number: number;
	readonly arch: number;
	readonly instructionPointer: bigint;
	readonly args: readonly bigint[];
}

/** struct seccomp_data. */
function dataOf(call: Call): DataView {
	const data = new DataView(new ArrayBuffer(64));
	data.setUint32(0, call.number, true);
	data.setUint32(4, call.arch, true);
	data.setBigUint64(8, call.instructionPointer, true);
	for (const [index, value] of call.args.entries()) data.setBigUint64(16 + 8 * index, value, true);
	return data;
}

/** Runs the instructions of classic BPF that seccomp allows and the compiler uses. */
function run(program: Uint8Array, call: Call): number {
	const code = new DataView(program.buffer, program.byteOffset, program.byteLength);
	const data = dataOf(call);
	let accumulator = 0;
	for (let at = 0; at < program.length / 8; at++) {
		const operation = code.getUint16(8 * at, true);
		const ifTrue = code.getUint8(8 * at + 2);
		const ifFalse = code.getUint8(8 * at + 3);
		const k = code.getUint32(8 * at + 4, true);
		switch (operation) {
			case 0x20: // load a word
				accumulator = data.getUint32(k, true);
				break;
			case 0x54: // and
				accumulator = (accumulator & k) >>> 0;
				break;
			case 0x05: // jump
				at += k;
				break;
			case 0x15: // ==
				at += accumulator === k ? ifTrue : ifFalse;
				break;
			case 0x25: // >
				at += accumulator > k ? ifTrue : ifFalse;
				break;
			case 0x35: // >=
				at += accumulator >= k ? ifTrue : ifFalse;
				break;
			case 0x06: // return
				return k;
			default:
				throw new Error(`unknown instruction ${operation}`);
		}
	}
	throw new Error('the program ran off its end');
}

interface Condition {
	readonly kind: number;
	readonly argument: number;
	readonly mask: bigint;
	readonly value: bigint;
}

interface Rule {
	readonly number: number;
	readonly action: number;
	readonly conditions: readonly Condition[];
}

const low = (value: bigint): number => Number(value & 0xffffffffn);
const high = (value: bigint): number => Number(value >> 32n);

const wordsOf = (rules: readonly Rule[]): Uint32Array =>
	Uint32Array.from(
		rules.flatMap(({ number, action, conditions }) => [
			number,
			action,
			conditions.length,
			...conditions.flatMap(({ kind, argument, mask, value }) => [kind, argument, low(mask), high(mask), low(value), high(value)]),
		]),
	);

function holds({ kind, argument, mask, value }: Condition, call: Call): boolean {
	const arg = call.args[argument] ?? 0n;
	switch (kind) {
		case 0:
			return (arg & mask) === value;
		case 1:
			return (arg & mask) !== value;
		case 2:
			return arg >= value;
		case 3:
			return arg < value;
		default:
			return call.instructionPointer === value;
	}
}

const returnOf = (action: number): number => (action === NATIVE ? RET_ALLOW : action === TRAPPED ? RET_TRAP : RET_ERRNO + (action >>> 16));

/** What the rules mean, said the slow way. */
function expected(rules: readonly Rule[], defaultAction: number, call: Call): number {
	if (call.arch !== ARCH_X86_64 || call.number >= 0x40000000) return ENOSYS;
	const rule = rules.find(({ number, conditions }) => number === call.number && conditions.every((condition) => holds(condition, call)));
	return returnOf(rule?.action ?? defaultAction);
}

function compile(rules: readonly Rule[], defaultAction: number): Uint8Array {
	const program = addon.compileFilter(wordsOf(rules), defaultAction);
	if (typeof program === 'number') throw new Error(`compileFilter: ${program}`);
	return program;
}

const plainCall = (number: number): Call => ({ number, arch: ARCH_X86_64, instructionPointer: 0n, args: [0n, 0n, 0n, 0n, 0n, 0n] });

t.test('compileFilter() answers ENOSYS to i386 and x32 callers, whatever the rules', async (t) => {
	const program = compile([{ number: 5, action: NATIVE, conditions: [] }], NATIVE);
	t.equal(run(program, plainCall(5)), RET_ALLOW);
	t.equal(run(program, { ...plainCall(5), arch: ARCH_I386 }), ENOSYS);
	t.equal(run(program, plainCall(0x40000005)), ENOSYS);
	t.equal(run(program, plainCall(0xffffffff)), ENOSYS);
});

t.test('compileFilter() without rules is the default action', async (t) => {
	t.equal(run(compile([], TRAPPED), plainCall(0)), RET_TRAP);
	t.equal(run(compile([], errnoAction(1)), plainCall(400)), RET_ERRNO + 1);
});

t.test('compileFilter() decides as the rules do, over random rules and calls', async (t) => {
	let seed = 12345;
	const random = (limit: number): number => {
		seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
		return Math.floor(((seed >>> 8) / 2 ** 24) * limit);
	};
	// Few distinct values, on both sides of every boundary of the two halves, so that conditions hold about as often as not.
	const edges = [0n, 1n, 2n, 0x7fffffffn, 0x80000000n, 0xffffffffn, 0x100000000n, 0x100000001n, 0x8000000000000000n, 0xffffffffffffffffn];
	const masks = [0xffffffffffffffffn, 0xffffffffn, 0xffffffff00000000n, 1n, 3n, 0x100000001n];
	const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T;
	let wrong = 0;
	for (let round = 0; round < 300; round++) {
		const rules: Rule[] = Array.from({ length: random(60) }, () => ({
			number: random(40),
			action: pick([NATIVE, TRAPPED, errnoAction(1 + random(100))]),
			conditions: Array.from({ length: random(4) }, () => ({
				kind: random(5),
				argument: random(6),
				mask: pick(masks),
				value: pick(edges),
			})),
		}));
		const defaultAction = pick([NATIVE, TRAPPED, errnoAction(38)]);
		const program = compile(rules, defaultAction);
		for (let calls = 0; calls < 60; calls++) {
			const call: Call = {
				number: random(42),
				arch: ARCH_X86_64,
				instructionPointer: pick(edges),
				args: Array.from({ length: 6 }, () => pick(edges)),
			};
			if (run(program, call) !== expected(rules, defaultAction, call)) wrong++;
		}
	}
	t.equal(wrong, 0);
});

t.test('compileFilter() gives EINVAL for words that are no rules, and E2BIG', async (t) => {
	const compileWords = (words: number[], defaultAction = NATIVE): Uint8Array | number =>
		addon.compileFilter(Uint32Array.from(words), defaultAction);
	t.equal(compileWords([1, 0]), -22, 'a rule cut short');
	t.equal(compileWords([1, 0, 1, 0]), -22, 'a condition cut short');
	t.equal(compileWords([1, 0, 0xffffffff]), -22, 'more conditions than words');
	t.equal(compileWords([1, 9, 0]), -22, 'an unknown action');
	t.equal(compileWords([1, 0, 1, 9, 0, 0, 0, 0, 0]), -22, 'an unknown condition');
	t.equal(compileWords([1, 0, 1, 0, 6, 0, 0, 0, 0]), -22, 'a seventh argument');
	t.equal(compileWords([0x40000001, 0, 0]), -22, 'an x32 number');
	t.equal(compileWords([], 77), -22, 'an unknown default');
	t.equal(compileWords(Array.from({ length: 1500 }, (_, number) => [number, TRAPPED, 0]).flat()), -7);
	t.throws(() => addon.compileFilter(new Uint8Array(4) as unknown as Uint32Array, 0), TypeError);
});
