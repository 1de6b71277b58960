import { setTimeout as sleep } from 'node:timers/promises';
import { Option } from 'commander';
import type { Connection } from './connection.js';
import { isUnimplemented } from './connection.js';
import type { Commands } from './main.js';
import { EXITED, listContainers, podOf, RUNNING, shortId } from './names.js';
import { printable } from './table.js';

const POLL_MS = 500;
const KINDS = ['created', 'started', 'stopped', 'deleted'] as const;

export function registerEvents(commands: Commands): void {
	commands
		.add('events', '', ['isopod events', 'isopod events -o json', 'isopod events ID  # the usage of an OCI container'])
		.addOption(new Option('-o, --output <format>', 'how to show them').choices(['json']))
		.action((options: { output?: 'json' }) => commands.run((connection) => show(connection, options.output === 'json')));
}

export interface ContainerEvent {
	readonly time: string;
	readonly kind: (typeof KINDS)[number];
	readonly containerId: string;
	readonly container: string;
	readonly pod: string;
	/** Of a container that has stopped. */
	readonly exitCode?: number;
}

async function show(connection: Connection, isJson: boolean): Promise<number> {
	const stop = new AbortController();
	const end = (): void => stop.abort();
	for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, end);
	for await (const event of containerEvents(connection, stop.signal)) {
		const { time, kind, containerId, container, pod, exitCode } = event;
		const line = isJson
			? JSON.stringify(event)
			: `${time} ${kind.padEnd(7)} ${printable(`${pod}/${container}`)} (${shortId(containerId)})${exitCode === undefined ? '' : ` exit code ${exitCode}`}`;
		process.stdout.write(`${line}\n`);
	}
	return 0;
}

/** What happens to containers from now on; a server without events is asked again and again. */
export async function* containerEvents(connection: Connection, signal: AbortSignal): AsyncGenerator<ContainerEvent> {
	// A server that has the call sends nothing until something happens, so that what has gone before is asked for meanwhile.
	try {
		for await (const { containerId, containerEventType, createdAt, podSandboxStatus, containersStatuses } of connection.client.stream(
			'GetContainerEvents',
			{},
			signal,
		)) {
			const status = containersStatuses.find(({ id }) => id === containerId);
			const kind = KINDS[containerEventType] ?? 'created';
			yield {
				time: new Date(createdAt / 1e6).toISOString(),
				kind,
				containerId,
				container: status?.metadata?.name ?? (containerId === podSandboxStatus?.id ? '(sandbox)' : ''),
				pod: podSandboxStatus?.metadata?.name ?? '',
				...(kind === 'stopped' && status != null ? { exitCode: status.exitCode ?? 0 } : {}),
			};
		}
	} catch (error) {
		if (!isUnimplemented(error)) throw error;
		yield* poll(connection, signal);
	}
}

async function* poll(connection: Connection, signal: AbortSignal): AsyncGenerator<ContainerEvent> {
	const known = new Map<string, { state: number; container: string; pod: string }>();
	for (let isFirst = true; !signal.aborted; isFirst = false) {
		const now = await listContainers(connection.call);
		const events: ContainerEvent[] = [];
		const time = new Date().toISOString();
		for (const item of now.reverse()) {
			const id = item.id ?? '';
			const names = { container: item.metadata?.name ?? '', pod: podOf(item) };
			const state = item.state ?? 0;
			const before = known.get(id);
			known.set(id, { state, ...names });
			if (isFirst || before?.state === state) continue;
			if (before === undefined) events.push({ time, kind: 'created', containerId: id, ...names });
			if (state === RUNNING || (state === EXITED && before?.state !== RUNNING))
				events.push({ time, kind: 'started', containerId: id, ...names });
			if (state !== EXITED) continue;
			const { status } = await connection.call('ContainerStatus', { containerId: id }).catch(() => ({ status: null }));
			events.push({ time, kind: 'stopped', containerId: id, ...names, exitCode: status?.exitCode ?? 0 });
		}
		const ids = new Set(now.map(({ id }) => id ?? ''));
		for (const [id, { state, container, pod }] of known) {
			if (ids.has(id)) continue;
			known.delete(id);
			// It ended between two looks: how, nobody can tell any more.
			if (state === RUNNING) events.push({ time, kind: 'stopped', containerId: id, container, pod });
			events.push({ time, kind: 'deleted', containerId: id, container, pod });
		}
		yield* events;
		await sleep(POLL_MS, undefined, { signal }).catch(() => undefined);
	}
}
