import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { HostError } from '../../../runtime/host-error.js';
import { isObject, type Json } from './network-config.js';

export type Command = 'ADD' | 'DEL' | 'CHECK' | 'VERSION';

/** What one run of a plugin is told beside its configuration (SPEC.md section 2). */
export interface Invocation {
	readonly command: Command;
	readonly containerId: string;
	/** Path of the network namespace; empty when it is gone (DEL alone). */
	readonly netns: string;
	readonly interfaceName: string;
	/** CNI_ARGS. */
	readonly args: Readonly<Record<string, string>>;
}

const MAX_OUTPUT_BYTES = 1 << 20;

/** Runs one plugin and returns its result, null when it printed none. Throws ENOENT, ETIMEDOUT, EPROTO (garbage), EIO (its own error, with code and message). */
export async function runPlugin(
	type: string,
	config: Json,
	invocation: Invocation,
	folders: readonly string[],
	timeoutMs: number,
	signal?: AbortSignal,
): Promise<Json | null> {
	const step = `Run the CNI plugin ${type} (${invocation.command})`;
	const program = await findPlugin(type, folders, step);
	const { code, stdout, stderr } = await runProgram(
		program,
		JSON.stringify(config),
		environment(invocation, folders),
		timeoutMs,
		step,
		signal,
	);
	let result: unknown = null;
	if (stdout.trim() !== '') {
		try {
			result = JSON.parse(stdout);
		} catch {
			if (code === 0) throw new HostError(`${step}: it printed what is no JSON: ${JSON.stringify(stdout.slice(0, 200))}`, 'EPROTO');
		}
	}
	if (code !== 0) {
		const said = isObject(result)
			? `code ${result['code']}: ${[result['msg'], result['details']].filter(Boolean).join('; ')}`
			: `${stdout}\n${stderr}`.trim();
		throw new HostError(`${step}: ${said.slice(0, 2000) || `it ended with ${code} and said nothing`}`, 'EIO');
	}
	if (result !== null && !isObject(result)) throw new HostError(`${step}: its result is no object`, 'EPROTO');
	return result;
}

function environment({ command, containerId, netns, interfaceName, args }: Invocation, folders: readonly string[]): Record<string, string> {
	return {
		PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin',
		CNI_COMMAND: command,
		CNI_CONTAINERID: containerId,
		CNI_NETNS: netns,
		CNI_IFNAME: interfaceName,
		CNI_PATH: folders.join(':'),
		CNI_ARGS: Object.entries(args)
			.map(([key, value]) => `${key}=${value}`)
			.join(';'),
	};
}

async function findPlugin(type: string, folders: readonly string[], step: string): Promise<string> {
	for (const folder of folders) {
		const file = join(folder, type);
		try {
			await access(file, constants.X_OK);
			return file;
		} catch {
			// Perhaps in the next one.
		}
	}
	throw new HostError(`${step}: it is not in ${folders.join(', ')}`, 'ENOENT');
}

interface Ended {
	/** Exit status; -1 when a signal ended it. */
	readonly code: number;
	readonly stdout: string;
	readonly stderr: string;
}

/** Runs a program in a process group of its own, so that nothing it started outlives its time. */
function runProgram(
	program: string,
	input: string,
	env: Record<string, string>,
	timeoutMs: number,
	step: string,
	signal: AbortSignal | undefined,
): Promise<Ended> {
	return new Promise((resolve, reject) => {
		const child = spawn(program, { env, cwd: '/', stdio: 'pipe', detached: true });
		const output = { stdout: '', stderr: '' };
		const end = (error: HostError): void => {
			if (child.pid !== undefined)
				try {
					process.kill(-child.pid, 'SIGKILL');
				} catch {
					// It has ended meanwhile.
				}
			reject(error);
		};
		const timer = setTimeout(() => end(new HostError(`${step}: it took more than ${timeoutMs} ms`, 'ETIMEDOUT')), timeoutMs);
		const onAbort = (): void => end(new HostError(`${step}: given up`, 'ECANCELED'));
		signal?.addEventListener('abort', onAbort, { once: true });
		if (signal?.aborted === true) onAbort();
		for (const name of ['stdout', 'stderr'] as const)
			child[name].setEncoding('utf8').on('data', (text: string) => {
				output[name] += text;
				if (output[name].length > MAX_OUTPUT_BYTES) end(new HostError(`${step}: it printed more than ${MAX_OUTPUT_BYTES} bytes`, 'EFBIG'));
			});
		child.once('error', (error) => reject(HostError.from(step, error)));
		child.once('close', (code) => {
			clearTimeout(timer);
			signal?.removeEventListener('abort', onAbort);
			resolve({ code: code ?? -1, ...output });
		});
		// One that doesn't read its configuration is told by its result.
		child.stdin.on('error', () => undefined);
		child.stdin.end(input);
	});
}
