import type { Writable } from 'node:stream';
import { type LogLine, LogReader } from './log-file.js';

const COLORS = [36, 33, 32, 35, 34, 31];
const POLL_MS = 100;
/** Pieces of one line that are kept for its end. */
const MAX_LINE_BYTES = 1 << 20;

interface Followed {
	reader: LogReader;
	/** Beginnings of lines, by stream. */
	readonly begun: Map<string, Buffer>;
	readonly prefix: string;
}

/** Shows the logs of several containers as they grow: each line with its container's name before it. */
export class LogPrinter {
	private readonly logs = new Map<string, Followed>();
	private readonly timer = setInterval(() => this.poll(), POLL_MS);

	constructor(
		private readonly names: readonly string[],
		private readonly hasPrefix: boolean,
		private readonly outputs: { readonly stdout: Writable; readonly stderr: Writable } = process,
	) {}

	/** From now on this is the container's log; what was in the one before is shown first. */
	follow(name: string, path: string): void {
		this.flush(name);
		const before = this.logs.get(name);
		before?.reader.close();
		const width = Math.max(...this.names.map((one) => one.length));
		const plain = `[${name}]${' '.repeat(width - name.length)} `;
		const isColored = process.stdout.isTTY === true && process.env['NO_COLOR'] === undefined;
		const color = COLORS[this.names.indexOf(name) % COLORS.length]!;
		const prefix = !this.hasPrefix ? '' : isColored ? `\x1b[${color}m${plain}\x1b[0m` : plain;
		this.logs.set(name, { reader: new LogReader(path), begun: new Map(), prefix });
	}

	/** Shows what has come by now. */
	flush(name: string): void {
		const log = this.logs.get(name);
		log?.reader.read((line) => this.print(log, line));
	}

	close(): void {
		clearInterval(this.timer);
		for (const [name, log] of this.logs) {
			this.flush(name);
			for (const [stream, begun] of log.begun) this.write(log, stream, begun);
			log.reader.close();
		}
		this.logs.clear();
	}

	private poll(): void {
		for (const name of this.logs.keys()) this.flush(name);
	}

	private print(log: Followed, { stream, text, isPartial }: LogLine): void {
		const begun = log.begun.get(stream);
		const whole = begun === undefined ? text : Buffer.concat([begun, text]);
		if (isPartial && whole.length < MAX_LINE_BYTES) {
			log.begun.set(stream, whole);
			return;
		}
		log.begun.delete(stream);
		this.write(log, stream, whole);
	}

	private write({ prefix }: Followed, stream: string, text: Buffer): void {
		this.outputs[stream === 'stderr' ? 'stderr' : 'stdout'].write(Buffer.concat([Buffer.from(prefix), text, Buffer.from('\n')]));
	}
}
