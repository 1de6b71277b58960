import { createHash } from 'node:crypto';
import { mkdtempSync, openSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { HostError } from '../../host-error.js';
import { native } from '../../native.js';
import { imageFolder } from '../image.js';
import { IGNORE_SHARED } from '../qemu.js';
import { INDEX_FILE, isTemplate, MEMORY_FILE, STATE_FILE, type TemplateSpec, templateFolder } from '../template.js';
import type { HostLoop } from './host-loop.js';
import { HostStream } from './host-stream.js';
import { Machine } from './machine.js';
import { saveMemory } from './machine-memory.js';

/** The agent takes all of the machine's memory. */
const SETTLE_LIMIT_MS = 300_000;
const SAVE_LIMIT_MS = 10_000;
const POLL_MS = 5;
const MAX_STATE_BYTES = 64 << 20;
/** Templates that are kept. Each takes about 50 MiB. */
const MAX_TEMPLATES = 8;

/** Boots a machine and saves it, unless there is such a template already. One maker works at a time. Rejects with what failed; nothing is left then. */
export async function makeTemplate(loop: HostLoop, spec: TemplateSpec, idSlot: number, logFd: number): Promise<void> {
	const lock = openSync(join(imageFolder(), 'template.lock'), 'a', 0o600);
	const error = native.lockExclusive(lock);
	if (error < 0) throw HostError.errno('Lock the templates', -error);
	const folder = templateFolder(spec);
	if (isTemplate(folder)) return;
	const partial = mkdtempSync(join(imageFolder(), 'partial-'));
	try {
		const { machine, memoryFd } = await Machine.startTemplate(loop, spec, idSlot, logFd);
		try {
			await machine.agent.call({ settle: {} }, SETTLE_LIMIT_MS);
			const state = await save(loop, machine);
			const { runs, memoryHash } = saveMemory(memoryFd, spec.memoryMib, join(partial, MEMORY_FILE));
			writeFileSync(join(partial, STATE_FILE), state, { mode: 0o600 });
			const stateHash = createHash('sha256').update(state).digest('hex');
			writeFileSync(join(partial, INDEX_FILE), JSON.stringify({ runs, memoryHash, stateHash }), { mode: 0o600 });
		} finally {
			machine.kill();
			native.close(memoryFd);
		}
		rmSync(folder, { recursive: true, force: true });
		renameSync(partial, folder);
		dropOldTemplates();
	} catch (error) {
		rmSync(partial, { recursive: true, force: true });
		throw error;
	}
}

/** The state of a machine's devices. It doesn't run any more then. */
async function save(loop: HostLoop, { qmp }: Machine): Promise<Buffer> {
	const ends = new Int32Array(2);
	const error = native.pipe(ends);
	if (error < 0) throw HostError.errno('Make a pipe', -error);
	const [readEnd, writeEnd] = ends as unknown as [number, number];
	const parts: Uint8Array[] = [];
	let length = 0;
	const ended = new Promise<void>((resolve, reject) => {
		const stream = new HostStream(
			loop,
			readEnd,
			(bytes) => {
				length += bytes.length;
				if (length > MAX_STATE_BYTES) reject(new Error(`The machine's state is more than ${MAX_STATE_BYTES} bytes`));
				else parts.push(bytes);
			},
			() => {
				stream.close();
				resolve();
			},
		);
		stream.resume();
	});
	ended.catch(() => {});
	try {
		await qmp.execute('qmp_capabilities');
		await qmp.execute('migrate-set-capabilities', IGNORE_SHARED);
		await qmp.giveDescriptor('state', writeEnd);
	} finally {
		native.close(writeEnd);
	}
	// A machine that is stopped by hand before would stay so in its clones.
	await qmp.execute('migrate', { uri: 'fd:state' });
	for (let waitedMs = 0; ; waitedMs += POLL_MS) {
		const { status, 'error-desc': why } = (await qmp.execute('query-migrate')) as { status?: string; 'error-desc'?: string };
		if (status === 'completed') break;
		if (status === 'failed' || waitedMs > SAVE_LIMIT_MS) throw new Error(`Save the machine: ${why ?? status ?? 'no answer'}`);
		await new Promise<void>((resolve) => loop.after(POLL_MS, resolve));
	}
	await ended;
	return Buffer.concat(parts);
}

/** The oldest go: a pod that needs one makes it again. */
function dropOldTemplates(): void {
	const folders = readdirSync(imageFolder())
		.filter((name) => name.startsWith('template-'))
		.map((name) => join(imageFolder(), name))
		.sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
	for (const folder of folders.slice(MAX_TEMPLATES)) rmSync(folder, { recursive: true, force: true });
}
