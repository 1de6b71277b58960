import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { makeTree } from '../../image/testing-archive.js';
import type { CriClient, cri } from '../client.js';
import { CASES } from './cases.js';

type PodConfig = cri.PodSandboxConfig.$Properties;
type ContainerConfig = cri.ContainerConfig.$Properties;

/** A CRI server with a handler, which the suite is run against. */
export interface Target {
	readonly name: string;
	readonly cri: CriClient;
	readonly handler: string;
	/** Where the logs of pods may be. */
	readonly logs: string;
	/** Cases that it can't do, each with why. One that passes all the same fails the run. */
	readonly lacks: Readonly<Record<string, string>>;
	stop(): Promise<void>;
}

/** One behaviour that cri.proto documents. It throws where the server does otherwise. */
export interface Case {
	readonly name: string;
	run(bench: Bench): Promise<void>;
}

/** The image that the cases use: `Entrypoint`, `Cmd` and the rest are what they look for. */
export const TEST_IMAGE = 'localhost/conformance:1';
export const TEST_IMAGE_CONFIG = {
	Entrypoint: ['/bin/echo', 'entry'],
	Cmd: ['command'],
	Env: ['PATH=/bin', 'FROM_IMAGE=yes', 'BOTH=image'],
	WorkingDir: '/tmp',
	User: 'app',
	StopSignal: 'SIGUSR1',
	Labels: { test: 'conformance' },
};

/** Its tree: busybox, and a user "app" (1000) of the groups app (1000), first (2001) and second (2002). */
export function conformanceTree(): string {
	const tree = mkdtempSync(join(tmpdir(), 'isopod-conformance-'));
	// A temporary folder is its maker's alone, the root of an image is not.
	chmodSync(tree, 0o755);
	makeTree(tree);
	mkdirSync(join(tree, 'etc'));
	const write = (name: string, lines: readonly string[]): void => writeFileSync(join(tree, name), `${lines.join('\n')}\n`);
	write('etc/passwd', ['root:x:0:0:root:/root:/bin/sh', 'app:x:1000:1000:app:/home/app:/bin/sh', 'other:x:1001:1001::/:/bin/sh']);
	write('etc/group', ['root:x:0:', 'app:x:1000:', 'other:x:1001:', 'first:x:2001:app,other', 'second:x:2002:app']);
	return tree;
}

/** What became of a container that ran to its end. */
export interface Outcome {
	readonly id: string;
	readonly exitCode: number;
	readonly reason: string;
	readonly stdout: string;
	readonly stderr: string;
}

/** How a case reaches the server: what it makes is removed after it. */
export class Bench {
	private shared: Promise<Pod> | null = null;
	private readonly made: Pod[] = [];
	private count = 0;

	constructor(readonly target: Target) {}

	get cri(): CriClient {
		return this.target.cri;
	}

	/** A pod that all cases share which need none of their own. */
	pod(): Promise<Pod> {
		this.shared ??= this.makePod({});
		return this.shared;
	}

	async ownPod(changes: PodConfig = {}): Promise<Pod> {
		const pod = await this.makePod(changes);
		this.made.push(pod);
		return pod;
	}

	private async makePod(changes: PodConfig): Promise<Pod> {
		const name = `pod-${process.pid}-${this.count++}`;
		const config: PodConfig = {
			metadata: { name, uid: `${name}-uid`, namespace: 'conformance', attempt: 0 },
			hostname: name,
			logDirectory: join(this.target.logs, name),
			...changes,
			linux: { securityContext: { namespaceOptions: NAMESPACES }, ...changes.linux },
		};
		mkdirSync(config.logDirectory!, { recursive: true });
		const { podSandboxId } = await this.cri.call('RunPodSandbox', { config, runtimeHandler: this.target.handler });
		return new Pod(this.cri, podSandboxId, config, () => `c${this.count++}`);
	}

	/** Removes what the case has made. */
	async clean(): Promise<void> {
		for (const pod of this.made.splice(0)) await pod.remove();
	}

	async end(): Promise<void> {
		await this.clean();
		await (await this.shared)?.remove();
	}
}

/** Processes of a container's own unless a case says otherwise. */
export const NAMESPACES = { network: 0, pid: 1, ipc: 0 };

export class Pod {
	constructor(
		readonly cri: CriClient,
		readonly id: string,
		readonly config: PodConfig,
		private readonly nextName: () => string,
	) {}

	/** Makes a container of the test image that runs a script in busybox's shell as root, unless `changes` says otherwise. */
	async create(script: string, changes: ContainerConfig = {}): Promise<string> {
		const name = this.nextName();
		const config: ContainerConfig = {
			metadata: { name },
			image: { image: TEST_IMAGE },
			command: ['/bin/sh', '-c', script],
			logPath: `${name}.log`,
			...changes,
			linux: {
				...changes.linux,
				securityContext: { namespaceOptions: NAMESPACES, runAsUser: { value: 0 }, ...changes.linux?.securityContext },
			},
		};
		return (await this.cri.call('CreateContainer', { podSandboxId: this.id, config, sandboxConfig: this.config })).containerId;
	}

	async start(script: string, changes: ContainerConfig = {}): Promise<string> {
		const containerId = await this.create(script, changes);
		await this.cri.call('StartContainer', { containerId });
		return containerId;
	}

	/** Runs a container to its end. */
	async run(script: string, changes: ContainerConfig = {}): Promise<Outcome> {
		const id = await this.start(script, changes);
		const { exitCode = 0, reason = '' } = await this.ended(id);
		return {
			id,
			exitCode: exitCode ?? 0,
			reason: reason ?? '',
			stdout: await this.log(id, 'stdout'),
			stderr: await this.log(id, 'stderr'),
		};
	}

	async status(containerId: string): Promise<cri.ContainerStatus.$Properties> {
		return (await this.cri.call('ContainerStatus', { containerId })).status ?? {};
	}

	async ended(containerId: string): Promise<cri.ContainerStatus.$Properties> {
		for (let tries = 0; tries < 1200; tries++) {
			const status = await this.status(containerId);
			if (status.state === 2) return status;
			await new Promise((then) => setTimeout(then, 25));
		}
		throw new Error(`the container ${containerId} doesn't end`);
	}

	/** What a stream said, from the container's log. */
	async log(containerId: string, stream: 'stdout' | 'stderr'): Promise<string> {
		const { logPath } = await this.status(containerId);
		let text = '';
		for (const line of readFileSync(logPath ?? '', 'utf8').split('\n')) {
			const [, name, tag, rest] = /^\S+ (stdout|stderr) (F|P) ([^\n]*)$/.exec(line) ?? [];
			if (name === stream) text += tag === 'F' ? `${rest}\n` : rest;
		}
		return text;
	}

	async exec(containerId: string, script: string, timeout = 20): Promise<{ code: number; stdout: string; stderr: string }> {
		const { exitCode, stdout, stderr } = await this.cri.call('ExecSync', { containerId, cmd: ['/bin/sh', '-c', script], timeout });
		return { code: exitCode, stdout: Buffer.from(stdout).toString(), stderr: Buffer.from(stderr).toString() };
	}

	/** One that the case has removed is removed already. */
	async remove(): Promise<void> {
		const { items } = await this.cri.call('ListPodSandbox', { filter: { id: this.id } });
		if (items.length === 0) return;
		await this.cri.call('StopPodSandbox', { podSandboxId: this.id });
		await this.cri.call('RemovePodSandbox', { podSandboxId: this.id });
	}
}

/** Runs all cases against a target, as tests of their own. */
export async function runSuite(target: Target): Promise<void> {
	const bench = new Bench(target);
	const only = process.env['CONFORMANCE'] === undefined ? null : new RegExp(process.env['CONFORMANCE']);
	t.teardown(async () => {
		await bench.end();
		await target.stop();
	});
	for (const name of Object.keys(target.lacks)) if (!CASES.some((one) => one.name === name)) throw new Error(`there is no case ${name}`);
	for (const { name, run } of CASES) {
		if (only !== null && !only.test(name)) continue;
		const why = target.lacks[name];
		await t.test(why === undefined ? name : `${name} (not by ${target.name}: ${why})`, async (t) => {
			let failure: unknown = null;
			try {
				await run(bench);
			} catch (error) {
				failure = error;
			}
			try {
				await bench.clean();
			} catch (error) {
				failure ??= error;
			}
			if (why !== undefined) t.ok(failure !== null, `it passes, but is listed as what ${target.name} lacks`);
			else if (failure === null) t.pass('as documented');
			else t.fail(failure instanceof Error ? (failure.stack ?? failure.message) : String(failure));
		});
	}
}

export function removeTree(tree: string): void {
	rmSync(tree, { recursive: true, force: true });
}
