import type { Readable, Writable } from 'node:stream';
import { ContainerLog, type StreamName } from './container-log.js';
import { ProcessStreams } from './process-streams.js';

export interface ContainerIoOptions {
	/** Of the container's FIFOs. */
	readonly folder: string;
	/** Its log file, '' for none. */
	readonly logPath: string;
	readonly stdin: boolean;
	/** stdin is closed when the first who was attached to it has gone. */
	readonly stdinOnce: boolean;
	readonly terminal: boolean;
	/** How long somebody who is attached may take nothing, while the container waits. */
	readonly stallMs?: number;
	/** Told when the log can't be written, and when it can be again. */
	readonly onLost?: (message: string) => void;
}

const STALL_MS = 30_000;

/** Somebody attached to a container: where its output goes. */
interface Sink {
	readonly name: StreamName;
	readonly stream: Writable;
}

/** The standard streams of a container's program: into its log, and to and from those who attach. */
export class ContainerIo {
	private readonly sinks = new Set<Sink>();
	private readonly log: ContainerLog | null;
	/** Resolves when all that the program wrote is in the log. */
	readonly drained: Promise<void>;

	private constructor(
		private readonly streams: ProcessStreams,
		private readonly options: ContainerIoOptions,
	) {
		this.log = options.logPath === '' ? null : new ContainerLog(options.logPath, options.onLost);
		const copies = (['stdout', 'stderr'] as const).map((name) => this.copy(name, streams[name]));
		this.drained = Promise.all(copies).then(() => undefined);
	}

	/** For a container that is being made. Throws HostError. */
	static make(options: ContainerIoOptions): ContainerIo {
		const { stdin, stdinOnce, terminal } = options;
		const hasStdinEnd = stdinOnce && !terminal;
		return ContainerIo.over(ProcessStreams.fifos(options.folder, { stdin, stdout: true, stderr: true, terminal, hasStdinEnd }), options);
	}

	/** For one that another server made. */
	static reopen(options: ContainerIoOptions): ContainerIo {
		const { stdin, terminal } = options;
		return ContainerIo.over(ProcessStreams.reopen(options.folder, { stdin, stdout: true, stderr: true, terminal }), options);
	}

	private static over(streams: ProcessStreams, options: ContainerIoOptions): ContainerIo {
		try {
			return new ContainerIo(streams, options);
		} catch (error) {
			streams.close();
			throw error;
		}
	}

	/** What the sandbox gets, until `handedOver`. */
	get stdio(): readonly number[] {
		return this.streams.stdio;
	}

	handedOver(): void {
		this.streams.handedOver();
	}

	private async copy(name: StreamName, source: Readable | null): Promise<void> {
		if (source === null) return;
		try {
			for await (const bytes of source as AsyncIterable<Buffer>) {
				await this.log?.write(name, bytes);
				await Promise.all([...this.sinks].map((sink) => (sink.name === name ? this.give(sink, bytes) : undefined)));
			}
		} catch {
			// It was destroyed.
		}
		await this.log?.end(name);
	}

	/** Resolves when a sink has room for more, or is gone. One that takes nothing for long is let go: it must not stop the container. */
	private give(sink: Sink, bytes: Buffer): Promise<void> | undefined {
		const { stream } = sink;
		if (stream.destroyed || stream.writableEnded) {
			this.sinks.delete(sink);
			return undefined;
		}
		if (stream.write(bytes)) return undefined;
		return new Promise((resolve) => {
			const timer = setTimeout(() => stream.destroy(), this.options.stallMs ?? STALL_MS);
			const done = (): void => {
				clearTimeout(timer);
				stream.off('drain', done).off('close', done).off('error', done);
				resolve();
			};
			stream.on('drain', done).on('close', done).on('error', done);
		});
	}

	/** Carries streams to and from the program, until it has ended or `signal` says that the client is gone. */
	async attach(stdin: Readable | null, stdout: Writable | null, stderr: Writable | null, signal: AbortSignal): Promise<void> {
		const own: Sink[] = [];
		if (stdout !== null) own.push({ name: 'stdout', stream: stdout });
		if (stderr !== null) own.push({ name: 'stderr', stream: stderr });
		for (const sink of own) this.sinks.add(sink);
		const input = this.streams.stdin;
		if (stdin !== null && input !== null) {
			const end = (): void => {
				if (this.options.stdinOnce && !this.options.terminal) input.end();
			};
			stdin.pipe(input, { end: false });
			stdin.once('end', end);
			stdin.once('error', end);
			signal.addEventListener('abort', () => {
				stdin.unpipe(input);
				end();
			});
		}
		await Promise.race([this.drained, new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))]);
		for (const sink of own) this.sinks.delete(sink);
		if (stdin !== null && input !== null) stdin.unpipe(input);
	}

	/** Its log was renamed. */
	async reopenLog(): Promise<void> {
		await this.log?.reopen();
	}

	/** What has come is in the log afterwards. */
	async close(): Promise<void> {
		this.streams.close();
		// Nobody who is attached may delay it.
		for (const { stream } of this.sinks) stream.destroy();
		await this.drained;
		await this.log?.close();
	}
}
