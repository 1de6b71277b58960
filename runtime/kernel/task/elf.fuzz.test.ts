import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { ENOEXEC } from '../abi/errno.js';
import { MAX_SEGMENTS } from '../abi/exec-plan.js';
import { PAGE_SIZE, TASK_SIZE } from '../abi/limits.js';
import { type ElfImage, planObject, readElf } from './elf.js';

const RUNS = 20_000;
const HEADER_BYTES = 64;
const PROGRAM_HEADER_BYTES = 56;

const folder = mkdtempSync(join(tmpdir(), 'isopod-elf-'));
const fd = openSync(join(folder, 'elf'), 'w+');
t.teardown(() => {
	closeSync(fd);
	rmSync(folder, { recursive: true });
});

/** Words that matter: pages, ends of the address space, what overflows. */
const word = fc.oneof(
	fc.nat(0x10000).map(BigInt),
	fc.nat(600).map((pages) => BigInt(pages) * 4096n),
	fc.nat(600).map((pages) => 0x400000n + BigInt(pages) * 4096n),
	fc.constantFrom(0n, 1n, 2n ** 32n, 2n ** 47n, 2n ** 47n - 4096n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 4096n, 2n ** 64n - 1n),
	fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
);
const programHeader = fc.record({
	type: fc.constantFrom(1, 1, 1, 1, 2, 3, 6, 0x6474e551),
	flags: fc.nat(7),
	words: fc.tuple(word, word, word, word, word, word),
	/** Most are as a linker makes them: the offset fits the address, the file part is the shorter one. */
	isTidy: fc.boolean(),
});
const file = fc.record({
	type: fc.constantFrom(2, 3, 3, 1),
	headers: fc.array(programHeader, { maxLength: 40, size: 'max' }),
	tail: fc.uint8Array({ maxLength: 64 }),
	damage: fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 3 }),
});

function build({ type, headers, tail, damage }: typeof file extends fc.Arbitrary<infer T> ? T : never): Buffer {
	const bytes = Buffer.alloc(HEADER_BYTES + headers.length * PROGRAM_HEADER_BYTES);
	bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
	bytes.writeUInt16LE(type, 16);
	bytes.writeUInt16LE(62, 18);
	bytes.writeBigUInt64LE(0x401000n, 24);
	bytes.writeBigUInt64LE(BigInt(HEADER_BYTES), 32);
	bytes.writeUInt16LE(PROGRAM_HEADER_BYTES, 54);
	bytes.writeUInt16LE(headers.length, 56);
	for (const [index, { type: kind, flags, words, isTidy }] of headers.entries()) {
		const at = HEADER_BYTES + index * PROGRAM_HEADER_BYTES;
		const [offset, address, physical, fileBytes, memoryBytes, alignment] = words;
		bytes.writeUInt32LE(kind, at);
		bytes.writeUInt32LE(flags, at + 4);
		const fitting = (offset - (offset % 4096n) + (address % 4096n)) & (2n ** 64n - 1n);
		for (const [place, value] of [
			isTidy ? fitting : offset,
			address,
			physical,
			isTidy && fileBytes > memoryBytes ? memoryBytes : fileBytes,
			memoryBytes,
			alignment,
		].entries())
			bytes.writeBigUInt64LE(value, at + 8 + place * 8);
	}
	for (const [at, value] of damage) if (at < bytes.length) bytes[at] = value;
	return Buffer.concat([bytes, tail]);
}

/** What the loader relies on. */
function isSound(image: ElfImage): boolean {
	const { segments, spanAddress, spanLength, alignment } = image;
	const isPaged = (value: number): boolean => Number.isSafeInteger(value) && value >= 0 && value % PAGE_SIZE === 0;
	if (segments.length < 1 || segments.length > MAX_SEGMENTS / 2 || !isPaged(spanAddress) || !isPaged(spanLength) || spanLength === 0)
		return false;
	if (spanAddress + spanLength > TASK_SIZE + PAGE_SIZE || alignment < PAGE_SIZE || !Number.isInteger(Math.log2(alignment))) return false;
	const object = planObject(image, null);
	if (object.spanLength !== spanLength) return false;
	return segments.every(({ address, fileLength, fileOffset, memoryLength, prot, zeroFrom, zeroLength }) => {
		if (![address, fileLength, fileOffset, memoryLength].every(isPaged) || memoryLength === 0 || fileLength > memoryLength || prot > 7)
			return false;
		if (address < spanAddress || address + memoryLength > spanAddress + spanLength) return false;
		// Only the rest of the last page of the file is cleared.
		return zeroLength === 0 || (zeroLength < PAGE_SIZE && zeroFrom >= address && zeroFrom + zeroLength === address + fileLength);
	});
}

t.test('any file is ENOEXEC or an image that the loader can map', (t) => {
	let images = 0;
	fc.assert(
		fc.property(file, (parts) => {
			const bytes = build(parts);
			writeSync(fd, Buffer.alloc(4096), 0, 4096, 0);
			writeSync(fd, bytes, 0, bytes.length, 0);
			const image = readElf(fd, 0);
			if (typeof image === 'number') return image === -ENOEXEC;
			images++;
			return isSound(image);
		}),
		{ numRuns: RUNS },
	);
	t.ok(images > RUNS / 1000, `${images} of ${RUNS} files are images`);
	t.end();
});
