// What `inspect` shows.

import type { Connection } from './connection.js';
import { type ContainerItem, SANDBOX_READY, type Sandbox, stateOf } from './names.js';
import { ANNOTATIONS } from './pod-config.js';

/** A pod: CRI's status, and the pod that it was made from. */
export async function statusOf(connection: Connection, { id }: Sandbox): Promise<object> {
	const { status, info } = await connection.call('PodSandboxStatus', { podSandboxId: id ?? '', verbose: true });
	const { [ANNOTATIONS.pod]: pod, ...annotations } = status?.annotations ?? {};
	return {
		...plain({
			...status,
			state: status?.state === SANDBOX_READY ? 'Ready' : 'NotReady',
			annotations,
			createdAt: timeOf(status?.createdAt),
		}),
		...(pod === undefined ? {} : { pod: parsed(pod) }),
		...(Object.keys(info ?? {}).length === 0 ? {} : { info: infoOf(info) }),
	};
}

export async function containerStatusOf(connection: Connection, { id }: ContainerItem): Promise<object> {
	const { status, info } = await connection.call('ContainerStatus', { containerId: id ?? '', verbose: true });
	return {
		...plain({
			...status,
			state: stateOf(status?.state),
			createdAt: timeOf(status?.createdAt),
			startedAt: timeOf(status?.startedAt),
			finishedAt: timeOf(status?.finishedAt),
		}),
		...(Object.keys(info ?? {}).length === 0 ? {} : { info: infoOf(info) }),
	};
}

/** Null when there is no such image. */
export async function imageStatusOf(connection: Connection, image: string): Promise<object | null> {
	const { image: found, info } = await connection.call('ImageStatus', { image: { image }, verbose: true });
	if (found == null) return null;
	return { ...plain({ ...found }), ...(Object.keys(info ?? {}).length === 0 ? {} : { info: infoOf(info) }) };
}

function timeOf(timeNs: number | null | undefined): string | undefined {
	return (timeNs ?? 0) <= 0 ? undefined : new Date(timeNs! / 1e6).toISOString();
}

/** Servers put JSON into strings there. */
function infoOf(info: Readonly<Record<string, string>> | null | undefined): object {
	return Object.fromEntries(Object.entries(info ?? {}).map(([name, value]) => [name, parsed(value)]));
}

function parsed(text: string): unknown {
	try {
		return JSON.parse(text) as unknown;
	} catch {
		return text;
	}
}

/** A message's own fields, without what belongs to its encoding. */
function plain(value: object): object {
	return JSON.parse(JSON.stringify(value, (name, field: unknown) => (name.startsWith('$') ? undefined : field))) as object;
}
