import { chmodSync, mkdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import t from 'tap';
import { ended, exec } from '../../containerd/testing-pod.js';
import type { CriClient } from '../client.js';
import { ServeBench } from './testing.js';

/** What a pod asks for as kubelet would: true once it is so. A probe never throws. */
type Probe = () => Promise<boolean>;

const TREE = resolve(import.meta.dirname, '../../../../.isopod/rootfs/servers');
const SERVERS = 'localhost/servers:1';
const PROBE_MS = 1000;
/** A user that the image's /etc/passwd has. */
export const WWW_DATA = 33;
const MEBIBYTE = 1 << 20;
const namespaceOptions = { network: 0, pid: 1, ipc: 0 };

const NGINX = `
cat >/tmp/nginx.conf <<END
daemon off; worker_processes 2; pid /tmp/nginx.pid; error_log stderr;
events {}
http { access_log off; client_body_temp_path /tmp/body; server { listen 80; root /data; location /healthz { return 200 "fine"; } } }
END
exec nginx -c /tmp/nginx.conf -e stderr`;
const REDIS = 'exec redis-server --bind 0.0.0.0 --protected-mode no --dir /data --save "" --appendonly yes --appendfsync always';

/** A pod with a volume that its containers share. */
export class ServerPod {
	readonly volume: string;
	id = '';
	ip = '';

	constructor(
		private readonly bench: ServeBench,
		private readonly name: string,
		private readonly handler: string,
		volume = name,
	) {
		this.volume = join(bench.folder, `volume-${volume}`);
		mkdirSync(this.volume, { recursive: true });
		// What kubelet does for an emptyDir.
		chmodSync(this.volume, 0o777);
	}

	private get cri(): CriClient {
		return this.bench.cri;
	}

	async run(): Promise<void> {
		const config = {
			metadata: { name: this.name, uid: this.name, namespace: 'default' },
			...{ hostname: this.name, logDirectory: this.bench.logs },
			linux: { securityContext: { namespaceOptions }, resources: { memoryLimitInBytes: 512 * MEBIBYTE } },
		};
		this.id = (await this.cri.call('RunPodSandbox', { config, runtimeHandler: this.handler })).podSandboxId;
		this.ip = (await this.cri.call('PodSandboxStatus', { podSandboxId: this.id })).status?.network?.ip ?? '';
	}

	/** A container of a shell's script, with the volume at /data. */
	async start(name: string, script: string, { uid = 0, memory = 256 * MEBIBYTE, attempt = 0 } = {}): Promise<string> {
		const config = {
			...{
				metadata: { name, attempt },
				image: { image: SERVERS },
				command: ['/bin/sh', '-c', script],
				logPath: `${this.name}-${name}.log`,
			},
			mounts: [{ hostPath: this.volume, containerPath: '/data' }],
			linux: {
				resources: { memoryLimitInBytes: memory, cpuQuota: 200_000, cpuPeriod: 100_000 },
				securityContext: { namespaceOptions, runAsUser: { value: uid } },
			},
		};
		const { containerId } = await this.cri.call('CreateContainer', { podSandboxId: this.id, config });
		await this.cri.call('StartContainer', { containerId });
		return containerId;
	}

	/** As kubelet restarts a container: the old one is stopped, a new one made, the old one removed. */
	async restart(containerId: string, name: string, script: string, uid: number): Promise<string> {
		await this.cri.call('StopContainer', { containerId, timeout: 5 });
		const next = await this.start(name, script, { uid, attempt: 1 });
		await this.cri.call('RemoveContainer', { containerId });
		return next;
	}

	exec(containerId: string, ...cmd: readonly string[]): Probe {
		return async () => {
			try {
				return (await this.cri.call('ExecSync', { containerId, cmd: [...cmd], timeout: 5 })).exitCode === 0;
			} catch {
				return false;
			}
		};
	}

	tcp(port: number): Probe {
		return () =>
			new Promise((then) => {
				const socket = connect({ host: this.ip, port, timeout: PROBE_MS });
				const end = (isReady: boolean): void => {
					socket.destroy();
					then(isReady);
				};
				socket.once('connect', () => end(true)).once('error', () => end(false));
				socket.once('timeout', () => end(false));
			});
	}

	http(path: string): Probe {
		return () =>
			fetch(`http://${this.ip}${path}`, { signal: AbortSignal.timeout(PROBE_MS) }).then(
				async (response) => {
					await response.text();
					return response.ok;
				},
				() => false,
			);
	}

	/** Waits for a probe, of the container whose log explains why it may never be so. */
	async ready(name: string, probe: Probe): Promise<void> {
		for (let tries = 0; !(await probe()); tries++) {
			if (tries > 200)
				throw new Error(`${this.name}/${name} isn't ready: ${readFileSync(join(this.bench.logs, `${this.name}-${name}.log`))}`);
			await setTimeout(200);
		}
	}
}

/** A server that has the image of nginx, redis and PostgreSQL, until the test ends. */
export async function startServers(): Promise<ServeBench> {
	const bench = new ServeBench();
	t.teardown(() => bench.stop());
	await bench.addImage(TREE, SERVERS, { Env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin'] });
	await bench.start();
	return bench;
}

/** nginx and redis from Debian as pods of `handler`: their probes, limits, volumes and second containers, and their addresses. */
export async function testServers(handler: string): Promise<void> {
	const bench = await startServers();
	const { cri } = bench;

	t.test('nginx serves what a second container writes into their volume', async (t) => {
		const pod = new ServerPod(bench, 'web', handler);
		await pod.run();
		t.ok(pod.ip.startsWith(bench.subnet), 'it has an address of the network');
		t.notOk(await pod.tcp(80)(), 'nothing listens before');
		const nginx = await pod.start('nginx', NGINX);
		const writer = await pod.start('writer', 'while :; do date +%s%N >/data/.new; mv /data/.new /data/index.html; sleep 0.2; done', {
			uid: WWW_DATA,
		});
		await pod.ready('nginx', pod.tcp(80));
		await pod.ready('nginx', pod.http('/healthz'));
		await pod.ready('nginx', pod.http('/'));
		const page = (): Promise<string> => fetch(`http://${pod.ip}/`).then((response) => response.text());
		const first = await page();
		for (let tries = 0; (await page()) === first; tries++) {
			if (tries > 100) throw new Error('the page does not change');
			await setTimeout(100);
		}
		t.pass('the page changes');
		const pages = await Promise.all(Array.from({ length: 50 }, page));
		t.ok(
			pages.every((text) => /^\d{19}\n$/.test(text)),
			'many clients at once read whole pages',
		);
		t.equal((await fetch(`http://${pod.ip}/none`)).status, 404);
		await cri.call('StopContainer', { containerId: writer, timeout: 0 });
		t.ok(await pod.http('/healthz')(), 'the end of one container is not that of the other');
		const loops = await exec(cri, nginx, 'ls /proc | grep -c "^[0-9]"; ls /data');
		t.match(loops.stdout, /index\.html/);
		await cri.call('StopContainer', { containerId: nginx, timeout: 5 });
		const { status } = await cri.call('ContainerStatus', { containerId: nginx });
		t.equal(status?.exitCode, 0, 'nginx ends by itself when it is told to');
		t.notOk(await pod.http('/healthz')(), 'a probe fails then');
		await cri.call('RemovePodSandbox', { podSandboxId: pod.id });
	});

	t.test('redis keeps its data over a restart, answers other pods, and is killed at its limit', async (t) => {
		const pod = new ServerPod(bench, 'cache', handler);
		await pod.run();
		let redis = await pod.start('redis', REDIS, { uid: WWW_DATA });
		await pod.ready('redis', pod.exec(redis, 'redis-cli', 'ping'));
		await pod.ready('redis', pod.tcp(6379));
		t.notOk(await pod.exec(redis, 'redis-cli', '-p', '1', 'ping')(), 'a probe of what is not there fails');
		const side = await pod.start('side', 'exec sleep 1000', { uid: WWW_DATA });
		t.same(await exec(cri, side, 'redis-cli set key value; redis-cli -r 500 incr counter | tail -n 1'), {
			...{ code: 0, stdout: 'OK\n500\n', stderr: '' },
		});
		const other = new ServerPod(bench, 'client', handler);
		await other.run();
		const client = await other.start('client', 'exec sleep 1000');
		t.equal((await exec(cri, client, `redis-cli -h ${pod.ip} get key`)).stdout, 'value\n', 'from another pod');
		const speed = await exec(cri, client, `redis-benchmark -h ${pod.ip} -n 400 -c 20 -q -t set,get`);
		t.equal(speed.code, 0);
		redis = await pod.restart(redis, 'redis', REDIS, WWW_DATA);
		await pod.ready('redis', pod.exec(redis, 'redis-cli', 'ping'));
		t.equal((await exec(cri, client, `redis-cli -h ${pod.ip} get counter`)).stdout, '500\n', 'after a restart');
		const small = await pod.start('small', 'exec redis-server --port 6380 --save "" --enable-debug-command yes', { memory: 64 * MEBIBYTE });
		await pod.ready('small', pod.exec(small, 'redis-cli', '-p', '6380', 'ping'));
		await exec(cri, side, 'redis-cli -p 6380 debug populate 200 k 1000000').catch(() => undefined);
		t.match(await ended(cri, small), { exitCode: 137, reason: 'OOMKilled' });
		t.ok(await pod.exec(redis, 'redis-cli', 'ping')(), 'its neighbour lives on');
		for (const podSandboxId of [pod.id, other.id]) await cri.call('RemovePodSandbox', { podSandboxId });
		t.strictSame(bench.leftovers, []);
		t.strictSame(bench.processes, []);
	});
}
