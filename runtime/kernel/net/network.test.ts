// Containers' networks: their own, and two of them over a veth pair. Every namespace and device here is made by the test.

import { spawnSync } from 'node:child_process';
import t from 'tap';
import { type ContainerResult, defaultCapabilities, rootfsPath, runContainer } from '../../testing/container.js';

if (process.getuid?.() !== 0) t.bailout('network namespaces are for real root');

const timeoutMs = 40_000;
const names = [`isopod-a-${process.pid}`, `isopod-b-${process.pid}`] as const;

function ip(...args: string[]): void {
	const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' });
	if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`);
}

function python(script: string, networkNamespace?: string, capabilities = defaultCapabilities): Promise<ContainerResult> {
	const root = rootfsPath('full');
	const args = ['python3', '-u', '-c', script];
	return runContainer({
		root,
		isReadonly: true,
		args,
		capabilities,
		timeoutMs,
		...(networkNamespace === undefined ? {} : { networkNamespace }),
	});
}

const HELPERS = `import socket as S, errno, struct, time, os
def e(f, *a):
    try: f(*a); return 0
    except OSError as x: return errno.errorcode[x.errno]
`;

t.test('a container has a loopback that is up and nothing else of the network', async (t) => {
	const { stdout, stderr } = await python(`${HELPERS}
print(S.if_nameindex())
print([e(S.socket, f, t) for f, t in ((40, 1), (38, 5), (31, 3), (29, 3), (44, 3), (16, 1))])
print(e(S.socket, S.AF_INET, S.SOCK_RAW, 1), e(S.socket, S.AF_PACKET, S.SOCK_RAW), e(S.socket, S.AF_NETLINK, 3, 9), e(S.socket, S.AF_NETLINK, 3, 16))
print(e(S.socket(S.AF_INET).bind, ('127.0.0.1', 80)), e(S.socket(S.AF_INET6).bind, ('::1', 80)))
print(e(S.socket(S.AF_INET).connect, ('192.0.2.1', 80)))
s = S.socket(S.AF_INET)
print(e(s.setsockopt, 1, 26, b'x' * 16), e(s.setsockopt, 1, 36, 1), e(s.setsockopt, 6, 31, b'tls'), e(s.setsockopt, 1, 33, 1 << 30))
n = S.socket(S.AF_NETLINK, 3, 0)
n.send(struct.pack('IHHIIBxHiII', 32, 16, 5, 9, 0, 0, 0, 1, 0, 1)); d = n.recv(999)
print(struct.unpack('IHHIIi', d[:20])[1:4:2], struct.unpack('i', d[16:20]))
g = S.socket(S.AF_NETLINK, 3, 4)
g.send(struct.pack('IHHIIBxxx', 20, 20, 0x301, 9, 0, 1)); d = g.recv(999); print(struct.unpack('i', d[16:20]))
u = S.socket(S.AF_UNIX); print(e(u.connect, b'\\0isopod-nobody'))`);
	t.equal(
		stdout.toString(),
		[
			"[(1, 'lo')]",
			"['EAFNOSUPPORT', 'EAFNOSUPPORT', 'EAFNOSUPPORT', 'EAFNOSUPPORT', 'EAFNOSUPPORT', 'ESOCKTNOSUPPORT']",
			'EPERM EPERM EPROTONOSUPPORT EPROTONOSUPPORT',
			'EACCES EACCES',
			'ENETUNREACH',
			'ENOPROTOOPT EPERM ENOPROTOOPT ENOPROTOOPT',
			'(2, 9) (-1,)',
			'(-2,)',
			'ECONNREFUSED',
			'',
		].join('\n'),
		stderr.toString(),
	);
});

t.test('CAP_NET_BIND_SERVICE is what low ports take', async (t) => {
	const script = `${HELPERS}print(e(S.socket(S.AF_INET).bind, ('127.0.0.1', 80)), e(S.socket(S.AF_INET6, 2).bind, ('::1', 53)))`;
	const { stdout } = await python(script, undefined, [...defaultCapabilities, 'CAP_NET_BIND_SERVICE']);
	t.equal(stdout.toString(), '0 0\n');
});

t.test('an abstract name is its own pod’s', async (t) => {
	const bind = `${HELPERS}s = S.socket(S.AF_UNIX); print(e(s.bind, b'\\0isopod-shared'), flush=True); s.listen(); time.sleep(3)`;
	const connect = `${HELPERS}time.sleep(1); print(e(S.socket(S.AF_UNIX).connect, b'\\0isopod-shared'))`;
	const results = await Promise.all([python(bind), python(bind), python(connect)]);
	t.same(
		results.map(({ stdout }) => stdout.toString()),
		['0\n', '0\n', 'ECONNREFUSED\n'],
	);
});

t.test('two containers talk over a veth pair', async (t) => {
	t.teardown(() => {
		for (const name of names) spawnSync('ip', ['netns', 'delete', name]);
	});
	for (const name of names) ip('netns', 'add', name);
	ip('-n', names[0], 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', names[1]);
	names.forEach((name, i) => {
		ip('-n', name, 'addr', 'add', `10.99.0.${i + 1}/24`, 'dev', 'eth0');
		ip('-n', name, 'addr', 'add', `fd99::${i + 1}/64`, 'dev', 'eth0', 'nodad');
		for (const device of ['lo', 'eth0']) ip('-n', name, 'link', 'set', device, 'up');
	});
	const server = `${HELPERS}
for family, address in ((S.AF_INET, '10.99.0.1'), (S.AF_INET6, 'fd99::1')):
    l = S.create_server((address, 7000), family=family); c, peer = l.accept(); print(peer[0])
    n = 0
    while True:
        d = c.recv(1 << 16)
        if not d: break
        n += len(d)
    c.sendall(b'%d' % n); c.close()
u = S.socket(S.AF_INET, S.SOCK_DGRAM); u.bind(('0.0.0.0', 7001)); d, peer = u.recvfrom(99); print(d, peer[0]); u.sendto(d * 2, peer)`;
	const client = `${HELPERS}
for address in '10.99.0.1', 'fd99::1':
    for _ in range(200):
        try: c = S.create_connection((address, 7000)); break
        except OSError: time.sleep(.05)
    c.sendall(b'x' * 3000000); c.shutdown(S.SHUT_WR); print(c.recv(99))
u = S.socket(S.AF_INET, S.SOCK_DGRAM); u.settimeout(.2)
for _ in range(50):
    u.sendto(b'hi', ('10.99.0.1', 7001))
    try: print(u.recv(99)); break
    except OSError: time.sleep(.05)`;
	const [one, other] = await Promise.all([python(server, `/var/run/netns/${names[0]}`), python(client, `/var/run/netns/${names[1]}`)]);
	t.equal(one.stdout.toString(), "10.99.0.2\nfd99::2\nb'hi' 10.99.0.2\n", one.stderr.toString());
	t.equal(other.stdout.toString(), "b'3000000'\nb'3000000'\nb'hihi'\n", other.stderr.toString());
});

t.test('the host’s network can’t be joined', async (t) => {
	const { status, stderr } = await python('print(1)', `/proc/${process.pid}/ns/net`);
	t.not(status, 0);
	t.match(stderr.toString(), /is the host's/);
});
