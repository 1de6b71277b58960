import { closeSync, openSync, writeSync } from 'node:fs';
import { HostError } from '../../runtime/host-error.js';
import { StateStore } from '../../runtime/oci/state.js';
import { SandboxClient } from '../../runtime/sandbox/client.js';

export interface TraceOptions {
	readonly pid: readonly string[];
	readonly calls: readonly string[];
	readonly path: readonly string[];
	readonly output?: string;
}

/** What a trace is asked for. */
interface Wanted {
	readonly containerId: string;
	readonly calls?: string[];
	readonly paths?: string[];
	readonly pids?: number[];
}

/** A trace that goes to a file or to stdout, over a connection of its own. */
export class Trace {
	/** Resolves when the sandbox process has ended and all that it sent is written. */
	readonly ended: Promise<void>;

	private constructor(
		private readonly client: SandboxClient,
		ended: Promise<void>,
		private readonly fd: number,
	) {
		this.ended = ended;
	}

	/** Begins to write what the sandbox process at `socket` sends to a file, or to stdout without one. Throws when either can't be opened. */
	static async begin(socket: string, wanted: Wanted, file: string | undefined): Promise<Trace> {
		const fd = file === undefined ? 1 : openOutput(file);
		const client = SandboxClient.connect(socket);
		const { ended } = await client.trace(wanted, (lines, lost) => {
			const text = lines.map((line) => `${line}\n`).join('');
			const note = lost > 0 ? `... ${lost} lines were lost: they came faster than they were read\n` : '';
			if (file === undefined) process.stdout.write(text + note, 'latin1');
			else writeSync(fd, text + note, null, 'latin1');
		});
		return new Trace(client, ended, fd);
	}

	close(): void {
		this.client.close();
		if (this.fd > 2) closeSync(this.fd);
	}
}

function openOutput(file: string): number {
	try {
		return openSync(file, 'w', 0o600);
	} catch (error) {
		throw HostError.from('Open the file for the trace', error);
	}
}

/** `isopod trace`: until the container has ended, or somebody ends it. */
export async function trace(root: string, id: string, options: TraceOptions): Promise<number> {
	const store = new StateStore(root);
	const { status, sandboxId } = store.load(id);
	if (status === 'stopped' || status === 'creating') throw new Error(`cannot trace a container that is ${status}`);
	const pids = options.pid.map((text) => {
		if (!/^\d+$/.test(text)) throw new Error(`--pid: want a number, got ${JSON.stringify(text)}`);
		return Number(text);
	});
	const calls = options.calls.flatMap((names) => names.split(','));
	const tracing = await Trace.begin(store.socket(sandboxId), { containerId: id, calls, paths: [...options.path], pids }, options.output);
	await tracing.ended;
	tracing.close();
	return 0;
}
