import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { addon } from './test-guests.js';

const NONE = new Int32Array(0);
const EAGAIN = -11;

t.test('a connection carries bytes and descriptors', async (t) => {
	const folder = mkdtempSync(join(tmpdir(), 'isopod-channel-'));
	t.teardown(() => rmSync(folder, { recursive: true, force: true }));
	const path = join(folder, 'sockét');
	const listener = addon.listenUnix(path);
	t.ok(listener > 2);
	t.equal(statSync(path).mode & 0o777, 0o600);
	t.equal(addon.listenUnix(path), -98);
	t.equal(addon.acceptUnix(listener), EAGAIN);
	const client = addon.connectUnix(path);
	const server = addon.acceptUnix(listener);
	t.ok(client > 2 && server > 2);

	const file = addon.memfdCreate('passenger', 0);
	addon.pwrite(file, Buffer.from('cargo'), 0, 5, 0);
	t.equal(addon.sendMessage(client, Buffer.from('..frame'), 2, 5, Int32Array.of(file, file)), 5);
	const buffer = new Uint8Array(16);
	const fds = new Int32Array(8);
	const fdCount = new Int32Array(1);
	t.equal(addon.receiveMessage(server, buffer, 3, 13, fds, fdCount), 5);
	t.equal(Buffer.from(buffer.subarray(3, 8)).toString(), 'frame');
	t.equal(fdCount[0], 2);
	for (const fd of fds.subarray(0, 2)) {
		t.equal(addon.pread(fd, buffer, 0, 5, 0), 5);
		t.equal(Buffer.from(buffer.subarray(0, 5)).toString(), 'cargo');
		t.equal(addon.close(fd), 0);
	}
	t.equal(addon.receiveMessage(server, buffer, 0, 1, fds, fdCount), EAGAIN);
	t.equal(fdCount[0], 0);

	const before = addon.dup(file);
	addon.close(before);
	addon.sendMessage(client, Buffer.from('x'), 0, 1, Int32Array.of(file, file, file));
	t.equal(addon.receiveMessage(server, buffer, 0, 1, fds.subarray(0, 1), fdCount), 1);
	t.equal(fdCount[0], 1, 'as many as there is room for');
	addon.close(fds[0] ?? -1);
	t.equal(addon.dup(file), before, 'the others are closed');
	addon.close(before);

	addon.close(client);
	t.equal(addon.receiveMessage(server, buffer, 0, 1, fds, fdCount), 0, 'the end');
	t.equal(addon.sendMessage(server, buffer, 0, 1, NONE), -32, 'EPIPE, and no signal');
	for (const fd of [server, listener, file]) addon.close(fd);
});

t.test('socketPair(), and paths that no socket can have', async (t) => {
	const pair = new Int32Array(2);
	t.equal(addon.socketPair(pair), 0);
	const [left = -1, right = -1] = pair;
	t.equal(addon.sendMessage(left, Buffer.from('hi'), 0, 2, NONE), 2);
	t.equal(addon.receiveMessage(right, new Uint8Array(8), 0, 8, NONE, new Int32Array(1)), 2);
	addon.close(left);
	addon.close(right);
	t.equal(addon.connectUnix('/nowhere/socket'), -2);
	t.equal(addon.connectUnix(''), -22);
	t.equal(addon.listenUnix(`/tmp/${'x'.repeat(108)}`), -36);
	t.throws(() => addon.socketPair(new Int32Array(1)), RangeError);
});
