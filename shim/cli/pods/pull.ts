import type { CriClient } from '../../cri/client.js';
import type { Connection } from './connection.js';

/** A pull takes as long as it takes; a server that hangs is not waited for for ever. */
const PULL_MS = 3_600_000;
const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const FRAME_MS = 100;

type PullFields = Parameters<CriClient['call']>[1] & { readonly auth?: { readonly username: string; readonly password: string } };

export interface PullOptions {
	readonly auth?: PullFields['auth'];
	readonly isQuiet?: boolean;
}

/** Pulls an image: its reference. On a terminal something moves; in a pipe there is a line at the begin and one at the end. */
export async function pullImage({ call }: Connection, image: string, { auth, isQuiet = false }: PullOptions = {}): Promise<string> {
	const spinner = isQuiet ? null : new Spinner(`Pulling ${image}`);
	try {
		const { imageRef } = await call('PullImage', { image: { image }, ...(auth === undefined ? {} : { auth }) }, PULL_MS);
		spinner?.end(`Pulled ${image}`);
		return imageRef;
	} catch (error) {
		spinner?.end(null);
		throw new Error(`pull ${image}: ${(error as Error).message}`, { cause: error });
	}
}

/** A line on stderr that shows that something goes on, for how long, and in the end how it went. */
class Spinner {
	private readonly startMs = Date.now();
	private readonly timer: NodeJS.Timeout | null = null;
	private frame = 0;

	constructor(private readonly text: string) {
		if (process.stderr.isTTY === true) this.timer = setInterval(() => this.draw(), FRAME_MS);
		else process.stderr.write(`${text}\n`);
	}

	/** Null takes the line away: the failure is told elsewhere. */
	end(text: string | null): void {
		if (this.timer !== null) {
			clearInterval(this.timer);
			process.stderr.write('\r\x1b[K');
		}
		if (text !== null) process.stderr.write(`${text} in ${this.seconds.toFixed(1)} s\n`);
	}

	private get seconds(): number {
		return (Date.now() - this.startMs) / 1000;
	}

	private draw(): void {
		process.stderr.write(`\r\x1b[K${FRAMES[this.frame++ % FRAMES.length]} ${this.text} ${this.seconds.toFixed(0)} s`);
	}
}
