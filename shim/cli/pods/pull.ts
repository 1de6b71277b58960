import type { CriClient } from '../../cri/client.js';
import type { Connection } from './connection.js';
import { bytes, printable } from './table.js';

/** A pull takes as long as it takes; a server that hangs is not waited for for ever. */
const PULL_MS = 3_600_000;
const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const FRAME_MS = 100;
const ASK_MS = 300;
const BAR_COLUMNS = 30;

export interface Credentials {
	readonly username: string;
	readonly password: string;
}

export interface PullOptions {
	readonly auth?: Credentials;
	readonly isQuiet?: boolean;
}

/** What isopod's own server tells of a pull while it goes on; others tell nothing, and a spinner turns. */
interface Progress {
	readonly offsetBytes: number;
	readonly totalBytes: number;
}

/** Pulls an image: its reference. On a terminal a bar grows, or something turns; in a pipe there is a line at the begin and one at the end. */
export async function pullImage({ call }: Connection, image: string, { auth, isQuiet = false }: PullOptions = {}): Promise<string> {
	const display = isQuiet ? null : new Display(printable(image), call);
	try {
		const { imageRef } = await call('PullImage', { image: { image }, ...(auth === undefined ? {} : { auth }) }, PULL_MS);
		display?.end(true);
		return imageRef;
	} catch (error) {
		display?.end(false);
		throw new Error(`pull ${image}: ${(error as Error).message}`, { cause: error });
	}
}

/** How a pull goes on, on stderr. */
class Display {
	private readonly startMs = Date.now();
	private readonly timers: NodeJS.Timeout[] = [];
	private frame = 0;
	private progress: Progress | null = null;

	constructor(
		private readonly image: string,
		private readonly call: CriClient['call'],
	) {
		if (process.stderr.isTTY !== true) {
			process.stderr.write(`Pulling ${image}\n`);
			return;
		}
		this.timers.push(
			setInterval(() => this.draw(), FRAME_MS),
			setInterval(() => void this.ask(), ASK_MS),
		);
	}

	/** A failure is told elsewhere. */
	end(isPulled: boolean): void {
		for (const timer of this.timers) clearInterval(timer);
		if (this.timers.length > 0) process.stderr.write('\r\x1b[K');
		if (isPulled) process.stderr.write(`Pulled ${this.image} in ${this.seconds.toFixed(1)} s\n`);
	}

	private get seconds(): number {
		return (Date.now() - this.startMs) / 1000;
	}

	private async ask(): Promise<void> {
		try {
			const { info } = await this.call('ImageStatus', { image: { image: this.image }, verbose: true });
			if (info['pull'] !== undefined) this.progress = JSON.parse(info['pull']) as Progress;
		} catch {
			// The pull itself tells what is wrong.
		}
	}

	private draw(): void {
		process.stderr.write(`\r\x1b[K${progressLine(this.image, this.progress, this.seconds, this.frame++)}`);
	}
}

/** One line of a terminal. */
export function progressLine(image: string, progress: Progress | null, seconds: number, frame: number): string {
	const start = `${FRAMES[frame % FRAMES.length]} Pulling ${image}`;
	if (progress === null || !(progress.totalBytes > 0)) return `${start} ${seconds.toFixed(0)} s`;
	const share = Math.min(1, Math.max(0, progress.offsetBytes / progress.totalBytes));
	const filled = Math.round(share * BAR_COLUMNS);
	const bar = `${'█'.repeat(filled)}${'░'.repeat(BAR_COLUMNS - filled)}`;
	return `${start} ${bar} ${(share * 100).toFixed(0)} % of ${bytes(progress.totalBytes)}`;
}
