import { containerd } from '../../proto/generated/events.js';
import { TtrpcClient } from './ttrpc/client.js';

const SERVICE = 'containerd.services.events.ttrpc.v1.Events';
const TIMEOUT_MS = 5000;
const RETRY_MS = 500;
/** Events that wait while containerd is away: beyond them the oldest are dropped. */
const MAX_WAITING = 4096;

const { events } = containerd;
/** The events of tasks: topic, and the message's class. */
const EVENTS = {
	TaskCreate: ['/tasks/create', events.TaskCreate],
	TaskStart: ['/tasks/start', events.TaskStart],
	TaskExit: ['/tasks/exit', events.TaskExit],
	TaskDelete: ['/tasks/delete', events.TaskDelete],
	TaskExecAdded: ['/tasks/exec-added', events.TaskExecAdded],
	TaskExecStarted: ['/tasks/exec-started', events.TaskExecStarted],
	TaskPaused: ['/tasks/paused', events.TaskPaused],
	TaskResumed: ['/tasks/resumed', events.TaskResumed],
	TaskOOM: ['/tasks/oom', events.TaskOOM],
} as const;
type EventName = keyof typeof EVENTS;
type EventFields<Name extends EventName> = NonNullable<Parameters<(typeof EVENTS)[Name][1]['create']>[0]>;

interface Waiting {
	readonly topic: string;
	readonly typeUrl: string;
	readonly value: Uint8Array;
	readonly atMs: number;
}

/** Tells containerd what happens to tasks: in order, each until it is taken, also across restarts of containerd. */
export class Publisher {
	private readonly waiting: Waiting[] = [];
	private client: TtrpcClient | null = null;
	private isSending = false;
	private whenEmpty: (() => void)[] = [];

	constructor(
		/** containerd's ttrpc socket. */
		private readonly address: string,
		private readonly namespace: string,
		private readonly log: (message: string) => void,
	) {}

	publish<Name extends EventName>(name: Name, fields: EventFields<Name>): void {
		const [topic, type] = EVENTS[name] as readonly [string, { encode(fields: EventFields<Name>): { finish(): Uint8Array } }];
		this.waiting.push({ topic, typeUrl: `containerd.events.${name}`, value: type.encode(fields).finish(), atMs: Date.now() });
		if (this.waiting.length > MAX_WAITING) {
			this.waiting.splice(this.isSending ? 1 : 0, 1);
			this.log('containerd takes no events: the oldest one was dropped');
		}
		if (!this.isSending) this.send();
	}

	/** Resolves when all events were taken, or after `limitMs`. */
	async drained(limitMs: number): Promise<void> {
		if (this.waiting.length === 0) return;
		await Promise.race([
			new Promise<void>((resolve) => this.whenEmpty.push(resolve)),
			new Promise<void>((resolve) => setTimeout(resolve, limitMs).unref()),
		]);
	}

	private async send(): Promise<void> {
		this.isSending = true;
		for (let next = this.waiting[0]; next !== undefined; next = this.waiting[0]) {
			try {
				this.client ??= await this.connect();
				await this.client.call(SERVICE, 'Forward', this.encode(next), { timeoutMs: TIMEOUT_MS });
				this.waiting.shift();
			} catch (error) {
				this.log(`Tell containerd ${next.topic}: ${error instanceof Error ? error.message : String(error)}`);
				this.client?.close();
				this.client = null;
				await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
			}
		}
		this.isSending = false;
		for (const resolve of this.whenEmpty.splice(0)) resolve();
	}

	private async connect(): Promise<TtrpcClient> {
		const client = await TtrpcClient.connect(this.address);
		client.unref();
		client.closed.then(() => {
			if (this.client === client) this.client = null;
		});
		return client;
	}

	private encode({ topic, typeUrl, value, atMs }: Waiting): Uint8Array {
		const timestamp = timestampOf(atMs);
		return events.ForwardRequest.encode(
			events.ForwardRequest.create({ envelope: { timestamp, namespace: this.namespace, topic, event: { type_url: typeUrl, value } } }),
		).finish();
	}
}

/** A google.protobuf.Timestamp of milliseconds since 1970. */
export function timestampOf(ms: number): { seconds: number; nanos: number } {
	const seconds = Math.floor(ms / 1000);
	return { seconds, nanos: Math.round((ms - seconds * 1000) * 1e6) };
}
