import { native } from '../../native.js';
import { ENOEXEC } from '../abi/errno.js';
import { MAX_SEGMENTS, type PlanObject, type PlanSegment } from '../abi/exec-plan.js';
import { PAGE_SIZE, PATH_MAX, TASK_SIZE } from '../abi/limits.js';

/** An executable's or interpreter's layout, elf(5), checked: what the loader maps. */
export interface ElfImage {
	/** ET_DYN: its addresses are relative. */
	readonly isPositionIndependent: boolean;
	readonly entry: number;
	/** Address of the program headers within the image, 0 if no segment holds them. */
	readonly phdr: number;
	readonly phnum: number;
	/** PT_INTERP, or null. */
	readonly interpreter: string | null;
	readonly isStackExecutable: boolean;
	readonly segments: readonly PlanSegment[];
	/** Largest p_align in bytes: a power of two, at least a page. */
	readonly alignment: number;
	/** Lowest page address and length of all segments. */
	readonly spanAddress: number;
	readonly spanLength: number;
}

const ET_EXEC = 2;
const ET_DYN = 3;
const EM_X86_64 = 62;
const PT_LOAD = 1;
const PT_INTERP = 3;
const PT_PHDR = 6;
const PT_GNU_STACK = 0x6474e551;
const PF_X = 1;
const PF_W = 2;
const PF_R = 4;
const HEADER_BYTES = 64;
const PROGRAM_HEADER_BYTES = 56;
/** Linux reads at most 64 KiB of program headers (fs/binfmt_elf.c). */
const MAX_PROGRAM_HEADERS = 1170;
/** Where a part of a file may begin: no file is as long as what a number can't hold exactly. */
const MAX_OFFSET = Number.MAX_SAFE_INTEGER / 2;

const buffer = Buffer.alloc(MAX_PROGRAM_HEADERS * PROGRAM_HEADER_BYTES);
const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);

function u64(at: number): number {
	return view.getUint32(at + 4, true) * 0x1_0000_0000 + view.getUint32(at, true);
}

const pageDown = (value: number): number => value - (value % PAGE_SIZE);
const pageUp = (value: number): number => pageDown(value + PAGE_SIZE - 1);

/** Reads an ELF file's headers from a host descriptor. `object` is which of the plan's objects it becomes. -ENOEXEC for what Linux wouldn't load. */
export function readElf(fd: number, object: number): ElfImage | number {
	if (native.pread(fd, buffer, 0, HEADER_BYTES, 0) !== HEADER_BYTES) return -ENOEXEC;
	if (buffer.readUInt32BE(0) !== 0x7f454c46 || buffer[4] !== 2 || buffer[5] !== 1) return -ENOEXEC;
	const type = view.getUint16(16, true);
	if ((type !== ET_EXEC && type !== ET_DYN) || view.getUint16(18, true) !== EM_X86_64) return -ENOEXEC;
	const entry = u64(24);
	const phoff = u64(32);
	const phnum = view.getUint16(56, true);
	if (view.getUint16(54, true) !== PROGRAM_HEADER_BYTES || phnum < 1 || phnum > MAX_PROGRAM_HEADERS) return -ENOEXEC;
	const bytes = phnum * PROGRAM_HEADER_BYTES;
	if (phoff > MAX_OFFSET || native.pread(fd, buffer, 0, bytes, phoff) !== bytes) return -ENOEXEC;

	const segments: PlanSegment[] = [];
	let interpreter: { offset: number; length: number } | null = null;
	let phdr = 0;
	let low = TASK_SIZE;
	let high = 0;
	// Without a PT_GNU_STACK amd64 has a stack that isn't executable (fs/binfmt_elf.c, elf_read_implies_exec).
	let isStackExecutable = false;
	let alignment = PAGE_SIZE;
	for (let at = 0; at < bytes; at += PROGRAM_HEADER_BYTES) {
		const kind = view.getUint32(at, true);
		const flags = view.getUint32(at + 4, true);
		const offset = u64(at + 8);
		const address = u64(at + 16);
		const fileBytes = u64(at + 32);
		const memoryBytes = u64(at + 40);
		if (kind === PT_GNU_STACK) isStackExecutable = (flags & PF_X) !== 0;
		if (kind === PT_INTERP && interpreter === null) interpreter = { offset, length: fileBytes };
		if (kind === PT_PHDR) phdr = address;
		if (kind !== PT_LOAD) continue;
		if (memoryBytes === 0) continue;
		if (fileBytes > memoryBytes || memoryBytes > TASK_SIZE || address + memoryBytes > TASK_SIZE || segments.length === MAX_SEGMENTS / 2)
			return -ENOEXEC;
		if (offset > MAX_OFFSET || offset % PAGE_SIZE !== address % PAGE_SIZE) return -ENOEXEC;
		if (phdr === 0 && offset <= phoff && phoff < offset + fileBytes) phdr = address + phoff - offset;
		const start = pageDown(address);
		const fileEnd = address + fileBytes;
		const filePages = fileBytes === 0 ? 0 : pageUp(fileEnd) - start;
		const end = Math.max(pageUp(address + memoryBytes), start + filePages);
		const align = u64(at + 48);
		if (align > alignment && Number.isInteger(Math.log2(align)) && align <= 2 ** 32) alignment = align;
		const zeroBytes = memoryBytes > fileBytes && fileBytes > 0 && (flags & PF_W) !== 0 ? pageUp(fileEnd) - fileEnd : 0;
		segments.push({
			address: start,
			fileLength: filePages,
			fileOffset: pageDown(offset),
			memoryLength: end - start,
			prot: ((flags & PF_R) !== 0 ? 1 : 0) | ((flags & PF_W) !== 0 ? 2 : 0) | ((flags & PF_X) !== 0 ? 4 : 0),
			zeroFrom: fileEnd,
			zeroLength: zeroBytes,
			object,
		});
		low = Math.min(low, start);
		high = Math.max(high, end);
	}
	if (segments.length === 0) return -ENOEXEC;
	let interpreterPath: string | null = null;
	if (interpreter !== null) {
		const { offset, length } = interpreter;
		if (
			length < 2 ||
			length > PATH_MAX ||
			offset > MAX_OFFSET ||
			native.pread(fd, buffer, 0, length, offset) !== length ||
			buffer[length - 1] !== 0
		)
			return -ENOEXEC;
		interpreterPath = buffer.latin1Slice(0, buffer.indexOf(0));
	}
	return {
		isPositionIndependent: type === ET_DYN,
		entry,
		phdr,
		phnum,
		interpreter: interpreterPath,
		isStackExecutable,
		segments,
		alignment,
		spanAddress: low,
		spanLength: high - low,
	};
}

/** The plan's object of an image: fixed for ET_EXEC and for a program whose place the kernel chose, else wherever the host likes. */
export function planObject(image: ElfImage, bias: number | null): PlanObject {
	if (!image.isPositionIndependent) {
		return { spanAddress: image.spanAddress, spanLength: image.spanLength, isFixed: true, entry: image.entry, base: 0 };
	}
	if (bias === null)
		return { spanAddress: image.spanAddress, spanLength: image.spanLength, isFixed: false, entry: image.entry, base: image.alignment };
	return { spanAddress: image.spanAddress + bias, spanLength: image.spanLength, isFixed: true, entry: image.entry, base: bias };
}
