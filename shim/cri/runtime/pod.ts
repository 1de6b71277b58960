import type { runtime } from '../../../proto/generated/cri.js';
import type { Sandbox } from '../../../runtime/sandbox/sandbox.js';
import { cri } from '../methods.js';
import type { Container } from './container.js';
import type { PodRecord } from './records.js';

/** A pod sandbox as the server holds it. */
export class Pod {
	readonly config: InstanceType<typeof cri.PodSandboxConfig>;
	/** Null before it is made, and when it has gone. */
	sandbox: Sandbox | null = null;
	readonly containers = new Map<string, Container>();
	/** Changes of the pod and its containers, one after another. */
	private last: Promise<void> = Promise.resolve();

	constructor(readonly record: PodRecord) {
		this.config = cri.PodSandboxConfig.decode(Buffer.from(record.config, 'base64'));
	}

	get id(): string {
		return this.record.id;
	}

	get isReady(): boolean {
		return this.record.state === 'ready' && this.sandbox !== null;
	}

	/** Runs one change when those before it are done. */
	alone<T>(action: () => Promise<T>): Promise<T> {
		const done = this.last.then(action);
		this.last = done.then(
			() => undefined,
			() => undefined,
		);
		return done;
	}

	/** For lists. */
	summary(): runtime.v1.PodSandbox.$Properties {
		const { metadata = null, labels, annotations } = this.config;
		const { id, createdAt, handler } = this.record;
		return { id, metadata, labels, annotations, createdAt, state: this.state, runtimeHandler: handler };
	}

	status(): runtime.v1.PodSandboxStatus.$Properties {
		const [ip = '', ...others] = this.record.ips;
		const options = this.config.linux?.securityContext?.namespaceOptions ?? {};
		return {
			...this.summary(),
			network: { ip, additionalIps: others.map((additional) => ({ ip: additional })) },
			linux: { namespaces: { options } },
		};
	}

	private get state(): runtime.v1.PodSandboxState {
		return this.isReady ? cri.PodSandboxState.SANDBOX_READY : cri.PodSandboxState.SANDBOX_NOTREADY;
	}
}
