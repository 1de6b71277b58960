import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { HostError } from '../../runtime/host-error.js';
import { packageRoot } from '../../runtime/sandbox/launch.js';

/** What the unpacking process is told, in JSON as its only argument; the layer's blob is its stdin. */
export interface UnpackOrder {
	/** Where to, an empty folder. */
	readonly folder: string;
	/** The layers below, merged; null for the first one. */
	readonly lower: string | null;
	/** Bytes of the uncompressed layer at most. */
	readonly maxBytes: number;
	readonly maxEntries: number;
}

/** What it answers, in JSON on its stdout. */
export type UnpackAnswer = LayerUnpacked | { readonly step: string; readonly code: string };

export interface LayerUnpacked {
	/** Bytes of all files' contents. */
	readonly bytes: number;
	readonly entries: number;
	/** The digest of the uncompressed layer. */
	readonly diffId: string;
}

/** What making files of all owners and kinds takes; sys_admin is for overlayfs's own attributes (trusted.*). */
const CAPABILITIES = ['chown', 'dac_override', 'fowner', 'fsetid', 'mknod', 'setfcap', 'sys_admin'];
const NODE_FLAGS = ['--no-warnings', '--max-old-space-size=512'];
const MAX_MESSAGE_BYTES = 64 << 10;

/**
 * Unpacks a layer's blob in a process of its own: a layer is hostile, and large, and neither must stop the caller. The process has no network, no other
 * capabilities than files take, and ends with the caller. Throws HostError: what `unpackLayer` throws, and EIO when the process dies.
 */
export async function unpackBlob(blob: string, order: UnpackOrder, signal?: AbortSignal): Promise<LayerUnpacked> {
	const step = 'Run the unpacking process';
	const { PATH, ISOPOD_ADDON } = process.env;
	const input = openBlob(blob);
	try {
		const child = spawn(
			'unshare',
			[
				...['--net', '--ipc', '--uts', '--mount', '--', 'setpriv', '--pdeathsig', 'SIGKILL', '--no-new-privs', '--inh-caps=-all'],
				...[`--bounding-set=-all,${CAPABILITIES.map((name) => `+${name}`).join(',')}`, '--', process.execPath, ...NODE_FLAGS],
				...[join(packageRoot(), 'dist/unpack-start.cjs'), JSON.stringify(order)],
			],
			{
				stdio: [input, 'pipe', 'pipe'],
				env: { PATH, LC_ALL: 'C', ...(ISOPOD_ADDON !== undefined && { ISOPOD_ADDON }) },
				...(signal !== undefined && { signal, killSignal: 'SIGKILL' }),
			},
		);
		const said = { stdout: '', stderr: '' };
		for (const name of ['stdout', 'stderr'] as const)
			child[name]!.setEncoding('utf8').on('data', (text: string) => {
				if (said[name].length < MAX_MESSAGE_BYTES) said[name] += text;
			});
		const end = await new Promise<number | string | null>((resolve, reject) => {
			child.once('error', (error) => reject(HostError.from(step, error)));
			child.once('close', (code, endSignal) => resolve(endSignal ?? code));
		});
		if (end !== 0) throw new HostError(`${step}: ${said.stderr.trim().slice(-1000) || 'it said nothing'}: ended with ${end}`, 'EIO');
		const answer = JSON.parse(said.stdout) as UnpackAnswer;
		if ('code' in answer) throw new HostError(answer.step, answer.code);
		return answer;
	} finally {
		closeSync(input);
	}
}

function openBlob(path: string): number {
	try {
		return openSync(path, 'r');
	} catch (error) {
		throw HostError.from(`Open the layer ${path}`, error);
	}
}
