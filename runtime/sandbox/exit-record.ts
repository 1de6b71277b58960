import { closeSync, openSync, readSync } from 'node:fs';

/** How a program ended: its wait status as waitpid(2) gives it, and when, in milliseconds since 1970. */
export interface Ended {
	readonly status: number;
	readonly atMs: number;
}

const MAX_BYTES = 256;

/** What the sandbox process writes to a container's file, so that its end is known when nobody listened. */
export function exitText({ status, atMs }: Ended): string {
	return `${JSON.stringify({ status, atMs })}\n`;
}

/** Reads what `exitText` made; null when nothing (or nothing sensible) was written. */
export function readExit(file: string): Ended | null {
	const bytes = Buffer.alloc(MAX_BYTES);
	let length = 0;
	try {
		const fd = openSync(file, 'r');
		try {
			length = readSync(fd, bytes);
		} finally {
			closeSync(fd);
		}
		const { status, atMs } = JSON.parse(bytes.latin1Slice(0, length)) as Partial<Ended>;
		return Number.isInteger(status) && Number.isFinite(atMs) ? { status: status! & 0xffff, atMs: atMs! } : null;
	} catch {
		return null;
	}
}
