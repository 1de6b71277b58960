import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** What a container's writable layer takes. */
export interface LayerUsage {
	readonly bytes: number;
	readonly inodes: number;
	/** Milliseconds since 1970. */
	readonly atMs: number;
}

/** How long a measurement is good for: containers write as many files as they like, and kubelet asks every ten seconds. */
const FRESH_MS = 10_000;
/** How long somebody who asks for the first time waits; later ones get what was measured before. */
const PATIENCE_MS = 2000;
const LIMIT_MS = 60_000;
const run = promisify(execFile);

/** Measures writable layers, one at a time, in a process of its own each: du(1) walks by descriptors, so that a guest that swaps a folder for a symlink leads it nowhere. */
export class DiskUsage {
	private readonly known = new Map<string, LayerUsage>();
	private readonly running = new Map<string, Promise<void>>();
	private last: Promise<void> = Promise.resolve();

	/** Of the folder `path`; null while it has never been measured. */
	async usage(path: string): Promise<LayerUsage | null> {
		const before = this.known.get(path);
		if (before === undefined || Date.now() - before.atMs > FRESH_MS) {
			const measured = this.measure(path);
			if (before === undefined) {
				let timer: NodeJS.Timeout | undefined;
				await Promise.race([
					measured,
					new Promise((resolve) => {
						timer = setTimeout(resolve, PATIENCE_MS);
					}),
				]);
				clearTimeout(timer);
			}
		}
		return this.known.get(path) ?? null;
	}

	/** Whoever is not in `paths` is gone. */
	keepOnly(paths: ReadonlySet<string>): void {
		for (const path of this.known.keys()) if (!paths.has(path)) this.known.delete(path);
	}

	private measure(path: string): Promise<void> {
		const there = this.running.get(path);
		if (there !== undefined) return there;
		const measured = this.last.then(async () => {
			try {
				const bytes = await total(path, '--block-size=1');
				const inodes = await total(path, '--inodes');
				this.known.set(path, { bytes, inodes, atMs: Date.now() });
			} catch {
				// It is being removed, or takes too long: what was known stays.
			} finally {
				this.running.delete(path);
			}
		});
		this.running.set(path, measured);
		this.last = measured;
		return measured;
	}
}

async function total(path: string, unit: string): Promise<number> {
	const { stdout } = await run('du', ['--summarize', '--one-file-system', unit, '--', path], { timeout: LIMIT_MS, killSignal: 'SIGKILL' });
	return Number.parseInt(stdout, 10) || 0;
}
