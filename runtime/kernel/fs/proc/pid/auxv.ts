import { native } from '../../../../native.js';
import { ESRCH } from '../../../abi/errno.js';
import { readHostStat } from './host-stat.js';
import type { ProcessTarget } from './process-target.js';

/** Where the host's stat says that the program's stack began: argc lies there, the pointers and the auxiliary vector above. */
const START_STACK = 28;
const WORD = 8;
const CHUNK_BYTES = 64 * 1024;
/** More pointers than any program is started with. */
const MAX_CHUNKS = 128;
/** Entries of an auxiliary vector (AT_VECTOR_SIZE); a pair of words each. */
const MAX_ENTRIES = 64;

/**
 * /proc/PID/auxv, proc_pid_auxv(5): from the program's own stack, as the vector that the host remembers is the loader's. A program that has written over it
 * shows what it wrote.
 */
export function auxvText(target: ProcessTarget): string | number {
	const stat = readHostStat(target);
	if (stat === null || target.isGone) return -ESRCH;
	const chunk = Buffer.alloc(CHUNK_BYTES);
	const start = stat.number(START_STACK);
	if (!(start > 0) || native.readMemory(target.tid, start, chunk, 0, WORD) !== WORD) return '';
	// Behind argc and as many pointers and a null come the environment's pointers and a null.
	let at = start + WORD * (chunk.readUInt32LE(0) + 2);
	// unsetenv(3) closes up the pointers and leaves a null more each time.
	let isInNulls = false;
	for (let chunks = 0; chunks < MAX_CHUNKS; chunks++) {
		const bytes = native.readMemory(target.tid, at, chunk, 0, CHUNK_BYTES);
		if (bytes < WORD) return '';
		for (let word = 0; word + WORD <= bytes; word += WORD) {
			const isNull = isZero(chunk, word);
			if (isInNulls && !isNull) return vectorAt(target.tid, at + word, chunk);
			isInNulls ||= isNull;
		}
		at += bytes - (bytes % WORD);
	}
	return '';
}

function isZero(bytes: Buffer, at: number): boolean {
	return bytes.readUInt32LE(at) === 0 && bytes.readUInt32LE(at + 4) === 0;
}

/** Pairs up to AT_NULL and with it. */
function vectorAt(tid: number, address: number, chunk: Buffer): string {
	const bytes = native.readMemory(tid, address, chunk, 0, MAX_ENTRIES * 2 * WORD);
	for (let at = 0; at + 2 * WORD <= bytes; at += 2 * WORD) if (isZero(chunk, at)) return chunk.latin1Slice(0, at + 2 * WORD);
	return '';
}
