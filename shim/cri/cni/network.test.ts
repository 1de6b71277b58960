import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { Cni, type Pod } from './network.js';
import { findNetwork, NetworkConfigs, parseNetworkConfig } from './network-config.js';
import { NetworkNamespaces } from './network-namespace.js';

const DEBIAN_PLUGINS = '/usr/lib/cni';
/** Of a process that tells this run's from others. */
const HANG_SECONDS = 1_000_000 + process.pid;

interface Bench {
	readonly folder: string;
	readonly namespaces: NetworkNamespaces;
	/** Stands for the host's network namespace: the plugins work in it, not in the real one. */
	readonly host: string;
	readonly plugins: string;
	readonly cni: Cni;
	/** A pod with a namespace of its own. */
	pod(name: string): Promise<Pod>;
	inNamespace(path: string, ...command: string[]): string;
	writePlugin(name: string, script: string): void;
}

async function makeBench(t: Test, timeoutMs = 20_000): Promise<Bench> {
	const folder = mkdtempSync(join(tmpdir(), 'isopod-cni-'));
	const namespaces = new NetworkNamespaces(join(folder, 'netns'));
	t.teardown(async () => {
		for (const name of await namespaces.list()) await namespaces.remove(name);
		rmSync(folder, { recursive: true, force: true });
	});
	const host = await namespaces.create('host');
	const plugins = join(folder, 'plugins');
	mkdirSync(plugins);
	const writePlugin = (name: string, script: string): void => writeFileSync(join(plugins, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
	for (const name of readdirSync(DEBIAN_PLUGINS)) writePlugin(name, `exec nsenter --net=${host} ${DEBIAN_PLUGINS}/${name}`);
	return {
		folder,
		namespaces,
		host,
		plugins,
		cni: new Cni({ pluginFolders: [plugins], stateFolder: join(folder, 'state'), timeoutMs }),
		pod: async (name) => ({ id: `pod-${name}`, namespace: 'default', name, uid: `uid-${name}`, netns: await namespaces.create(name) }),
		inNamespace: (path, ...command) => execFileSync('nsenter', [`--net=${path}`, ...command], { encoding: 'utf8' }),
		writePlugin,
	};
}

function bridgeConfig(folder: string, more: readonly object[] = []): string {
	const ipam = {
		type: 'host-local',
		dataDir: join(folder, 'ipam'),
		ranges: [[{ subnet: '10.213.0.0/24' }]],
		routes: [{ dst: '0.0.0.0/0' }],
	};
	return JSON.stringify({
		cniVersion: '1.0.0',
		name: 'test',
		plugins: [{ type: 'bridge', bridge: 'testbr0', isGateway: true, ipMasq: false, ipam }, ...more],
	});
}

test('bridge, host-local, portmap, bandwidth: two pods reach each other and a host port leads to one; CHECK; DEL twice', async (t) => {
	const bench = await makeBench(t);
	const { cni, inNamespace, host } = bench;
	const config = parseNetworkConfig(
		bridgeConfig(bench.folder, [
			{ type: 'portmap', capabilities: { portMappings: true }, snat: true },
			{ type: 'bandwidth', capabilities: { bandwidth: true } },
		]),
		'test',
	);
	const one = await bench.pod('one');
	const two = await bench.pod('two');
	const first = await cni.add(config, one, {
		portMappings: [
			{ hostPort: 18080, containerPort: 80, protocol: 'TCP' },
			{ hostPort: 0, containerPort: 81, protocol: 'TCP' },
		],
		bandwidth: { ingressRate: 1e9, ingressBurst: 1e9, egressRate: 1e9, egressBurst: 1e9 },
	});
	// Of the bridge alone: in CHECK Debian's portmap wants rules of IPv6 where there is no such address, and bandwidth crashes without rates.
	const second = await cni.add(parseNetworkConfig(bridgeConfig(bench.folder), 'test'), two);
	t.match(first.ips, [/^10\.213\.0\.\d+$/]);
	t.not(first.ips[0], second.ips[0]);
	t.match(inNamespace(one.netns, 'ip', '-o', 'addr', 'show', 'eth0'), first.ips[0]!);
	t.match(inNamespace(one.netns, 'ip', '-o', 'link', 'show', 'lo'), /<LOOPBACK,UP/);
	await cni.check(two.id);

	const script =
		'import socket; s=socket.create_server(("0.0.0.0",80)); print("up",flush=True)\nwhile True:\n c,_=s.accept(); c.sendall(b"hello"); c.close()';
	const server = spawn('nsenter', [`--net=${one.netns}`, 'python3', '-c', script], { stdio: ['ignore', 'pipe', 'inherit'] });
	t.teardown(() => server.kill('SIGKILL'));
	await new Promise((resolve) => server.stdout.once('data', resolve));
	const get = 'import socket,sys; print(socket.create_connection((sys.argv[1],int(sys.argv[2])),10).recv(9).decode())';
	t.equal(inNamespace(two.netns, 'python3', '-c', get, first.ips[0]!, '80'), 'hello\n');
	t.equal(inNamespace(two.netns, 'python3', '-c', get, '10.213.0.1', '18080'), 'hello\n', 'by the host port');

	t.strictSame((await new Cni({ pluginFolders: [], stateFolder: join(bench.folder, 'state') }).list()).map(({ podId }) => podId).sort(), [
		'pod-one',
		'pod-two',
	]);
	inNamespace(two.netns, 'ip', 'addr', 'flush', 'dev', 'eth0');
	await t.rejects(cni.check(two.id), { code: 'EIO' }, 'CHECK finds the address gone');
	await cni.del(one.id);
	await cni.del(one.id);
	t.notMatch(inNamespace(one.netns, 'ip', '-o', 'link'), 'eth0');
	t.notMatch(inNamespace(host, 'iptables-save', '-t', 'nat'), '18080');
	await bench.namespaces.remove('two');
	await bench.namespaces.remove('two');
	t.notOk(existsSync(two.netns));
	await cni.del(two.id, 'eth0', false);
	t.strictSame(await cni.list(), []);
	t.strictSame(
		readdirSync(join(bench.folder, 'ipam/test')).filter((name) => name.startsWith('10.')),
		[],
	);
	await t.rejects(cni.check(one.id), { code: 'ENOENT' });
});

test('ptp; a failing chain is undone', async (t) => {
	const bench = await makeBench(t);
	const ipam = { type: 'host-local', dataDir: join(bench.folder, 'ipam'), subnet: '10.214.0.0/24' };
	const ptp = { type: 'ptp', ipam };
	const pod = await bench.pod('one');
	const { ips } = await bench.cni.add(parseNetworkConfig(JSON.stringify({ cniVersion: '0.4.0', name: 'p', ...ptp }), 'x'), pod);
	t.match(ips, [/^10\.214\./]);
	await bench.cni.del(pod.id);
	bench.writePlugin(
		'broken',
		`cat >/dev/null; [ $CNI_COMMAND = DEL ] && exit 0; echo '{"code":103,"msg":"no luck","details":"today"}'; exit 1`,
	);
	const chain = parseNetworkConfig(JSON.stringify({ cniVersion: '1.0.0', name: 'c', plugins: [ptp, { type: 'broken' }] }), 'x');
	await t.rejects(bench.cni.add(chain, pod), { code: 'EIO', message: /broken \(ADD\): code 103: no luck; today/ });
	t.notMatch(bench.inNamespace(pod.netns, 'ip', '-o', 'link'), 'eth0');
	t.strictSame(await bench.cni.list(), []);
});

test('plugins that hang, print garbage or too much, or are not there', async (t) => {
	const bench = await makeBench(t, 1500);
	const pod = await bench.pod('one');
	const chain = (type: string) => parseNetworkConfig(JSON.stringify({ cniVersion: '1.0.0', name: 'c', type }), 'x');
	const cases: readonly (readonly [name: string, script: string | null, code: string])[] = [
		['hangs', `sleep ${HANG_SECONDS} & wait`, 'ETIMEDOUT'],
		['garbage', 'echo "<html>"', 'EPROTO'],
		['list', 'echo "[]"', 'EPROTO'],
		['silent', 'true', 'EPROTO'],
		['addressless', `echo '{"cniVersion":"1.0.0","ips":[]}'`, 'EADDRNOTAVAIL'],
		['nonsense', `echo '{"ips":[5]}'`, 'EPROTO'],
		['floods', 'exec yes', 'EFBIG'],
		['crashes', 'kill -SEGV $$', 'EIO'],
		['missing', null, 'ENOENT'],
	];
	for (const [name, script, code] of cases) {
		if (script !== null) bench.writePlugin(name, `[ $CNI_COMMAND = DEL ] && exit 0; ${script}`);
		await t.rejects(
			bench.cni.add(chain(name), pod),
			{ code, message: new RegExp(name === 'addressless' || name === 'nonsense' || name === 'silent' ? 'result' : name) },
			name,
		);
	}
	// Its DEL failed too, so it is remembered; once the plugin is back it goes.
	t.strictSame(
		(await bench.cni.list()).map(({ attachment }) => attachment),
		[null],
	);
	await t.rejects(bench.cni.del(pod.id), { code: 'ENOENT' });
	bench.writePlugin('missing', 'exit 0');
	await bench.cni.del(pod.id);
	t.strictSame(await bench.cni.list(), []);
	t.equal(
		spawnSync('pgrep', ['-f', `sleep ${HANG_SECONDS}`], { encoding: 'utf8' }).stdout.trim(),
		'',
		'what the hanging plugin started is gone',
	);
	await t.rejects(bench.cni.add(chain('silent'), { ...pod, id: '../x' }), { code: 'EINVAL' });
	await t.rejects(bench.cni.add(chain('silent'), { ...pod, name: 'x;K8S_POD_NAME=y' }), { code: 'EINVAL' });
	await t.rejects(bench.cni.add(chain('silent'), pod, {}, 'a name that is long'), { code: 'EINVAL' });
	await t.rejects(bench.namespaces.create('one'), { code: 'EEXIST' });
	await t.rejects(bench.namespaces.create('../one'), { code: 'EINVAL' });
});

test('the lexically first configuration counts, broken ones are passed over, changes are seen', async (t) => {
	const root = mkdtempSync(join(tmpdir(), 'isopod-cni-'));
	t.teardown(() => rmSync(root, { recursive: true, force: true }));
	const folder = join(root, 'net.d');
	t.match(findNetwork(folder), { config: null, reason: /ENOENT/ });
	let seen: (() => void) | null = null;
	const configs = new NetworkConfigs(folder, () => seen?.());
	t.teardown(() => configs.close());
	// The watching alone keeps no process alive.
	const alive = setInterval(() => undefined, 1000);
	t.teardown(() => clearInterval(alive));
	const change = (action: () => void): Promise<void> =>
		new Promise((resolve) => {
			seen = resolve;
			action();
		});
	await change(() => {
		mkdirSync(folder);
		writeFileSync(join(folder, '20-b.conflist'), bridgeConfig(root));
	});
	t.match(configs.current, { file: join(folder, '20-b.conflist'), config: { name: 'test' } });
	await change(() => writeFileSync(join(folder, '10-a.conf'), '{"cniVersion":"1.0.0","name":"a","type":"ptp"}'));
	t.match(configs.current, { config: { name: 'a', plugins: [{ type: 'ptp' }] } });
	await change(() => writeFileSync(join(folder, '10-a.conf'), '{"cniVersion":"1.0.0","name":"a/../b","type":"ptp"}'));
	t.match(configs.current, { config: { name: 'test' } });
	await change(() => rmSync(join(folder, '20-b.conflist')));
	t.match(configs.current, { config: null, reason: /10-a\.conf: name is/ });
	for (const text of [
		'',
		'[]',
		'{"name":"x","cniVersion":"0.2.0","type":"a"}',
		'{"name":"x","cniVersion":"1.0.0","plugins":[]}',
		'{"name":"x","cniVersion":"1.0.0","type":"../a"}',
		'{"name":"x","cniVersion":"1.0.0","plugins":[3]}',
	])
		t.throws(() => parseNetworkConfig(text, 'file'), { code: 'EINVAL' }, text);
});
