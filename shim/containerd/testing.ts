import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
	appendFileSync,
	chmodSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	openSync,
	readdirSync,
	readFileSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { CriClient } from '../cri/client.js';
import { makeTree, writeArchive } from '../image/testing-archive.js';

const PACKAGE = resolve(import.meta.dirname, '../../..');
const LIMIT_MS = 60_000;

/** The program, with ctr and the shim of runc beside it: Debian's 1.6, unless CONTAINERD names another one. */
export const CONTAINERD = process.env['CONTAINERD'] ?? 'containerd';
const CTR = CONTAINERD.includes('/') ? join(dirname(CONTAINERD), 'ctr') : 'ctr';
/** Of containerd 2.x: "shim" has the shim make pods itself, without a pause image's container. */
const SANDBOXER = process.env['CONTAINERD_SANDBOXER'] ?? 'podsandbox';
/** Standard error is the container's. */
const CTR_ENVIRONMENT = { ...process.env, CONTAINERD_SUPPRESS_DEPRECATION_WARNINGS: '1' };
/** 1 or 2. */
export const MAJOR_VERSION = Number(
	/ v?([12])\.\d+\./.exec(spawnSync(CONTAINERD, ['--version'], { encoding: 'utf8' }).stdout ?? '')?.[1] ?? 1,
);

export const RUNTIME = 'io.containerd.isopod.v1';
export const IMAGE = 'localhost/busybox:1';
const PAUSE = 'localhost/pause:1';

export interface Ended {
	readonly code: number;
	readonly stdout: string;
	readonly stderr: string;
}

/** Where shims keep their records: those for one namespace of the containerd with that socket. */
export function shimState(socket: string, namespace: string): string {
	let hash = 2166136261;
	for (const byte of Buffer.from(socket)) hash = Math.imul(hash ^ byte, 16777619) >>> 0;
	return `/run/containerd/isopod/${namespace}-${hash.toString(16).padStart(8, '0')}`;
}

/** A containerd of the test's own: its socket, root, state, network and shims below one folder. */
export class Containerd {
	readonly folder = mkdtempSync(join(tmpdir(), 'isopod-containerd-'));
	readonly socket = join(this.folder, 'c.sock');
	/** Isopod's configuration for pods of the handler `configured`; a test writes it. */
	readonly operatorFile = join(this.folder, 'operator.toml');
	private readonly bridge = `iso${process.pid}`;
	private child: ChildProcess | null = null;
	private client: CriClient | null = null;

	constructor() {
		// The root of a user namespace goes through it to its bundle.
		chmodSync(this.folder, 0o711);
		const bin = join(this.folder, 'bin');
		const net = join(this.folder, 'net.d');
		for (const folder of [bin, net]) mkdirSync(folder);
		for (const name of ['isopod', 'isopod-vm'])
			symlinkSync(join(PACKAGE, 'native/build/containerd-shim-isopod-v1'), join(bin, `containerd-shim-${name}-v1`));
		writeFileSync(join(this.folder, 'config.toml'), this.config());
		writeFileSync(join(net, '10-test.conflist'), this.network());
	}

	private config(): string {
		const head = `root = "${this.folder}/root"\nstate = "${this.folder}/state"\n[grpc]\n  address = "${this.socket}"\n`;
		return MAJOR_VERSION === 1 ? `version = 2\n${head}${this.pluginsOf1()}` : `version = 3\n${head}${this.pluginsOf2()}`;
	}

	private pluginsOf1(): string {
		return `[plugins."io.containerd.grpc.v1.cri"]
  # Lowering scores takes CAP_SYS_RESOURCE.
  restrict_oom_score_adj = true
  sandbox_image = "${PAUSE}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "${this.folder}/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.isopod-vm]
    runtime_type = "io.containerd.isopod-vm.v1"
${this.annotated('isopod')}    runtime_type = "${RUNTIME}"
${this.annotated('configured')}    runtime_type = "${RUNTIME}"
    options.ConfigPath = "${this.operatorFile}"
`;
	}

	/** The CRI plugin's table of a runtime that gets our annotations. */
	private annotated(runtime: string, plugin = 'io.containerd.grpc.v1.cri'): string {
		return `  [plugins."${plugin}".containerd.runtimes.${runtime}]
    pod_annotations = ["dev.isopod.*"]
    container_annotations = ["dev.isopod.*"]
`;
	}

	/** Adds to its configuration, before it is started. */
	configure(toml: string): void {
		appendFileSync(join(this.folder, 'config.toml'), toml);
	}

	private pluginsOf2(): string {
		const plugin = 'io.containerd.cri.v1.runtime';
		return `[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "${PAUSE}"
[plugins."io.containerd.nri.v1.nri"]
  disable = true
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["/usr/lib/cni"]
    conf_dir = "${this.folder}/net.d"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.isopod-vm]
    runtime_type = "io.containerd.isopod-vm.v1"
    sandboxer = "${SANDBOXER}"
${this.annotated('isopod', plugin)}    runtime_type = "${RUNTIME}"
    sandboxer = "${SANDBOXER}"
${this.annotated('configured', plugin)}    runtime_type = "${RUNTIME}"
    options.ConfigPath = "${this.operatorFile}"
`;
	}

	private network(): string {
		const ipam = {
			type: 'host-local',
			dataDir: join(this.folder, 'leases'),
			ranges: [[{ subnet: `10.199.${process.pid % 250}.0/24` }]],
			routes: [{ dst: '0.0.0.0/0' }],
		};
		return JSON.stringify({
			cniVersion: '0.4.0',
			name: this.bridge,
			plugins: [{ type: 'bridge', bridge: this.bridge, isGateway: true, ipam }],
		});
	}

	/** Starts it, and makes the images when it is the first time. */
	async start(): Promise<void> {
		const log = openSync(join(this.folder, 'log'), 'a');
		// What lies beside containerd, such as its own shim of runc, fits it.
		const path = [join(this.folder, 'bin'), ...(CONTAINERD.includes('/') ? [dirname(CONTAINERD)] : []), process.env['PATH']].join(':');
		const env = { ...process.env, PATH: path };
		this.child = spawn(CONTAINERD, ['--config', join(this.folder, 'config.toml')], { stdio: ['ignore', log, log], env });
		for (let tries = 0; this.ctr(['version']).code !== 0; tries++) {
			if (tries > 100 || this.child.exitCode !== null) throw new Error(`containerd doesn't start: ${this.log}`);
			await new Promise((then) => setTimeout(then, 100));
		}
		await this.recovered();
		if (existsSync(join(this.folder, 'tree'))) return;
		const tree = join(this.folder, 'tree');
		makeTree(tree);
		this.importImage(tree, IMAGE, { Cmd: ['/bin/sh'], Env: ['PATH=/bin'] });
		this.importImage(tree, PAUSE, { Cmd: ['/bin/sleep', '1000000'], Env: ['PATH=/bin'] });
	}

	/** Its CRI plugin has found again what there was. */
	private async recovered(): Promise<void> {
		for (let tries = 0; ; tries++) {
			try {
				await this.cri.call('ListContainers', {});
				return;
			} catch (error) {
				if (tries > 100) throw error;
				await new Promise((then) => setTimeout(then, 100));
			}
		}
	}

	/** Makes an image of a tree, for containerd's own namespaces. */
	importImage(tree: string, name: string, config: object): void {
		const archive = join(this.folder, 'image.tar');
		writeArchive(archive, tree, name, config);
		for (const namespace of ['default', 'k8s.io']) {
			const { code, stderr } = this.ctr(['--namespace', namespace, 'images', 'import', archive]);
			if (code !== 0) throw new Error(`ctr images import: ${stderr}`);
		}
		rmSync(archive);
	}

	ctr(args: readonly string[], input: string | Buffer = ''): Ended {
		const result = spawnSync(CTR, ['--address', this.socket, ...args], {
			input,
			timeout: LIMIT_MS,
			maxBuffer: 1 << 28,
			env: CTR_ENVIRONMENT,
		});
		return { code: result.status ?? 255, stdout: result.stdout.toString('latin1'), stderr: result.stderr.toString() };
	}

	/** `ctr` that goes on beside the test. */
	startCtr(args: readonly string[]): ChildProcess {
		return spawn(CTR, ['--address', this.socket, ...args], { stdio: 'pipe' });
	}

	/** Its CRI plugin. */
	get cri(): CriClient {
		this.client ??= new CriClient(this.socket);
		return this.client;
	}

	/** Its process. */
	get pid(): number {
		return this.child?.pid ?? 0;
	}

	get log(): string {
		return readFileSync(join(this.folder, 'log'), 'utf8');
	}

	/** Where the shims of one of its namespaces keep their records. */
	stateOf(namespace: string): string {
		return shimState(this.socket, namespace);
	}

	/** What shims have left: records, sockets, mounts, processes. */
	get leftovers(): string[] {
		const scopes = ['default', 'k8s.io'].map((namespace) => this.stateOf(namespace));
		const names = (folder: string): string[] => (existsSync(folder) ? readdirSync(folder).map((name) => `${folder}/${name}`) : []);
		const slots = scopes.flatMap((scope) => names(join(scope, '.ids')));
		const records = scopes.flatMap(names).filter((name) => !name.endsWith('/.ids'));
		const tags = scopes.map((scope) => scope.split('/').at(-1)!);
		const sockets = names('/run/containerd/s').filter((name) => tags.some((tag) => name.includes(tag)));
		const mounts = readFileSync('/proc/mounts', 'latin1')
			.split('\n')
			.filter((line) => line.includes(this.folder));
		return [...slots, ...records, ...sockets, ...mounts];
	}

	/** kill -9. */
	async kill(): Promise<void> {
		const { child } = this;
		if (child === null || child.exitCode !== null || child.signalCode !== null) return;
		const ended = new Promise((then) => child.once('exit', then));
		child.kill('SIGKILL');
		await ended;
	}

	/** Ends all pods and containers, then containerd itself. */
	async stop(): Promise<void> {
		const { items } = await this.cri.call('ListPodSandbox', {});
		for (const { id } of items) {
			await this.cri.call('StopPodSandbox', { podSandboxId: id ?? '' }).catch(() => {});
			await this.cri.call('RemovePodSandbox', { podSandboxId: id ?? '' }).catch(() => {});
		}
		for (const id of this.ctr(['task', 'list', '--quiet']).stdout.split('\n').filter(Boolean)) {
			this.ctr(['task', 'kill', '--signal', 'KILL', id]);
			this.ctr(['task', 'delete', '--force', id]);
			this.ctr(['container', 'delete', id]);
		}
		this.client?.close();
		await this.kill();
		spawnSync('ip', ['link', 'delete', this.bridge]);
		rmSync(this.folder, { recursive: true, force: true });
	}
}
