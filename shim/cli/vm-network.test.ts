import { spawnSync } from 'node:child_process';
import t from 'tap';
import { rootfsPath } from '../../runtime/testing/container.js';
import { until, Workbench } from './testing.js';

const VM = ['--handler', 'isopod-vm'];
/** Pods of a network that is in a namespace of its own, by the last part of their addresses. */
const PODS = [2, 3] as const;
const MTU = 1400;
const prefix = `isovm${process.pid}`;
const lan = `${prefix}lan`;

function run(command: string): string {
	const { status, stdout, stderr } = spawnSync('sh', ['-ec', command], { encoding: 'utf8' });
	if (status !== 0) throw new Error(`${command}: ${stderr}`);
	return stdout;
}

function namespaceOf(pod: number): string {
	return `${prefix}p${pod}`;
}

/** Answers on TCP with "ready", and on UDP with what came. */
const SERVER = `
import select, socket
tcp = socket.create_server(("::", 7000), family=socket.AF_INET6, dualstack_ipv6=True)
udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
udp.bind(("::", 7000))
while True:
    for ready in select.select([tcp, udp], [], [])[0]:
        if ready is udp:
            data, peer = udp.recvfrom(100)
            udp.sendto(data, peer)
        else:
            connection = tcp.accept()[0]
            connection.sendall(b"ready")
            connection.close()
`;
const CLIENT = `
import socket, sys
print(socket.create_connection((sys.argv[1], 7000), 5).recv(100).decode())
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
udp = socket.socket(family, socket.SOCK_DGRAM)
udp.settimeout(5)
udp.sendto(b"datagram", (sys.argv[1], 7000))
print(udp.recv(100).decode())
`;

/** As CNI's bridge plugin does it: a veth for each pod, with addresses of both families. */
function makeNetwork(): void {
	run(`ip netns add ${lan}; ip -n ${lan} link set lo up; ip -n ${lan} link add br0 type bridge; ip -n ${lan} link set br0 up`);
	run(`ip -n ${lan} addr add 10.99.0.1/24 dev br0; ip -n ${lan} addr add fd99::1/64 dev br0 nodad`);
	for (const pod of PODS) {
		const name = namespaceOf(pod);
		run(`ip netns add ${name}; ip -n ${name} link add eth0 mtu ${MTU} type veth peer name v${pod} netns ${lan}`);
		run(`ip -n ${lan} link set v${pod} mtu ${MTU} master br0 up; ip -n ${name} link set eth0 up; ip -n ${name} link set lo up`);
		run(`ip -n ${name} addr add 10.99.0.${pod}/24 dev eth0; ip -n ${name} addr add fd99::${pod}/64 dev eth0 nodad`);
		run(`ip -n ${name} route add default via 10.99.0.1`);
	}
}

t.test('two machines in networks of their own', async (t) => {
	const bench = new Workbench();
	t.teardown(async () => {
		await bench.clean();
		for (const name of [...PODS.map(namespaceOf), lan]) spawnSync('ip', ['netns', 'delete', name]);
	});
	makeNetwork();
	for (const pod of PODS) {
		bench.configure(['python3', '-c', SERVER], {
			process: {
				terminal: false,
				capabilities: Object.fromEntries(['bounding', 'effective', 'permitted'].map((set) => [set, ['CAP_NET_RAW']])),
			},
			root: { path: rootfsPath('full'), readonly: true },
			linux: {
				namespaces: [
					...['pid', 'mount', 'ipc', 'uts'].map((type) => ({ type })),
					{ type: 'network', path: `/run/netns/${namespaceOf(pod)}` },
				],
			},
		});
		t.equal(bench.leave([...VM, 'create', `c${pod}`]), 0);
		t.equal(bench.isopod(['start', `c${pod}`]).code, 0);
	}
	const inside = (command: string): string => bench.isopod(['exec', 'c2', 'sh', '-c', command]).stdout.trim();
	const links = inside('busybox ip address show eth0');
	t.match(links, new RegExp(`mtu ${MTU}`));
	t.match(links, /inet 10\.99\.0\.2\/24/);
	t.match(links, /inet6 fd99::2\/64/);
	const mac = (JSON.parse(run(`ip -n ${namespaceOf(2)} -json link show eth0`)) as { address: string }[])[0]!.address;
	t.match(links, mac);
	t.match(inside('busybox ip route show'), /^default via 10\.99\.0\.1 dev eth0/);
	await until(() => /ready/.test(inside(`python3 -c '${CLIENT}' 127.0.0.1`)));
	for (const address of ['10.99.0.3', 'fd99::3']) {
		t.equal(inside(`python3 -c '${CLIENT}' ${address}`), 'ready\ndatagram');
		t.match(inside(`busybox ping -c 1 -W 5 ${address}`), /1 packets received/);
	}
	// What a port-forward dials, from a process in the pod's namespace or beside it.
	t.match(run(`ip netns exec ${lan} busybox ping -c 1 -W 5 10.99.0.2`), /1 packets received/);
	t.equal(run(`ip netns exec ${lan} python3 -c '${CLIENT}' 10.99.0.2`), 'ready\ndatagram\n');
	// The host's own network is not behind it: neither its loopback nor its addresses.
	const [host] = run('hostname -I').split(' ');
	if (host !== undefined && /^\d+\./.test(host)) t.notMatch(inside(`busybox ping -c 1 -W 1 ${host}`), /1 packets received/);
	t.equal(inside('ls /sys/class/net'), 'eth0\nlo');
	for (const pod of PODS) t.equal(bench.isopod(['delete', '--force', `c${pod}`]).code, 0);
	for (const pod of PODS) {
		t.notMatch(run(`ip -n ${namespaceOf(pod)} link show`), /isotap/);
		t.notMatch(run(`ip netns exec ${namespaceOf(pod)} tc qdisc show`), /ingress/);
		t.match(run(`ip -n ${namespaceOf(pod)} address show eth0`), new RegExp(`10\\.99\\.0\\.${pod}/24`));
	}
	t.strictSame(bench.leftovers, []);
});
