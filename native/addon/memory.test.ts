import t from 'tap';
import { addon, answer, type Event, reapWhenDone, runGuest, TRAP, waitFor } from './test-guests.js';

const EFAULT = -14;
const PAGE = 4096;

interface Pages {
	readonly trap: Event;
	readonly tid: number;
	/** A writable page that ends in five `z`, with nothing mapped behind it. */
	readonly page: number;
	readonly readOnly: number;
}

/** Runs `use` while the guest stands still. */
function withGuest(use: (pages: Pages) => void): void {
	const guest = runGuest('memory');
	const trap = waitFor(TRAP);
	use({ trap, tid: trap.tid, page: trap.args[0] ?? 0, readOnly: trap.args[1] ?? 0 });
	answer(trap, 0);
	reapWhenDone(guest.pid);
}

t.test('readMemory() and writeMemory() copy up to the first unmapped page', async (t) => {
	withGuest(({ tid, page, readOnly }) => {
		const buffer = new Uint8Array(3 * PAGE);
		t.equal(addon.readMemory(tid, page, buffer, 10, 5), 5);
		t.equal(Buffer.from(buffer.subarray(10, 15)).toString(), 'hello');
		t.equal(addon.readMemory(tid, page, buffer, 0, 2 * PAGE), PAGE, 'short');
		t.equal(addon.readMemory(tid, page + PAGE, buffer, 0, 1), EFAULT);
		t.equal(addon.writeMemory(tid, page + PAGE - 2, buffer, 0, 4), 2, 'short');
		t.equal(addon.writeMemory(tid, readOnly, buffer, 0, 4), EFAULT);
		t.equal(addon.readMemory(tid, page, buffer, 0, 0), 0);
	});
});

t.test('the memory functions give EFAULT for wild addresses and ESRCH for nobody', async (t) => {
	withGuest(({ tid, page }) => {
		const buffer = new Uint8Array(8);
		for (const address of [0, 8, -1, -8, 2 ** 47, 2 ** 53 - 1, 2 ** 63, 2 ** 64, Number.NaN, Number.POSITIVE_INFINITY]) {
			t.equal(addon.readMemory(tid, address, buffer, 0, 8), EFAULT, `read ${address}`);
			t.equal(addon.writeMemory(tid, address, buffer, 0, 8), EFAULT, `write ${address}`);
			t.equal(addon.readString(tid, address, buffer), EFAULT, `string ${address}`);
		}
		t.equal(addon.readMemory(0x3fffff, page, buffer, 0, 8), -3);
	});
});

t.test('the memory functions throw RangeError when the buffer is too short', async (t) => {
	const buffer = new Uint8Array(8);
	for (const [offset, length] of [
		[0, 9],
		[8, 1],
		[9, 0],
		[-1, 1],
		[0, -1],
		[2 ** 53, 1],
		[1, 2 ** 53],
		[0.5, 1],
		[Number.NaN, 1],
	] as const) {
		t.throws(() => addon.readMemory(process.pid, 0, buffer, offset, length), RangeError, `${offset} ${length}`);
		t.throws(() => addon.writeMemory(process.pid, 0, buffer, offset, length), RangeError, `${offset} ${length}`);
		t.throws(() => addon.pread(0, buffer, offset, length, 0), RangeError, `${offset} ${length}`);
	}
	t.throws(() => addon.readMemory(process.pid, 0, new Int32Array(2) as unknown as Uint8Array, 0, 1), TypeError);
});

t.test('readString() stops at the NUL, at its limit, and at an unmapped page', async (t) => {
	withGuest(({ tid, page }) => {
		const buffer = new Uint8Array(PAGE);
		t.equal(addon.readString(tid, page, buffer), 5);
		t.equal(addon.readString(tid, page, buffer.subarray(0, 6)), 5, 'exactly as long');
		t.equal(addon.readString(tid, page, buffer.subarray(0, 5)), -36);
		t.equal(addon.readString(tid, page + PAGE - 5, buffer), EFAULT, 'no NUL before the hole');
		t.equal(addon.readString(tid, page + PAGE - 5, buffer.subarray(0, 5)), -36, 'no need to look into the hole');
	});
});

t.test('hostToGuest() and guestToHost() move what can be moved', async (t) => {
	withGuest(({ tid, page, readOnly }) => {
		const file = addon.memfdCreate('file', 0);
		addon.ftruncate(file, 1 << 20);
		addon.pwrite(file, Buffer.from('from the host'), 0, 13, 100);
		const buffer = new Uint8Array(PAGE);
		t.equal(addon.hostToGuest(file, 100, tid, page, 13), 13);
		addon.readMemory(tid, page, buffer, 0, 13);
		t.equal(Buffer.from(buffer.subarray(0, 13)).toString(), 'from the host');
		t.equal(addon.hostToGuest(file, 0, tid, page, 2 ** 53), PAGE, 'a huge length ends at the hole');
		t.equal(addon.hostToGuest(file, 0, tid, page + PAGE, 10), EFAULT);
		t.equal(addon.hostToGuest(file, 0, tid, readOnly, 10), EFAULT);
		t.equal(addon.hostToGuest(file, 2 << 20, tid, page, 10), 0, 'past the end');
		t.equal(addon.hostToGuest(9999, 0, tid, page, 10), -9);
		t.equal(addon.hostToGuest(file, 0, tid, -5, 0), 0, 'nothing to copy');

		addon.lseek(file, 0, 0);
		t.equal(addon.hostToGuest(file, -1, tid, page + PAGE - 3, 10), 3);
		t.equal(addon.lseek(file, 0, 1), 3, 'the offset counts what arrived');

		addon.writeMemory(tid, page, Buffer.from('from the guest'), 0, 14);
		t.equal(addon.guestToHost(file, 200, tid, page, 14, false), 14);
		addon.pread(file, buffer, 0, 14, 200);
		t.equal(Buffer.from(buffer.subarray(0, 14)).toString(), 'from the guest');
		t.equal(addon.guestToHost(file, 0, tid, page, 2 ** 53, false), PAGE);
		t.equal(addon.guestToHost(file, 0, tid, page + PAGE, 1, false), EFAULT);
		t.equal(addon.guestToHost(file, -1, tid, page, 4, true), 4, 'appended');
		t.equal(addon.lseek(file, 0, 2), (1 << 20) + 4);
		addon.close(file);
	});
});

t.test('hostToGuest() and guestToHost() take pipes', async (t) => {
	const fds = new Int32Array(2);
	addon.pipe(fds);
	const [readEnd = -1, writeEnd = -1] = fds;
	withGuest(({ tid, page }) => {
		t.equal(addon.guestToHost(writeEnd, -1, tid, page, PAGE, false), PAGE);
		t.equal(addon.hostToGuest(readEnd, -1, tid, page, 1000), 1000);
		t.equal(addon.hostToGuest(readEnd, -1, tid, page, PAGE), PAGE - 1000, 'what the pipe has');
		t.equal(addon.hostToGuest(readEnd, -1, tid, page, 1), -11);
		addon.close(readEnd);
		t.equal(addon.guestToHost(writeEnd, -1, tid, page, 1, false), -32, 'EPIPE, and no signal');
	});
	addon.close(writeEnd);
});
