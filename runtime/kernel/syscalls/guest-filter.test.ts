import t from 'tap';
import { EINVAL, ENOMEM } from '../abi/errno.js';
import { guardedFilter, INSTRUCTION_BYTES, MAX_INSTRUCTIONS } from './guest-filter.js';

type Instruction = [code: number, ifTrue: number, ifFalse: number, operand: number];

function program(...instructions: Instruction[]): Uint8Array {
	const bytes = new Uint8Array(instructions.length * INSTRUCTION_BYTES);
	const view = new DataView(bytes.buffer);
	for (const [index, [code, ifTrue, ifFalse, operand]] of instructions.entries()) {
		view.setUint16(index * INSTRUCTION_BYTES, code, true);
		bytes[index * INSTRUCTION_BYTES + 2] = ifTrue;
		bytes[index * INSTRUCTION_BYTES + 3] = ifFalse;
		view.setUint32(index * INSTRUCTION_BYTES + 4, operand, true);
	}
	return bytes;
}

/** What a program gives for a call, as the host's kernel runs it: of the instructions those that occur here. */
function run(bytes: Uint8Array, data: readonly number[]): number {
	const view = new DataView(bytes.buffer);
	const memory = new Uint32Array(16);
	let a = 0;
	for (let at = 0; ; at++) {
		const code = view.getUint16(at * INSTRUCTION_BYTES, true);
		const ifTrue = view.getUint8(at * INSTRUCTION_BYTES + 2);
		const ifFalse = view.getUint8(at * INSTRUCTION_BYTES + 3);
		const k = view.getUint32(at * INSTRUCTION_BYTES + 4, true);
		if (code === 0x20) a = data[k / 4] ?? 0;
		else if (code === 0x00) a = k;
		else if (code === 0x02) memory[k] = a;
		else if (code === 0x60) a = memory[k]!;
		else if (code === 0x54) a = (a & k) >>> 0;
		else if (code === 0x05) at += k;
		else if (code === 0x15) at += a === k ? ifTrue : ifFalse;
		else if (code === 0x06) return k;
		else if (code === 0x16) return a;
		else throw new RangeError(`instruction ${code.toString(16)}`);
	}
}

const guard = (...instructions: Instruction[]): Uint8Array => {
	const guarded = guardedFilter(program(...instructions));
	if (typeof guarded === 'number') throw new RangeError(`errno ${-guarded}`);
	return guarded;
};
const ALLOW = 0x7fff_0000;
const NO_CALL = 0x0005_0026;
const KILL = 0x8000_0000;
const call = (number: number): number[] => [number, 0xc000_003e, ...new Array<number>(14).fill(7)];

t.test('what nobody hears becomes ENOSYS, said outright or computed', async (t) => {
	for (const [result, is] of [
		[0x7fc0_0001, NO_CALL],
		[0x7ff0_0005, NO_CALL],
		[0x7ffc_0000, ALLOW],
		[ALLOW, ALLOW],
		[KILL, KILL],
		[0x0003_0007, 0x0003_0007],
		[0x0005_0007, 0x0005_0007],
		[0x1234_0000, 0x1234_0000],
		[0, 0],
	] as const) {
		t.equal(run(guard([0x06, 0, 0, result]), call(1)), is);
		t.equal(run(guard([0x00, 0, 0, result], [0x16, 0, 0, 0]), call(1)), is);
		t.equal(run(guard([0x00, 0, 0, result], [0x15, 0, 1, 5], [0x16, 0, 0, 0], [0x16, 0, 0, 0]), call(1)), is);
	}
});

t.test('the accumulator is zero at the beginning, whatever the call', async (t) => {
	for (const number of [0, 9, 11, 130, 59, 317]) t.equal(run(guard([0x16, 0, 0, 0]), call(number)), 0);
});

t.test('the loader’s question is let through, the guest’s own mmap is not', async (t) => {
	const kill = guard([0x06, 0, 0, KILL]);
	t.equal(run(kill, call(0x1505)), ALLOW);
	for (const number of [9, 11, 130]) t.equal(run(kill, call(number)), KILL);
});

t.test('a program that leads out of itself is refused', async (t) => {
	t.equal(guardedFilter(program()), -EINVAL);
	t.equal(guardedFilter(program([0x20, 0, 0, 0])), -EINVAL);
	t.equal(guardedFilter(program([0x05, 0, 0, 1], [0x06, 0, 0, ALLOW])), -EINVAL);
	t.equal(guardedFilter(program([0x05, 0, 0, 0xffff_ffff], [0x06, 0, 0, ALLOW])), -EINVAL);
	t.equal(guardedFilter(program([0x15, 1, 0, 0], [0x06, 0, 0, ALLOW])), -EINVAL);
	t.equal(guardedFilter(program([0x25, 0, 1, 0], [0x06, 0, 0, ALLOW])), -EINVAL);
	t.type(guardedFilter(program([0x45, 0, 0, 0], [0x06, 0, 0, ALLOW])), Uint8Array);
	t.equal(guardedFilter(program(...new Array<Instruction>(MAX_INSTRUCTIONS).fill([0x06, 0, 0, ALLOW]))), -ENOMEM);
	t.equal(guardedFilter(program(...new Array<Instruction>(MAX_INSTRUCTIONS + 1).fill([0x06, 0, 0, ALLOW]))), -EINVAL);
});
