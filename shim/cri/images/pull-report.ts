import type { PullProgress } from '../../image/image-store.js';

/** How far a pull is. */
export interface PullState {
	/** In the order in which they came up. */
	readonly blobs: readonly PullProgress[];
	/** Bytes that are here, and of all blobs that are known of. */
	readonly offsetBytes: number;
	readonly totalBytes: number;
}

/** Gathers what pulls of one image tell of their progress. */
export class PullReport {
	private readonly blobs = new Map<string, PullProgress>();
	/** Pulls of this image that go on. */
	users = 0;

	add(progress: PullProgress): void {
		this.blobs.set(progress.digest, progress);
	}

	state(): PullState {
		const blobs = [...this.blobs.values()];
		const sum = (of: (blob: PullProgress) => number): number => blobs.reduce((total, blob) => total + of(blob), 0);
		return { blobs, offsetBytes: sum(({ offsetBytes }) => offsetBytes), totalBytes: sum(({ totalBytes }) => totalBytes) };
	}
}
