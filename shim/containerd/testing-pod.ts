import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { CriClient } from '../cri/client.js';
import { type Containerd, IMAGE } from './testing.js';

export interface PodChanges {
	readonly handler?: string;
	/** CRI's NamespaceMode of the PID namespace: 0 for the pod's, 1 for each container's. */
	readonly pids?: number;
	readonly annotations?: Readonly<Record<string, string>>;
	/** Of its security context. */
	readonly security?: object;
}

/** A pod by containerd's CRI plugin. */
export class Pod {
	private constructor(
		private readonly cri: CriClient,
		readonly id: string,
		readonly config: object,
		private readonly pids: number,
	) {}

	static async run(
		containerd: Containerd,
		{ handler = 'isopod', pids = 1, annotations = {}, security = {} }: PodChanges = {},
	): Promise<Pod> {
		const { cri } = containerd;
		const logs = logsOf(containerd);
		mkdirSync(logs, { recursive: true });
		const name = `pod${count++}`;
		const config = {
			metadata: { name, uid: `${name}-${process.pid}`, namespace: 'default', attempt: 0 },
			hostname: name,
			logDirectory: logs,
			annotations,
			linux: { securityContext: { namespaceOptions: { network: 0, pid: pids, ipc: 0 }, ...security } },
		};
		const { podSandboxId } = await cri.call('RunPodSandbox', { config, runtimeHandler: handler });
		return new Pod(cri, podSandboxId, config, pids);
	}

	/** Makes and starts a container; its log is NAME.log. */
	async start(name: string, command: readonly string[], changes: object = {}, linux: object = {}): Promise<string> {
		const containerId = await this.create(name, command, changes, linux);
		await this.cri.call('StartContainer', { containerId });
		return containerId;
	}

	async create(name: string, command: readonly string[], changes: object = {}, linux: object = {}): Promise<string> {
		const config = {
			metadata: { name },
			image: { image: IMAGE },
			command: [...command],
			logPath: `${name}.log`,
			...changes,
			linux: { securityContext: { namespaceOptions: { network: 0, pid: this.pids, ipc: 0 } }, ...linux },
		};
		const { containerId } = await this.cri.call('CreateContainer', { podSandboxId: this.id, config, sandboxConfig: this.config });
		return containerId;
	}

	async ip(): Promise<string> {
		return (await this.cri.call('PodSandboxStatus', { podSandboxId: this.id })).status?.network?.ip ?? '';
	}

	async remove(): Promise<void> {
		await this.cri.call('StopPodSandbox', { podSandboxId: this.id });
		await this.cri.call('RemovePodSandbox', { podSandboxId: this.id });
	}
}

let count = 0;

/** Where the logs of a test's containers are. */
export function logsOf({ folder }: Containerd): string {
	return join(folder, 'logs');
}

/** What a script prints in a container, and how it ends. */
export async function exec(cri: CriClient, containerId: string, script: string): Promise<{ code: number; stdout: string; stderr: string }> {
	const { exitCode, stdout, stderr } = await cri.call('ExecSync', { containerId, cmd: ['/bin/sh', '-c', script], timeout: 20 });
	return { code: exitCode, stdout: Buffer.from(stdout).toString(), stderr: Buffer.from(stderr).toString() };
}

/** CRI's ContainerState. */
export const RUNNING = 1;
export const EXITED = 2;

/** Waits until a container has ended: how. */
export async function ended(cri: CriClient, containerId: string): Promise<{ exitCode: number; reason: string }> {
	for (let tries = 0; ; tries++) {
		const { status } = await cri.call('ContainerStatus', { containerId });
		if (status?.state === EXITED) return { exitCode: status.exitCode ?? -1, reason: status.reason ?? '' };
		if (tries > 200) throw new Error(`container ${containerId} doesn't end`);
		await new Promise((then) => setTimeout(then, 50));
	}
}
