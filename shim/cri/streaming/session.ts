import type { Duplex, Readable, Writable } from 'node:stream';

export interface TerminalSize {
	readonly columns: number;
	readonly rows: number;
}

/** A client's end of an exec or attach, whatever carries it. */
export interface Session {
	/** What the client types; it ends when the client closes it. */
	readonly stdin: Readable | null;
	readonly stdout: Writable | null;
	/** Null with a terminal: its output is one. */
	readonly stderr: Writable | null;
	/** The size of the client's terminal, now or next: `listener` is told the last one at once. */
	onResize(listener: (size: TerminalSize) => void): void;
	/** Aborted when the client is gone. */
	readonly signal: AbortSignal;
}

/** What a client may exec or attach to. */
export interface CommandRequest {
	readonly hasStdin: boolean;
	readonly hasStdout: boolean;
	readonly hasStderr: boolean;
	readonly isTerminal: boolean;
	/** Runs it, with its output all written when it resolves: the exit code. What it throws is told to the client. */
	run(session: Session): Promise<number>;
}

/** What a client may forward ports of. */
export interface PortForwardRequest {
	/** The ports that WebSocket clients of the older protocol get, in order; SPDY clients name theirs. */
	readonly ports: readonly number[];
	/** Carries one connection to a port; resolves when it is over. What it throws is told to the client. */
	connect(port: number, stream: Duplex, signal: AbortSignal): Promise<void>;
}

/** Bytes of a message of resizes that makes no sense yet. */
const MAX_RESIZE_BYTES = 4096;

/** Reads the sizes that a client sends, JSON objects one after another: `{"Width":80,"Height":24}`. */
export class ResizeReader {
	private text = '';
	private last: TerminalSize | null = null;
	private listener: ((size: TerminalSize) => void) | null = null;

	write(bytes: Uint8Array): void {
		this.text += Buffer.from(bytes).toString('latin1');
		for (let match = OBJECT.exec(this.text); match !== null; match = OBJECT.exec(this.text)) {
			this.text = this.text.slice(match.index + match[0].length);
			const size = parseSize(match[0]);
			if (size === null) continue;
			this.last = size;
			this.listener?.(size);
		}
		this.text = this.text.slice(-MAX_RESIZE_BYTES);
	}

	onResize(listener: (size: TerminalSize) => void): void {
		this.listener = listener;
		if (this.last !== null) listener(this.last);
	}
}

const OBJECT = /\{[^{}]*\}/;

function parseSize(text: string): TerminalSize | null {
	try {
		const { Width: columns, Height: rows } = JSON.parse(text) as { Width?: unknown; Height?: unknown };
		return isSize(columns) && isSize(rows) ? { columns, rows } : null;
	} catch {
		return null;
	}
}

/** struct winsize has 16 bits for each. */
function isSize(value: unknown): value is number {
	return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 0xffff;
}

/** The end of a command, as metav1.Status tells it. */
export function exitStatus(code: number): object {
	if (code === 0) return { metadata: {}, status: 'Success' };
	return {
		metadata: {},
		status: 'Failure',
		reason: 'NonZeroExitCode',
		message: `command terminated with non-zero exit code: ${code}`,
		details: { causes: [{ reason: 'ExitCode', message: `${code}` }] },
	};
}

export function failureStatus(error: unknown): object {
	return { metadata: {}, status: 'Failure', reason: 'InternalError', message: messageOf(error), code: 500 };
}

export function messageOf(error: unknown): string {
	return error instanceof Error ? error.message : String(error);
}
