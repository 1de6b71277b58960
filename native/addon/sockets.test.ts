import t, { type Test } from 'tap';
import { addon } from './test-guests.js';

const AF_INET = 2;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const EAGAIN = -11;
const EPERM = -1;
const ENODEV = -19;
const SIOCGIFINDEX = 0x8933;
const SIOCSIFFLAGS = 0x8914;
const loopback = Uint8Array.of(AF_INET, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0);
const nothing = new Uint8Array(0);

/** A socket that is closed when the test is over. */
function open(test: Test, type: number): number {
	const fd = addon.socketOpen(AF_INET, type, 0);
	test.ok(fd > 2);
	test.teardown(() => addon.close(fd));
	return fd;
}

t.test('a connection over loopback never waits', async (t) => {
	const listener = open(t, SOCK_STREAM);
	t.equal(addon.socketBind(listener, loopback), 0);
	t.equal(addon.socketListen(listener, 1), 0);
	t.equal(addon.socketAccept(listener), EAGAIN);
	const name = new Uint8Array(128);
	t.equal(addon.socketName(listener, false, name), 16);
	const client = open(t, SOCK_STREAM);
	const begun = addon.socketConnect(client, name.subarray(0, 16));
	t.ok(begun === 0 || begun === -115);
	const server = addon.socketAccept(listener);
	t.ok(server > 2);
	t.equal(addon.socketSend(client, Buffer.from('..bytes'), 2, 5, 0, null, null), 5);
	const buffer = new Uint8Array(8);
	const out = new Int32Array(3);
	addon.pollNow(server, 1);
	t.equal(addon.socketReceive(server, buffer, 1, 7, 0, name, nothing, out), 5);
	t.equal(Buffer.from(buffer.subarray(1, 6)).toString(), 'bytes');
	t.equal(addon.socketReceive(server, buffer, 0, 8, 0, name, nothing, out), EAGAIN);
	addon.close(server);
	t.equal(addon.socketShutdown(client, 1), 0);
	t.equal(addon.socketSend(client, buffer, 0, 8, 0, null, null), -32, 'EPIPE, and no signal');
});

t.test('requests that change interfaces, and buffers that are too short, are refused', async (t) => {
	const fd = open(t, SOCK_DGRAM);
	const request = new Uint8Array(40);
	request.set(Buffer.from('lo'));
	t.equal(addon.socketIoctl(fd, SIOCGIFINDEX, request), 0);
	t.ok(request[16]! > 0);
	t.equal(addon.socketIoctl(fd, SIOCSIFFLAGS, request), EPERM);
	request.set(Buffer.from('nothing'));
	t.equal(addon.socketIoctl(fd, SIOCGIFINDEX, request), ENODEV);
	t.throws(() => addon.socketIoctl(fd, SIOCGIFINDEX, new Uint8Array(39)), RangeError);
	t.throws(() => addon.socketReceive(fd, new Uint8Array(4), 2, 3, 0, nothing, nothing, new Int32Array(3)), RangeError);
	t.throws(() => addon.socketReceive(fd, new Uint8Array(4), 0, 4, 0, nothing, nothing, new Int32Array(2)), RangeError);
	t.throws(() => addon.socketSend(fd, new Uint8Array(4), 0, 5, 0, null, null), RangeError);
});
