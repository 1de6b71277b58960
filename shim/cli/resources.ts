import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { oomKills, type Stats } from '../../runtime/oci/cgroup/stats.js';
import { parseResources } from '../../runtime/oci/resources.js';
import { Section } from '../../runtime/oci/section.js';
import { type ContainerRecord, StateStore } from '../../runtime/oci/state.js';
import { GuestSandbox } from '../../runtime/sandbox/guest-sandbox.js';

/** A container that lives, in one of the states in `wanted`, while `action` does something with its sandbox. */
async function withLiving<T>(
	root: string,
	id: string,
	wanted: readonly ContainerRecord['status'][],
	what: string,
	action: (sandbox: GuestSandbox) => Promise<T>,
): Promise<T> {
	const store = new StateStore(root);
	const { status } = store.load(id);
	if (!wanted.includes(status)) throw new Error(`cannot ${what} a container that is ${status}`);
	const sandbox = GuestSandbox.open(store, id);
	try {
		return await action(sandbox);
	} finally {
		sandbox.close();
	}
}

/** `isopod pause`. */
export async function pause(root: string, id: string): Promise<void> {
	await withLiving(root, id, ['running'], 'pause', (sandbox) => sandbox.pause(id));
}

/** `isopod resume`. */
export async function resume(root: string, id: string): Promise<void> {
	await withLiving(root, id, ['paused'], 'resume', (sandbox) => sandbox.resume(id));
}

/** Options of `isopod update` that are one field of `resources` each: runc's. */
const FIELDS: readonly { readonly option: string; readonly section: string; readonly field: string; readonly description: string }[] = [
	{ option: 'blkio-weight', section: 'blockIO', field: 'weight', description: 'weight of block IO, 10 to 1000' },
	{ option: 'cpu-period', section: 'cpu', field: 'period', description: 'period of the CPU quota, in µs' },
	{ option: 'cpu-quota', section: 'cpu', field: 'quota', description: 'CPU time in a period, in µs; -1 for no limit' },
	{ option: 'cpu-burst', section: 'cpu', field: 'burst', description: 'CPU time that may be saved up, in µs' },
	{ option: 'cpu-share', section: 'cpu', field: 'shares', description: 'CPU shares, relative to other containers' },
	{ option: 'cpu-rt-period', section: 'cpu', field: 'realtimePeriod', description: 'period of realtime scheduling, in µs' },
	{ option: 'cpu-rt-runtime', section: 'cpu', field: 'realtimeRuntime', description: 'realtime CPU time in a period, in µs' },
	{ option: 'cpu-idle', section: 'cpu', field: 'idle', description: '1: only when nobody else wants the CPU' },
	{ option: 'cpuset-cpus', section: 'cpu', field: 'cpus', description: 'CPUs to run on, such as 0-2,7' },
	{ option: 'cpuset-mems', section: 'cpu', field: 'mems', description: 'memory nodes to use' },
	{ option: 'memory', section: 'memory', field: 'limit', description: 'memory limit, in bytes; -1 for none' },
	{ option: 'memory-reservation', section: 'memory', field: 'reservation', description: 'soft limit, in bytes' },
	{ option: 'memory-swap', section: 'memory', field: 'swap', description: 'memory and swap together, in bytes; -1 for no limit' },
	{ option: 'pids-limit', section: 'pids', field: 'limit', description: 'processes and threads; -1 for no limit' },
];

export const UPDATE_OPTIONS = FIELDS.map(({ option, description }) => ({ flags: `--${option} <value>`, description }));

export interface UpdateOptions {
	readonly resources?: string;
	/** The options of UPDATE_OPTIONS, in camel case. */
	readonly [option: string]: string | undefined;
}

/** `isopod update`. */
export async function update(root: string, id: string, options: UpdateOptions): Promise<void> {
	const resources = parseResources(
		new Section(options.resources === undefined ? given(options) : readJson(options.resources), 'resources'),
	);
	await withLiving(root, id, ['created', 'running', 'paused'], 'update', (sandbox) => sandbox.update(id, resources));
}

function readJson(file: string): unknown {
	const text = readFileSync(file === '-' ? 0 : file, 'utf8');
	try {
		return JSON.parse(text);
	} catch (error) {
		throw new Error(`Read ${file}: it is no JSON: ${error instanceof Error ? error.message : String(error)}`);
	}
}

/** The options as a `resources` object. */
function given(options: UpdateOptions): unknown {
	const result: Record<string, Record<string, number | string>> = {};
	for (const { option, section, field } of FIELDS) {
		const text = options[option.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())];
		if (text === undefined) continue;
		const isText = field === 'cpus' || field === 'mems';
		if (!isText && !/^-?\d+$/.test(text)) throw new Error(`--${option}: want a number, got ${JSON.stringify(text)}`);
		result[section] = { ...result[section], [field]: isText ? text : Number(text) };
	}
	return result;
}

const OOM_POLL_MS = 100;

/** `isopod events`: until the container has ended. */
export async function events(root: string, id: string, options: { readonly interval: string; readonly stats?: boolean }): Promise<void> {
	const intervalMs = parseDuration(options.interval);
	const store = new StateStore(root);
	const living = <T>(action: (sandbox: GuestSandbox) => Promise<T>): Promise<T> =>
		withLiving(root, id, ['created', 'running', 'paused'], 'show events of', action);
	const print = (type: string, data?: object): void => {
		process.stdout.write(`${JSON.stringify({ type, id, ...(data === undefined ? {} : { data }) })}\n`);
	};
	const usage = (): Promise<Stats> => living((sandbox) => sandbox.stats(id));
	if (options.stats) {
		print('stats', await usage());
		return;
	}
	// A view, or what there was when a machine was asked.
	let files = await living((sandbox) => sandbox.groupFiles(id));
	let kills = oomKills(files);
	for (let sincePrintMs = intervalMs; isThere(store, id); sincePrintMs += OOM_POLL_MS) {
		if (sincePrintMs >= intervalMs) {
			const data = await usage().catch(async (error: unknown) => {
				// A machine that ends answers no more some time before it has ended.
				await sleep(ENDING_MS);
				if (isThere(store, id)) throw error;
				return null;
			});
			if (data !== null) print('stats', data);
			sincePrintMs = 0;
		}
		await sleep(OOM_POLL_MS);
		files = await living((sandbox) => sandbox.groupFiles(id)).catch(() => files);
		const now = oomKills(files);
		for (; kills < now; kills++) print('oom');
	}
}

/** Whoever runs it may have removed it as soon as it had ended. */
function isThere(store: StateStore, id: string): boolean {
	try {
		return store.load(id).status !== 'stopped';
	} catch (error) {
		// Its record goes before its folder does.
		if (error instanceof Error && error.message.startsWith('container does not exist')) return false;
		throw error;
	}
}

/** How long an end may take. */
const ENDING_MS = 500;

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** A duration as Go writes it: 500ms, 1m30s. */
function parseDuration(text: string): number {
	if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) throw new Error(`--interval: want a duration such as 5s, got ${JSON.stringify(text)}`);
	let ms = 0;
	for (const [, number, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)) ms += Number(number) * UNITS_MS[unit!]!;
	if (ms <= 0) throw new Error('--interval: duration must be above 0');
	return ms;
}
