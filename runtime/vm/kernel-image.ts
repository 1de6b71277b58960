import { execFileSync } from 'node:child_process';

/** The setup header's fields, Documentation/arch/x86/boot.rst. */
const SETUP_SECTORS = 0x1f1;
const PAYLOAD_OFFSET = 0x248;
const PAYLOAD_LENGTH = 0x24c;
const SECTOR_BYTES = 512;
const LZ4_LEGACY_MAGIC = 0x184c2102;
const ELF_MAGIC = 0x464c457f;
const MAX_KERNEL_BYTES = 256 << 20;

/**
 * The ELF kernel inside of a bzImage, which boots faster (facts: by PVH, without unpacking itself). Takes an ELF kernel as it is. Throws when the payload is
 * packed by anything but lz4.
 */
export function unpackKernel(image: Buffer): Buffer {
	if (image.length >= SECTOR_BYTES && image.readUInt32LE(0) === ELF_MAGIC) return image;
	if (image.length < 2 * SECTOR_BYTES || image.toString('latin1', 0x202, 0x206) !== 'HdrS')
		throw new Error('Unpack the kernel: it is no bzImage');
	const start = (image[SETUP_SECTORS]! + 1) * SECTOR_BYTES + image.readUInt32LE(PAYLOAD_OFFSET);
	// The last four bytes are the unpacked size.
	const end = start + image.readUInt32LE(PAYLOAD_LENGTH) - 4;
	if (end > image.length || image.readUInt32LE(start) !== LZ4_LEGACY_MAGIC) throw new Error('Unpack the kernel: it is not packed by lz4');
	const elf = execFileSync('lz4', ['-d', '-c'], {
		input: image.subarray(start, end),
		maxBuffer: MAX_KERNEL_BYTES,
		stdio: ['pipe', 'pipe', 'ignore'],
	});
	if (elf.readUInt32LE(0) !== ELF_MAGIC) throw new Error('Unpack the kernel: what was packed is no ELF file');
	return elf;
}
