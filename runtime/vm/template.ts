import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { HostError } from '../host-error.js';
import { packageRoot } from '../sandbox/launch.js';
import { type GuestImage, imageFolder } from './image.js';
import { type Accelerator, QEMU, qemuCommand } from './qemu.js';

/** What machines have in common that are clones of one template. */
export interface TemplateSpec {
	readonly image: GuestImage;
	readonly accelerator: Accelerator;
	readonly memoryMib: number;
	readonly cpus: number;
}

/** A template's folder has its memory, its devices' state, and this. */
export interface TemplateIndex {
	/** What of the memory is not zero: where in the machine, and how much, in pages; the file has these one after the other. */
	readonly runs: readonly (readonly [page: number, count: number])[];
	/** SHA-256, hexadecimal. */
	readonly memoryHash: string;
	readonly stateHash: string;
}

export const MEMORY_FILE = 'memory';
export const STATE_FILE = 'state';
export const INDEX_FILE = 'template.json';
export const PAGE_BYTES = 4096;
/** Which file was seen to have the index's hash, and since which start of the host. */
const CHECKED_FILE = 'checked.json';
const MAX_REPORT = 1 << 16;

/** Where a template is, or would be. It goes by all that a machine's state depends on. */
export function templateFolder(spec: TemplateSpec): string {
	const { image, accelerator, memoryMib, cpus } = spec;
	const { size, mtimeMs, ino } = statSync(QEMU);
	const command = qemuCommand({ accelerator, memoryMib, cpus, hasShare: false, macs: [], console: null, start: 'template' });
	// The frequency is measured anew at each start of QEMU; the template keeps its own.
	const text = JSON.stringify([image.hash, size, mtimeMs, ino, command]).replace(/tsc_early_khz=\d+/, '');
	return join(imageFolder(), `template-${createHash('sha256').update(text).digest('hex').slice(0, 16)}`);
}

/**
 * The folder of a template that is whole: that of the cache, or one that is made now, by a machine that boots as the host user of `idSlot`. What it says goes to
 * `logFd`. Throws HostError.
 */
export async function findTemplate(spec: TemplateSpec, idSlot: number, logFd: number): Promise<string> {
	const folder = templateFolder(spec);
	if (isTemplate(folder)) return folder;
	const script = join(packageRoot(), 'dist/vm-monitor-start.cjs');
	const child = spawn(process.execPath, [script, 'template', JSON.stringify({ spec, idSlot })], {
		stdio: ['ignore', 'pipe', logFd],
		cwd: '/',
	});
	let report = '';
	for await (const bytes of child.stdout as Readable) if (report.length < MAX_REPORT) report += String(bytes);
	if (!isTemplate(folder)) throw new HostError(`Make the template ${folder}: ${report.trim() || 'its machine did not come up'}`, 'UNKNOWN');
	return folder;
}

/** Is there a template, and is it what was written? One that is not goes away. */
export function isTemplate(folder: string): boolean {
	let index: TemplateIndex;
	try {
		index = readIndex(folder);
	} catch {
		return false;
	}
	try {
		if (hashOf(join(folder, STATE_FILE)) === index.stateHash && isMemoryWhole(folder, index)) return true;
	} catch {
		// A file is missing.
	}
	rmSync(folder, { recursive: true, force: true });
	return false;
}

export function readIndex(folder: string): TemplateIndex {
	return JSON.parse(readFileSync(join(folder, INDEX_FILE), 'utf8')) as TemplateIndex;
}

/** Its hash takes longer than a machine's start: it is taken once per start of the host, and when the file is another or was written to. */
function isMemoryWhole(folder: string, { memoryHash }: TemplateIndex): boolean {
	const file = join(folder, MEMORY_FILE);
	const { ino, size, ctimeNs } = statSync(file, { bigint: true });
	const seen = [readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim(), ino, size, ctimeNs].join(' ');
	const checked = join(folder, CHECKED_FILE);
	try {
		if (readFileSync(checked, 'utf8') === seen) return true;
	} catch {
		// Nobody has looked yet.
	}
	if (hashOf(file) !== memoryHash) return false;
	writeFileSync(`${checked}.${process.pid}`, seen, { mode: 0o600 });
	renameSync(`${checked}.${process.pid}`, checked);
	return true;
}

function hashOf(file: string): string {
	return createHash('sha256').update(readFileSync(file)).digest('hex');
}

/** The next of 128, 192, 256, 384, 512, … MiB, so that pods of many sizes share few templates. */
export function templateMemoryMib(wantedMib: number): number {
	let size = 128;
	for (let next = 192; size < wantedMib; [size, next] = [next, size * 2]);
	return size;
}
