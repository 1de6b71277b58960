// What containerd 2.x says to a shim, said by the test itself: bootstrap by messages, the sandbox service, version 3 of the task service. Debian's containerd knows
// none of it; against a real one, pods.test.ts runs with CONTAINERD and CONTAINERD_SANDBOXER=shim in its environment.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import t from 'tap';
import { containerd as bootstrap } from '../../proto/generated/bootstrap.js';
import { containerd as eventTypes } from '../../proto/generated/events.js';
import { runtime } from '../../proto/generated/pod-config.js';
import { containerd as sandboxTypes } from '../../proto/generated/pod-sandbox.js';
import { containerd as taskTypes } from '../../proto/generated/task.js';
import { makeTree } from '../image/testing-archive.js';
import { shimState } from './testing.js';
import { TtrpcClient } from './ttrpc/client.js';
import { TtrpcServer } from './ttrpc/server.js';
import { unary } from './ttrpc/service.js';

const PACKAGE = resolve(import.meta.dirname, '../../..');
const { BootstrapParams, BootstrapResult, RuntimeInfo } = bootstrap.bootstrap;
const sandboxes = sandboxTypes.runtime.sandbox;
const tasks = taskTypes.task;
const { PodSandboxConfig } = runtime.v1;

interface Message<T> {
	create(fields?: object): T;
	encode(message: T): { finish(): Uint8Array };
	decode(bytes: Uint8Array): T;
}

const folder = mkdtempSync(join(tmpdir(), 'isopod-sandbox-api-'));
const shim = join(folder, 'containerd-shim-isopod-v1');
symlinkSync(join(PACKAGE, 'native/build/containerd-shim-isopod-v1'), shim);
const tree = join(folder, 'tree');
makeTree(tree);
t.teardown(() => rmSync(folder, { recursive: true, force: true }));

/** Topics, in the order in which they come. */
const topics: string[] = [];
const address = join(folder, 'c.sock.ttrpc');
const forward = eventTypes.events.ForwardRequest;
const receiver = new TtrpcServer(
	{
		'containerd.services.events.ttrpc.v1.Events': {
			Forward: unary(forward, tasks.Empty, ({ envelope }) => {
				topics.push(envelope?.topic ?? '');
				return tasks.Empty.create();
			}),
		},
	},
	() => {},
);
const listener = createServer();
receiver.serve(listener);
listener.listen(address);
t.teardown(() => listener.close());

/** A shim that was started for a sandbox, by its two services. */
class Shim {
	private constructor(
		readonly id: string,
		readonly bundle: string,
		readonly socket: string,
		private readonly client: TtrpcClient,
	) {}

	static async start(id: string): Promise<Shim> {
		const bundle = join(folder, id);
		mkdirSync(bundle);
		const params = BootstrapParams.create({
			instanceId: id,
			namespace: 'api',
			containerdTtrpcAddress: address,
			containerdGrpcAddress: join(folder, 'c.sock'),
			socketDir: folder,
		});
		const { status, stdout, stderr } = spawnSync(shim, ['-namespace', 'api', '-id', id, 'start'], {
			cwd: bundle,
			input: BootstrapParams.encode(params).finish(),
		});
		if (status !== 0) throw new Error(stderr.toString());
		const result = BootstrapResult.decode(stdout);
		t.match(result, { version: 3, protocol: 'ttrpc', address: /^unix:\/\/.*\/isopod-api-/ });
		const socket = (result.address ?? '').slice('unix://'.length);
		return new Shim(id, bundle, socket, await TtrpcClient.connect(socket));
	}

	private async call<Request, Response>(
		service: string,
		method: string,
		[request, response]: readonly [Message<Request>, Message<Response>],
		fields: object,
	): Promise<Response> {
		return response.decode(await this.client.call(service, method, request.encode(request.create(fields)).finish(), { timeoutMs: 30_000 }));
	}

	sandbox<Request, Response>(
		method: string,
		types: readonly [Message<Request>, Message<Response>],
		fields: object = {},
	): Promise<Response> {
		return this.call('containerd.runtime.sandbox.v1.Sandbox', method, types, { sandboxId: this.id, ...fields });
	}

	task<Request, Response>(method: string, types: readonly [Message<Request>, Message<Response>], fields: object): Promise<Response> {
		return this.call('containerd.task.v3.Task', method, types, fields);
	}

	/** CreateSandbox with CRI's configuration, as containerd's CRI plugin gives it. */
	create(fields: object): Promise<unknown> {
		const options = {
			type_url: 'types.googleapis.com/runtime.v1.PodSandboxConfig',
			value: PodSandboxConfig.encode(PodSandboxConfig.create(fields)).finish(),
		};
		return this.sandbox('CreateSandbox', [sandboxes.CreateSandboxRequest, sandboxes.CreateSandboxResponse], {
			bundlePath: this.bundle,
			options,
		});
	}

	/** A bundle of a container of this pod, whose process is `pid`; its output goes to a file. */
	container(id: string, pid: number, args: readonly string[]): { readonly fields: object; readonly output: string } {
		const bundle = join(folder, id);
		mkdirSync(bundle);
		const output = join(bundle, 'output');
		const shared = (['network', 'ipc', 'uts'] as const).map((type) => ({
			type,
			path: `/proc/${pid}/ns/${type === 'network' ? 'net' : type}`,
		}));
		const namespaces = [...shared, { type: 'mount' }, { type: 'pid' }];
		writeFileSync(
			join(bundle, 'config.json'),
			JSON.stringify({
				ociVersion: '1.2.0',
				process: { args, cwd: '/', env: ['PATH=/bin'], user: { uid: 0, gid: 0 }, capabilities: {} },
				root: { path: tree, readonly: true },
				mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }],
				annotations: { 'io.kubernetes.cri.container-type': 'container', 'io.kubernetes.cri.sandbox-id': this.id },
				linux: { cgroupsPath: `/isopod-sandbox-api-${process.pid}/${id}`, namespaces },
			}),
		);
		return { fields: { id, bundle, stdout: `file://${output}` }, output };
	}

	/** Shuts it down. Resolves when its process has ended. */
	async shutDown(): Promise<void> {
		await this.sandbox('ShutdownSandbox', [sandboxes.ShutdownSandboxRequest, sandboxes.ShutdownSandboxResponse]);
		await this.client.closed;
		spawnSync(shim, ['-namespace', 'api', '-id', this.id, '-address', join(folder, 'c.sock'), '-bundle', this.bundle, 'delete'], {
			cwd: this.bundle,
		});
	}
}

/** Records, mounts and sockets that are left, of all pods here. */
function leftovers(): string[] {
	const state = shimState(join(folder, 'c.sock'), 'api');
	const records = existsSync(state) ? readdirSync(state).filter((name) => name !== '.ids') : [];
	const mounts = readFileSync('/proc/mounts', 'latin1')
		.split('\n')
		.filter((line) => line.includes(folder));
	const sockets = readdirSync(folder).filter((name) => name.startsWith('isopod-api-'));
	return [...records, ...mounts, ...sockets];
}

t.test('what a runtime says of itself', (t) => {
	const info = RuntimeInfo.decode(spawnSync(shim, ['-info'], { input: '' }).stdout);
	t.equal(info.name, 'io.containerd.isopod.v1');
	t.match(JSON.parse(Buffer.from(info.features?.value ?? '').toString()), {
		ociVersionMax: /^1\.2/,
		linux: { seccomp: { enabled: true } },
	});
	t.end();
});

t.test('a pod without a pause container: made, started, asked, filled, stopped', async (t) => {
	const pod = await Shim.start('pod1');
	await t.rejects(
		pod.create({ linux: { sysctls: { 'kernel.panic': '1' } } }),
		{ message: /kernel\.panic/ },
		'nothing is left that is in the way',
	);
	await pod.create({
		metadata: { name: 'web', uid: 'u1', namespace: 'default' },
		hostname: 'web-7',
		dnsConfig: { servers: ['10.9.8.7'], searches: ['svc.local'] },
		linux: { cgroupParent: `/isopod-sandbox-api-${process.pid}`, securityContext: { namespaceOptions: { pid: 1 } } },
	});
	await t.rejects(pod.create({}), { message: /sandbox pod1: already exists/ });
	const { pid } = await pod.sandbox('StartSandbox', [sandboxes.StartSandboxRequest, sandboxes.StartSandboxResponse]);
	t.ok(existsSync(`/proc/${pid}/ns/net`), 'it has namespaces');
	const types = [sandboxes.SandboxStatusRequest, sandboxes.SandboxStatusResponse] as const;
	t.match(await pod.sandbox('SandboxStatus', types, { verbose: true }), {
		pid,
		state: 'SANDBOX_READY',
		info: { info: /"runtimeType":"io\.containerd\.isopod\.v1"/ },
	});
	t.match(await pod.sandbox('Platform', [sandboxes.PlatformRequest, sandboxes.PlatformResponse]), {
		platform: { os: 'linux', architecture: 'amd64' },
	});
	await pod.sandbox('PingSandbox', [sandboxes.PingRequest, sandboxes.PingResponse]);

	const { fields, output } = pod.container('main', pid ?? 0, [
		'/bin/sh',
		'-c',
		'hostname; cat /etc/hostname /etc/resolv.conf; echo $$; exit 6',
	]);
	await pod.task('Create', [tasks.CreateTaskRequest, tasks.CreateTaskResponse], fields);
	const ended = pod.task('Wait', [tasks.WaitRequest, tasks.WaitResponse], { id: 'main' });
	await pod.task('Start', [tasks.StartRequest, tasks.StartResponse], { id: 'main' });
	t.match(await ended, { exitStatus: 6 });
	await pod.task('Delete', [tasks.DeleteRequest, tasks.DeleteResponse], { id: 'main' });
	t.match(readFileSync(output, 'utf8'), /^web-7\nweb-7\nsearch svc\.local\nnameserver 10\.9\.8\.7\n1\n$/);

	const waited = pod.sandbox('WaitSandbox', [sandboxes.WaitSandboxRequest, sandboxes.WaitSandboxResponse]);
	await pod.sandbox('StopSandbox', [sandboxes.StopSandboxRequest, sandboxes.StopSandboxResponse]);
	t.match(await waited, { exitStatus: 137 });
	t.match(await pod.sandbox('SandboxStatus', types), { state: 'SANDBOX_NOTREADY', pid: 0 });
	await t.rejects(pod.sandbox('PingSandbox', [sandboxes.PingRequest, sandboxes.PingResponse]), { message: /sandbox pod1 has ended/ });
	await pod.shutDown();
	t.same(topics, ['/tasks/create', '/tasks/start', '/tasks/exit', '/tasks/delete']);
	t.same(leftovers(), []);
});

t.test('what a sandbox does not give, or the operator does not allow, is refused by name', async (t) => {
	const pod = await Shim.start('pod2');
	const inside = (securityContext: object): object => ({ linux: { securityContext } });
	await t.rejects(pod.create(inside({ namespaceOptions: { network: 2 } })), { message: /hostNetwork/ });
	await t.rejects(pod.create(inside({ namespaceOptions: { pid: 2 } })), { message: /hostPID/ });
	await t.rejects(pod.create(inside({ namespaceOptions: { ipc: 2 } })), { message: /hostIPC/ });
	await t.rejects(pod.create(inside({ privileged: true })), { message: /a privileged pod is not allowed/ });
	await t.rejects(pod.create({ annotations: { 'dev.isopod.trace': 'true' } }), { message: /dev\.isopod\.trace is not allowed/ });
	await t.rejects(pod.sandbox('StartSandbox', [sandboxes.StartSandboxRequest, sandboxes.StartSandboxResponse]), {
		message: /sandbox pod2: not found/,
	});
	await pod.shutDown();
	t.same(leftovers(), []);
});

t.test('a sandbox process that is killed is told', async (t) => {
	const pod = await Shim.start('pod3');
	await pod.create({ linux: { cgroupParent: `/isopod-sandbox-api-${process.pid}` } });
	const { pid } = await pod.sandbox('StartSandbox', [sandboxes.StartSandboxRequest, sandboxes.StartSandboxResponse]);
	const waited = pod.sandbox('WaitSandbox', [sandboxes.WaitSandboxRequest, sandboxes.WaitSandboxResponse]);
	process.kill(pid ?? 0, 'SIGKILL');
	t.match(await waited, { exitStatus: 137 });
	await pod.shutDown();
	t.same(leftovers(), []);
});
