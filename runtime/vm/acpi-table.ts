import { EMPTY_SLOTS, slotResources } from './qemu.js';

/** Of the table's fixed header (ACPI specification, 5.2.6). */
const HEADER_BYTES = 36;
const LENGTH_OFFSET = 4;
const CHECKSUM_OFFSET = 9;
const ENCODING = 'latin1';

/** The id that Linux's driver of virtio over memory-mapped registers knows. */
const VIRTIO_MMIO_ID = 'LNRO0005';

/**
 * An ACPI table (SSDT) that tells a kernel of places for virtio devices in which there is nothing while it boots. QEMU's own table has those with a device only;
 * a clone of a template has more devices than the template had.
 */
export function emptySlotTable(): Buffer {
	const body = scope('\\_SB_', Buffer.concat(EMPTY_SLOTS.map(device)));
	const table = Buffer.concat([Buffer.alloc(HEADER_BYTES), body]);
	table.write('SSDT', 0, ENCODING);
	table.writeUInt32LE(table.length, LENGTH_OFFSET);
	table[8] = 2;
	table.write('ISOPODISOPOD  ', 10, ENCODING);
	table.writeUInt32LE(1, 24);
	table.write('ISOP', 28, ENCODING);
	table.writeUInt32LE(1, 32);
	table[CHECKSUM_OFFSET] = -table.reduce((sum, byte) => sum + byte, 0) & 0xff;
	return table;
}

function device(slot: number): Buffer {
	const { address, bytes, interrupt } = slotResources(slot);
	const memory = Buffer.alloc(12);
	// Memory32Fixed, ReadWrite (6.4.3.4).
	memory.set([0x86, 9, 0, 1]);
	memory.writeUInt32LE(address, 4);
	memory.writeUInt32LE(bytes, 8);
	const wire = Buffer.alloc(9);
	// Extended Interrupt: consumer, level, active high, exclusive (6.4.3.6), as QEMU's own devices have it.
	wire.set([0x89, 6, 0, 1, 1]);
	wire.writeUInt32LE(interrupt, 5);
	const resources = Buffer.concat([memory, wire, Buffer.from([0x79, 0])]);
	return Buffer.concat([
		Buffer.from([0x5b, 0x82]),
		sized(
			Buffer.concat([
				Buffer.from(`VS${slot}`, ENCODING),
				named('_HID', Buffer.from(`\x0d${VIRTIO_MMIO_ID}\0`, ENCODING)),
				named('_UID', byte(slot)),
				named('_CCA', byte(1)),
				named('_CRS', Buffer.concat([Buffer.from([0x11]), sized(Buffer.concat([byte(resources.length), resources]))])),
			]),
		),
	]);
}

function scope(name: string, terms: Buffer): Buffer {
	return Buffer.concat([Buffer.from([0x10]), sized(Buffer.concat([Buffer.from(name, ENCODING), terms]))]);
}

function named(name: string, object: Buffer): Buffer {
	return Buffer.concat([Buffer.from([0x08]), Buffer.from(name, ENCODING), object]);
}

function byte(value: number): Buffer {
	return Buffer.from([0x0a, value]);
}

/** With its PkgLength, which counts itself (20.2.4), before it. */
function sized(content: Buffer): Buffer {
	const short = content.length + 1;
	if (short < 64) return Buffer.concat([Buffer.from([short]), content]);
	const long = content.length + 2;
	return Buffer.concat([Buffer.from([0x40 | (long & 0xf), long >> 4]), content]);
}
