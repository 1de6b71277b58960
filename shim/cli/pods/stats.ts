import { setTimeout as sleep } from 'node:timers/promises';
import { Option } from 'commander';
import type { cri } from '../../cri/client.js';
import type { Connection } from './connection.js';
import type { Commands } from './main.js';
import { findContainer, findSandbox, listContainers, podOf, RUNNING, shortId } from './names.js';
import { bytes, printValue, table } from './table.js';

type Stats = cri.ContainerStats.$Properties;

const INTERVAL_MS = 1000;
const [CLEAR, HOME, HIDE, SHOW] = ['\x1b[J', '\x1b[H', '\x1b[?25l\x1b[?1049h', '\x1b[?1049l\x1b[?25h'];

export function registerStats(commands: Commands): void {
	commands
		.add('stats', '[name...]', ['isopod stats', 'isopod stats web', 'isopod stats --no-stream -o json web/nginx'])
		.addOption(new Option('-o, --output <format>', 'how to show them, once').choices(['json', 'yaml']))
		.option('--no-stream', 'show them once')
		.action((names: string[], options: { output?: 'json' | 'yaml'; stream: boolean }) =>
			commands.run((connection) => {
				const isLive = options.stream && options.output === undefined && process.stdout.isTTY === true;
				return isLive ? showLive(connection, names) : showOnce(connection, names, options.output);
			}),
		);
}

interface Usage {
	readonly id: string;
	readonly name: string;
	readonly pod: string;
	/** CPUs in use: 1 is one of them. Null when the server has not told it twice. */
	readonly cpus: number | null;
	readonly memoryBytes: number;
	/** 0 without a limit. */
	readonly memoryLimitBytes: number;
	readonly diskBytes: number;
	readonly inodes: number;
}

/** Two samples give the use of CPU between them. */
class Sampler {
	private before = new Map<string, Stats>();
	private limits = new Map<string, number>();

	constructor(
		private readonly connection: Connection,
		private readonly names: readonly string[],
	) {}

	async sample(): Promise<Usage[]> {
		const { call } = this.connection;
		const wanted = await this.wanted();
		const { stats } = await call('ListContainerStats', {});
		const containers = new Map((await listContainers(call)).map((container) => [container.id ?? '', container]));
		const usages: Usage[] = [];
		const next = new Map<string, Stats>();
		for (const one of stats) {
			const id = one.attributes?.id ?? '';
			const container = containers.get(id);
			if (container?.state !== RUNNING || (wanted !== null && !wanted.has(id))) continue;
			next.set(id, one);
			usages.push({
				id,
				name: container.metadata?.name ?? '',
				pod: podOf(container),
				cpus: cpusBetween(this.before.get(id), one),
				memoryBytes: one.memory?.workingSetBytes?.value ?? one.memory?.usageBytes?.value ?? 0,
				memoryLimitBytes: await this.limitOf(id),
				diskBytes: one.writableLayer?.usedBytes?.value ?? 0,
				inodes: one.writableLayer?.inodesUsed?.value ?? 0,
			});
		}
		this.before = next;
		return usages.sort((one, other) => (`${one.pod}/${one.name}` < `${other.pod}/${other.name}` ? -1 : 1));
	}

	/** Null for all. */
	private async wanted(): Promise<Set<string> | null> {
		if (this.names.length === 0) return null;
		const ids = new Set<string>();
		for (const name of this.names) {
			const pod = await findSandbox(this.connection, name).catch(() => null);
			if (pod === null) ids.add((await findContainer(this.connection, name, { mustRun: true })).id ?? '');
			else for (const { id } of await listContainers(this.connection.call, { podSandboxId: pod.id ?? '' })) ids.add(id ?? '');
		}
		return ids;
	}

	private async limitOf(containerId: string): Promise<number> {
		const known = this.limits.get(containerId);
		if (known !== undefined) return known;
		const { status } = await this.connection.call('ContainerStatus', { containerId }).catch(() => ({ status: null }));
		const limit = status?.resources?.linux?.memoryLimitInBytes ?? 0;
		this.limits.set(containerId, limit);
		return limit;
	}
}

function cpusBetween(before: Stats | undefined, now: Stats): number | null {
	const used = now.cpu?.usageCoreNanoSeconds?.value ?? null;
	const usedBefore = before?.cpu?.usageCoreNanoSeconds?.value ?? null;
	const passed = (now.cpu?.timestamp ?? 0) - (before?.cpu?.timestamp ?? 0);
	if (used !== null && usedBefore !== null && passed > 0) return Math.max(0, used - usedBefore) / passed;
	const nanoCores = now.cpu?.usageNanoCores?.value;
	return nanoCores == null ? null : nanoCores / 1e9;
}

function show(usages: readonly Usage[]): string {
	return table(
		['CONTAINER', 'POD', 'NAME', 'CPU %', 'MEM', 'LIMIT', 'MEM %', 'DISK', 'INODES'],
		usages.map(({ id, pod, name, cpus, memoryBytes, memoryLimitBytes, diskBytes, inodes }) => [
			shortId(id),
			pod,
			name,
			cpus === null ? '-' : (cpus * 100).toFixed(2),
			bytes(memoryBytes),
			memoryLimitBytes === 0 ? '-' : bytes(memoryLimitBytes),
			memoryLimitBytes === 0 ? '-' : ((memoryBytes / memoryLimitBytes) * 100).toFixed(1),
			bytes(diskBytes),
			`${inodes}`,
		]),
	);
}

async function showOnce(connection: Connection, names: readonly string[], output: 'json' | 'yaml' | undefined): Promise<void> {
	const sampler = new Sampler(connection, names);
	await sampler.sample();
	await sleep(INTERVAL_MS);
	const usages = await sampler.sample();
	if (output === undefined) process.stdout.write(show(usages));
	else printValue(usages, output);
}

async function showLive(connection: Connection, names: readonly string[]): Promise<number> {
	const stop = new AbortController();
	const end = (): void => stop.abort();
	for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, end);
	const sampler = new Sampler(connection, names);
	process.stdout.write(HIDE);
	try {
		while (!stop.signal.aborted) {
			const text = show(await sampler.sample());
			const lines = text.split('\n').slice(0, Math.max(1, process.stdout.rows - 1));
			const cut = lines.map((line) => line.slice(0, process.stdout.columns));
			process.stdout.write(`${HOME}${cut.map((line) => `${line}\x1b[K`).join('\n')}${CLEAR}`);
			await sleep(INTERVAL_MS, undefined, { signal: stop.signal }).catch(() => undefined);
		}
	} finally {
		process.stdout.write(SHOW);
		for (const signal of ['SIGINT', 'SIGTERM']) process.off(signal, end);
	}
	return 0;
}
