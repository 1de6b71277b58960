import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
	createReadStream,
	existsSync,
	mkdirSync,
	mkdtempSync,
	openSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	rmSync,
	writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { ImageStore } from '../../image/image-store.js';
import { makeTree, writeArchive } from '../../image/testing-archive.js';
import { CriClient } from '../client.js';

const PACKAGE = resolve(import.meta.dirname, '../../../..');
const START_TRIES = 300;
let count = 0;

/** An image of busybox that every bench has. */
export const IMAGE = 'localhost/busybox:1';

/** An `isopod serve` of the test's own: its socket, folders and network below one folder. */
export class ServeBench {
	readonly folder = mkdtempSync(join(tmpdir(), 'isopod-serve-'));
	readonly socket = join(this.folder, 'cri.sock');
	readonly logs = join(this.folder, 'logs');
	/** The bridge of its pods, and the first three numbers of their addresses. */
	readonly bridge = `isc${process.pid % 1_000_000}-${count}`;
	readonly subnet = `10.${200 + (count++ % 50)}.${process.pid % 250}`;
	private child: ChildProcess | null = null;
	private client: CriClient | null = null;

	/** `config` is the text of its configuration file, beside what the options say. */
	constructor(config = '') {
		writeFileSync(join(this.folder, 'config.toml'), config);
		for (const name of ['net.d', 'logs']) mkdirSync(join(this.folder, name));
		const ipam = {
			type: 'host-local',
			dataDir: join(this.folder, 'leases'),
			ranges: [[{ subnet: `${this.subnet}.0/24` }]],
			routes: [{ dst: '0.0.0.0/0' }],
		};
		const plugins = [{ type: 'bridge', bridge: this.bridge, isGateway: true, ipam }];
		writeFileSync(join(this.folder, 'net.d/10-test.conflist'), JSON.stringify({ cniVersion: '1.0.0', name: this.bridge, plugins }));
	}

	get state(): string {
		return join(this.folder, 'state');
	}

	/** Makes an image of a tree be there. Before the server is started: it owns the store. */
	async addImage(tree: string, name: string, config: object): Promise<void> {
		const images = await ImageStore.open(join(this.folder, 'root/images'));
		const archive = join(this.folder, 'image.tar');
		writeArchive(archive, tree, name, config);
		await images.import(createReadStream(archive), name);
		await images.close();
		rmSync(archive);
	}

	/** Starts the server, with the image when it is the first time. */
	async start(): Promise<void> {
		mkdirSync(join(this.folder, 'root'), { recursive: true });
		const tree = join(this.folder, 'tree');
		if (!existsSync(tree)) {
			makeTree(tree);
			await this.addImage(tree, IMAGE, { Cmd: ['/bin/sh'], Env: ['PATH=/bin'] });
		}
		const log = openSync(join(this.folder, 'log'), 'a');
		const args = ['serve', '--listen', `unix://${this.socket}`, '--root', join(this.folder, 'root'), '--state', this.state];
		args.push('--config', join(this.folder, 'config.toml'), '--cni-conf-dir', join(this.folder, 'net.d'), '--cni-bin-dir', '/usr/lib/cni');
		rmSync(this.socket, { force: true });
		this.child = spawn(join(PACKAGE, 'native/build/isopod'), args, { stdio: ['ignore', log, log] });
		for (let tries = 0; ; tries++) {
			try {
				await this.cri.call('Version', {});
				return;
			} catch (error) {
				this.disconnect();
				if (tries > START_TRIES || this.child.exitCode !== null)
					throw new Error(`isopod serve doesn't start: ${this.log}`, { cause: error });
				await new Promise((then) => setTimeout(then, 50));
			}
		}
	}

	get cri(): CriClient {
		this.client ??= new CriClient(this.socket);
		return this.client;
	}

	/** The server's process. */
	get pid(): number {
		return this.child?.pid ?? 0;
	}

	get log(): string {
		return readFileSync(join(this.folder, 'log'), 'utf8');
	}

	/** Ends the server, and waits for its end. */
	async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
		this.disconnect();
		const { child } = this;
		this.child = null;
		if (child === null || child.exitCode !== null || child.signalCode !== null) return;
		const ended = new Promise((then) => child.once('exit', then));
		child.kill(signal);
		await ended;
	}

	private disconnect(): void {
		this.client?.close();
		this.client = null;
	}

	/** What is left of pods and containers: records, folders, mounts, namespaces, network devices. */
	get leftovers(): string[] {
		const names = (folder: string): string[] => (existsSync(folder) ? readdirSync(folder).map((name) => `${folder}/${name}`) : []);
		const folders = [
			'root/pods',
			'root/containers',
			'root/network',
			'root/images/snapshots/active',
			'state/pods',
			'state/containers',
			'state/netns',
		];
		const sandboxes = names(join(this.state, 'sandboxes')).filter((name) => !name.endsWith('/.ids'));
		const mounts = readFileSync('/proc/mounts', 'latin1')
			.split('\n')
			.filter((line) => line.includes(this.folder));
		return [
			...folders.flatMap((folder) => names(join(this.folder, folder))),
			...sandboxes,
			...names(join(this.state, 'sandboxes/.ids')),
			...mounts,
		];
	}

	/** Sandbox processes that write to logs of this bench, by their pids. */
	get processes(): number[] {
		return readdirSync('/proc')
			.filter((name) => /^\d+$/.test(name))
			.map(Number)
			.filter((pid) => {
				try {
					return readlinkSync(`/proc/${pid}/fd/2`).startsWith(join(this.state, 'sandboxes'));
				} catch {
					return false;
				}
			});
	}

	/** Ends all pods, then the server, and removes everything. */
	async stop(): Promise<void> {
		if (this.child === null) await this.start();
		for (const { id } of (await this.cri.call('ListPodSandbox', {})).items)
			await this.cri.call('RemovePodSandbox', { podSandboxId: id ?? '' }).catch(() => {});
		await this.end('SIGTERM');
		spawnSync('ip', ['link', 'delete', this.bridge]);
		rmSync(this.folder, { recursive: true, force: true });
	}
}
