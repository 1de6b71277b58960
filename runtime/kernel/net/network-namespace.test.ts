import t from 'tap';
import { ENFILE } from '../abi/errno.js';
import { SOCK_DGRAM, SOCK_STREAM, SOL_SOCKET } from '../abi/socket-constants.js';
import { TestProcess } from '../ipc/testing.js';
import { UnixSocket } from '../ipc/unix-socket.js';
import { NetworkNamespace } from './network-namespace.js';
import { optionRule } from './socket-options.js';

t.test('host sockets are counted, and get a quarter of the descriptors at most', async (t) => {
	const network = new NetworkNamespace(16);
	for (let i = 0; i < 4; i++) t.equal(network.acquireHost(), 0);
	t.equal(network.acquireHost(), -ENFILE);
	network.releaseHost();
	t.equal(network.acquireHost(), 0);
});

t.test('an abstract name belongs to one socket of each type, until that is closed', async (t) => {
	const task = new TestProcess().task();
	const { network } = task.kernel;
	const stream = new UnixSocket(task, SOCK_STREAM, 0);
	const datagram = new UnixSocket(task, SOCK_DGRAM, 0);
	const name = Uint8Array.of(1, 0, 0, 0x6e);
	t.equal(stream.bind(task, name), 0);
	t.equal(datagram.bind(task, name), 0);
	t.equal(new UnixSocket(task, SOCK_STREAM, 0).bind(task, name), -98);
	t.equal(network.findAbstract(SOCK_STREAM, 'n'), stream);
	t.equal(network.findAbstract(SOCK_DGRAM, 'n'), datagram);
	t.equal(network.unixSockets.size, 3);
	stream.release();
	t.equal(network.findAbstract(SOCK_STREAM, 'n'), null);
	t.equal(network.unixSockets.size, 2);
});

t.test('autobind passes over names that are taken', async (t) => {
	const task = new TestProcess().task();
	const { network } = task.kernel;
	const sockets = [1, 2, 3].map(() => new UnixSocket(task, SOCK_DGRAM, 0));
	t.ok(network.bindAbstract(SOCK_DGRAM, '00002', sockets[0]!));
	t.equal(network.autobind(SOCK_DGRAM, sockets[1]!), '00001');
	t.equal(network.autobind(SOCK_DGRAM, sockets[2]!), '00003');
});

t.test('options with pointers, descriptors or code of the host’s behind them are not passed on', async (t) => {
	// SO_ATTACH_FILTER, SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_EBPF, SO_ZEROCOPY, SO_TXTIME; TCP_REPAIR, TCP_ULP, TCP_ZEROCOPY_RECEIVE; UDP_ENCAP; IPV6_ADDRFORM.
	for (const option of [26, 50, 52, 60, 61]) t.equal(optionRule(SOL_SOCKET, option), null);
	for (const option of [19, 31, 35]) t.equal(optionRule(6, option), null);
	t.equal(optionRule(17, 100), null);
	t.equal(optionRule(41, 1), null);
	t.equal(optionRule(SOL_SOCKET, 2 + 65536), null);
	t.equal(optionRule(SOL_SOCKET, -1), null);
});
