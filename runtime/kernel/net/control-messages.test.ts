import t from 'tap';
import { EINVAL } from '../abi/errno.js';
import { filterControl } from './control-messages.js';

/** A control message: its header and data, up to the next multiple of eight. */
function message(level: number, type: number, data: readonly number[], lengthBytes = 16 + data.length): Uint8Array {
	const bytes = new Uint8Array(Math.ceil((16 + data.length) / 8) * 8);
	const view = new DataView(bytes.buffer);
	view.setUint32(0, lengthBytes, true);
	view.setInt32(8, level, true);
	view.setInt32(12, type, true);
	bytes.set(data, 16);
	return bytes;
}

const ttl = message(0, 2, [5, 0, 0, 0]);
const rights = message(1, 1, [3, 0, 0, 0]);

t.test('what the host may see is kept, in its order', async (t) => {
	const control = Uint8Array.from([...rights, ...ttl, ...rights]);
	t.equal(filterControl(control), ttl.length);
	t.same([...control.subarray(0, ttl.length)], [...ttl]);
	t.equal(filterControl(Uint8Array.from(rights)), 0, 'descriptors never reach the host');
});

t.test('anything else is EINVAL', async (t) => {
	for (const [what, bytes] of [
		['an unknown type', message(0, 77, [0, 0, 0, 0])],
		['an unknown level', message(300, 1, [0, 0, 0, 0])],
		['data that is too long', message(0, 2, new Array(12).fill(0))],
		['a length below the header', message(0, 2, [], 8)],
		['a length beyond the end', message(0, 2, [0, 0, 0, 0], 400)],
		['a length of four gigabytes', new Uint8Array([24, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])],
	] as const) {
		t.equal(filterControl(Uint8Array.from(bytes)), -EINVAL, what);
	}
});
