import { join } from 'node:path';
import type { runtime } from '../../../proto/generated/cri.js';
import { cri } from '../methods.js';
import type { ContainerIo } from './container-io.js';
import type { Pod } from './pod.js';
import type { ContainerRecord } from './records.js';

/** A container as the server holds it. */
export class Container {
	readonly config: InstanceType<typeof cri.ContainerConfig>;
	/** Null when it has ended and its output is in the log. */
	io: ContainerIo | null = null;
	/** The host's pid that stands for its program, while that runs. */
	pid = 0;
	private waiting: (() => void)[] = [];

	constructor(
		readonly pod: Pod,
		readonly record: ContainerRecord,
	) {
		this.config = cri.ContainerConfig.decode(Buffer.from(record.config, 'base64'));
	}

	get id(): string {
		return this.record.id;
	}

	/** '' when it has none. */
	get logPath(): string {
		const { logDirectory } = this.pod.config;
		return logDirectory === '' || this.config.logPath === '' ? '' : join(logDirectory, this.config.logPath);
	}

	get resources(): InstanceType<typeof cri.LinuxContainerResources> {
		return cri.LinuxContainerResources.decode(Buffer.from(this.record.resources, 'base64'));
	}

	/** Resolves when it has ended. */
	ended(): Promise<void> {
		return this.record.state === 'exited' ? Promise.resolve() : new Promise((resolve) => this.waiting.push(resolve));
	}

	tellEnd(): void {
		for (const resolve of this.waiting.splice(0)) resolve();
	}

	/** For lists. */
	summary(): runtime.v1.Container.$Properties {
		const { metadata = null, image = null, labels, annotations } = this.config;
		const { id, imageRef, imageId, createdAt } = this.record;
		return { id, podSandboxId: this.pod.id, metadata, image, imageRef, imageId, state: this.state, createdAt, labels, annotations };
	}

	status(): runtime.v1.ContainerStatus.$Properties {
		const { metadata = null, image = null, labels, annotations, mounts, stopSignal } = this.config;
		const { id, imageRef, imageId, createdAt, startedAt, finishedAt, exitCode, reason, message, user } = this.record;
		return {
			...{
				id,
				metadata,
				image,
				imageRef,
				imageId,
				labels,
				annotations,
				mounts,
				createdAt,
				startedAt,
				finishedAt,
				exitCode,
				reason,
				message,
			},
			state: this.state,
			logPath: this.logPath,
			resources: { linux: this.resources },
			user: { linux: { uid: user.uid, gid: user.gid, supplementalGroups: [...user.groups] } },
			stopSignal,
		};
	}

	get state(): runtime.v1.ContainerState {
		return STATES[this.record.state];
	}
}

const { CONTAINER_CREATED, CONTAINER_RUNNING, CONTAINER_EXITED } = cri.ContainerState;
const STATES = { making: CONTAINER_CREATED, created: CONTAINER_CREATED, running: CONTAINER_RUNNING, exited: CONTAINER_EXITED } as const;
