import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { HostError } from '../../host-error.js';
import { native } from '../../native.js';
import { MEMORY_FILE, PAGE_BYTES, readIndex } from '../template.js';

const MIB = 1 << 20;
/** Zero pages between two others that are written all the same, so that there are few runs. */
const MAX_GAP_PAGES = 8;
const CHUNK_BYTES = 1 << 20;
const EIO = 5;
const MFD_ALLOW_SEALING = 2;
const F_SEAL_SHRINK = 2;
const F_SEAL_GROW = 4;

/** A descriptor for a machine's memory, which is zero. Throws HostError. */
export function newMemory(memoryMib: number): number {
	const fd = native.memfdCreate('guest', MFD_ALLOW_SEALING);
	const error = fd < 0 ? fd : native.ftruncate(fd, memoryMib * MIB);
	if (error < 0) throw HostError.errno(`Make ${memoryMib} MiB of memory for a machine`, -error);
	// The virtiofs daemon has it mapped, too.
	native.addSeals(fd, F_SEAL_SHRINK | F_SEAL_GROW);
	return fd;
}

/** Gives a clone's memory what its template's was. Throws what failed. */
export function restoreMemory(folder: string, memoryFd: number): void {
	const { runs } = readIndex(folder);
	const chunk = Buffer.alloc(CHUNK_BYTES);
	const file = openSync(join(folder, MEMORY_FILE), 'r');
	try {
		for (const [page, count] of runs) {
			const length = count * PAGE_BYTES;
			if (readSync(file, chunk, 0, length, null) !== length) throw new HostError(`Read the template ${folder}: it is too short`, 'EIO');
			const written = native.pwrite(memoryFd, chunk, 0, length, page * PAGE_BYTES);
			if (written !== length) throw HostError.errno("Write a machine's memory", written < 0 ? -written : EIO);
		}
	} finally {
		closeSync(file);
	}
}

/** Writes what is not zero of a machine's memory to a new file. Throws what failed. */
export function saveMemory(memoryFd: number, memoryMib: number, path: string): { runs: [number, number][]; memoryHash: string } {
	const runs: [number, number][] = [];
	const hash = createHash('sha256');
	const file = openSync(path, 'wx', 0o600);
	const chunk = Buffer.alloc(CHUNK_BYTES);
	const zeros = Buffer.alloc(PAGE_BYTES);
	const chunkPages = CHUNK_BYTES / PAGE_BYTES;
	try {
		for (let first = 0; first < (memoryMib * MIB) / PAGE_BYTES; first += chunkPages) {
			const count = native.pread(memoryFd, chunk, 0, CHUNK_BYTES, first * PAGE_BYTES);
			if (count !== CHUNK_BYTES) throw HostError.errno("Read the machine's memory", count < 0 ? -count : EIO);
			let start = -1;
			let end = -1;
			const flush = (): void => {
				if (start < 0) return;
				const bytes = chunk.subarray(start * PAGE_BYTES, end * PAGE_BYTES);
				writeSync(file, bytes);
				hash.update(bytes);
				runs.push([first + start, end - start]);
				start = -1;
			};
			for (let page = 0; page < chunkPages; page++) {
				if (zeros.compare(chunk, page * PAGE_BYTES, (page + 1) * PAGE_BYTES) === 0) continue;
				if (start >= 0 && page - end > MAX_GAP_PAGES) flush();
				if (start < 0) start = page;
				end = page + 1;
			}
			flush();
		}
	} finally {
		closeSync(file);
	}
	return { runs, memoryHash: hash.digest('hex') };
}
