import { native } from '../../native.js';
import type { HostLoop } from './host-loop.js';
import { HostStream } from './host-stream.js';

/** Longest line that is read, in bytes. */
const MAX_LINE = 1 << 20;

/** A client of QEMU's machine protocol (docs/interop/qmp-spec). */
export class Qmp {
	private readonly stream: HostStream;
	private isOpen = true;
	private pending = '';
	private readonly waiting: { resolve(value: unknown): void; reject(error: Error): void }[] = [];
	private end: (shutdown: string) => void = () => {};
	private shutdown = '';
	/** Resolves when QEMU has closed its end, with why it said that it shuts down (ShutdownCause of qapi/run-state.json), empty when it said nothing: it was killed. */
	readonly closed = new Promise<string>((resolve) => {
		this.end = resolve;
	});

	/** Takes the descriptor over. */
	constructor(
		loop: HostLoop,
		private readonly fd: number,
	) {
		this.stream = new HostStream(
			loop,
			fd,
			(bytes) => this.receive(Buffer.from(bytes).toString('utf8')),
			() => this.close(),
		);
		this.stream.resume();
	}

	/** Runs a command. Rejects with what QEMU says, or when it has ended. */
	execute(command: string, args: object = {}): Promise<unknown> {
		return new Promise((resolve, reject) => {
			if (!this.isOpen) {
				reject(new Error('QEMU has ended'));
				return;
			}
			this.waiting.push({ resolve, reject });
			this.stream.write(Buffer.from(`${JSON.stringify({ execute: command, arguments: args })}\n`));
		});
	}

	/** Gives QEMU a copy of a descriptor, under a name. Nothing else may be on its way. Rejects as `execute` does. */
	giveDescriptor(name: string, fd: number): Promise<unknown> {
		return new Promise((resolve, reject) => {
			this.waiting.push({ resolve, reject });
			const command = Buffer.from(`${JSON.stringify({ execute: 'getfd', arguments: { fdname: name } })}\n`);
			const sent = native.sendMessage(this.fd, command, 0, command.length, Int32Array.of(fd));
			if (sent !== command.length) this.close();
		});
	}

	close(): void {
		if (!this.isOpen) return;
		this.isOpen = false;
		this.stream.close();
		for (const { reject } of this.waiting.splice(0)) reject(new Error('QEMU has ended'));
		this.end(this.shutdown);
	}

	private receive(text: string): void {
		this.pending += text;
		if (this.pending.length > MAX_LINE) this.close();
		const lines = this.pending.split('\n');
		this.pending = lines.pop()!;
		for (const line of lines) {
			let message: { return?: unknown; error?: { desc?: string }; event?: string; data?: { reason?: string } };
			try {
				message = JSON.parse(line) as typeof message;
			} catch {
				this.close();
				return;
			}
			if (message.event === 'SHUTDOWN') this.shutdown = String(message.data?.reason ?? '');
			// Greetings and other events need nobody.
			if (message.return === undefined && message.error === undefined) continue;
			const waiting = this.waiting.shift();
			if (message.error !== undefined) waiting?.reject(new Error(`QEMU: ${message.error.desc}`));
			else waiting?.resolve(message.return);
		}
	}
}
