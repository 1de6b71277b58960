// What a user calls things by.

import type { CriClient, cri } from '../../cri/client.js';
import type { Connection } from './connection.js';
import { type Pod, podDocument } from './pod.js';
import { ANNOTATIONS, LABELS } from './pod-config.js';
import { Problems } from './schema.js';

export type Sandbox = cri.PodSandbox.$Properties;
export type ContainerItem = cri.Container.$Properties;

/** CRI's states. */
export const RUNNING = 1;
export const EXITED = 2;
export const SANDBOX_READY = 0;

const STATES = ['Created', 'Running', 'Exited', 'Unknown'] as const;
export const SHORT_ID = 13;

export function stateOf(state: number | null | undefined): string {
	return STATES[state ?? 0] ?? 'Unknown';
}

export function shortId(id: string | null | undefined): string {
	return (id ?? '').slice(0, SHORT_ID);
}

export function podName({ metadata }: Sandbox): string {
	return metadata?.name ?? '';
}

export function podOf(container: ContainerItem): string {
	return container.labels?.[LABELS.podName] ?? shortId(container.podSandboxId);
}

export async function listSandboxes(call: CriClient['call']): Promise<Sandbox[]> {
	const { items } = await call('ListPodSandbox', {});
	return items.sort(newestFirst);
}

/** All containers, the newest first. */
export async function listContainers(call: CriClient['call'], filter: cri.ContainerFilter.$Properties = {}): Promise<ContainerItem[]> {
	const { containers } = await call('ListContainers', { filter });
	return containers.sort(newestFirst);
}

function newestFirst(one: { createdAt?: number | null }, other: { createdAt?: number | null }): number {
	return (other.createdAt ?? 0) - (one.createdAt ?? 0);
}

/** The one pod of a name, NAMESPACE/NAME, or the beginning of an id. Rejects when there is none, or several. */
export async function findSandbox(connection: Connection, wanted: string): Promise<Sandbox> {
	const all = await listSandboxes(connection.call);
	const bare = wanted.replace(/^(pods?|po)\//, '');
	const isNamed = (pod: Sandbox): boolean => [podName(pod), `${pod.metadata?.namespace}/${podName(pod)}`].includes(bare);
	const named = all.filter(isNamed);
	// Of several with one name the one that is up is meant.
	const ready = named.filter(({ state }) => state === SANDBOX_READY);
	const found = ready.length > 0 ? ready : named.length > 0 ? named : all.filter(({ id }) => bare !== '' && id?.startsWith(bare));
	if (found.length === 0) throw new Error(`pod ${JSON.stringify(wanted)} not found`);
	if (found.length > 1)
		throw new Error(
			`${JSON.stringify(wanted)} is not one pod: ${found.map((pod) => `${pod.metadata?.namespace}/${podName(pod)} (${shortId(pod.id)})`).join(', ')}`,
		);
	return found[0]!;
}

/** What a container has to be like. */
export interface Wanted {
	/** The name of a container of the pod that was named. */
	readonly container?: string | undefined;
	readonly mustRun?: boolean;
	/** How many instances before the newest one. */
	readonly previous?: number;
}

/**
 * The one container of the beginning of an id, a name, POD/CONTAINER, or of a pod that has one. Rejects when there is none or several. An
 * instance that runs is taken before those that have ended, and of these the newest.
 */
export async function findContainer(connection: Connection, wanted: string, options: Wanted = {}): Promise<ContainerItem> {
	const all = await listContainers(connection.call);
	const byId = options.container === undefined ? all.filter(({ id }) => wanted.length >= 3 && id?.startsWith(wanted)) : [];
	const exact = byId.filter(({ id }) => id === wanted);
	if (exact.length === 1) return exact[0]!;
	const candidates = await named(connection, all, wanted, options.container);
	const found = candidates.length > 0 ? candidates : byId;
	const instances = new Map<string, ContainerItem[]>();
	for (const container of found) {
		const key = `${container.podSandboxId}/${container.metadata?.name}`;
		instances.set(key, [...(instances.get(key) ?? []), container]);
	}
	let groups = [...instances.values()];
	const running = groups.filter((group) => group.some(({ state }) => state === RUNNING));
	if (running.length > 0 && groups.length > 1) groups = running;
	if (groups.length > 1) {
		const names = groups.map(([one]) => `${podOf(one!)}/${one!.metadata?.name}`);
		throw new Error(`${JSON.stringify(wanted)} is not one container, choose one of: ${names.join(', ')}`);
	}
	const [group] = groups;
	if (group === undefined) throw new Error(`container ${JSON.stringify(options.container ?? wanted)} not found`);
	const byAttempt = group.sort((one, other) => (other.metadata?.attempt ?? 0) - (one.metadata?.attempt ?? 0));
	const container = byAttempt[options.previous ?? 0];
	if (container === undefined)
		throw new Error(
			`previous terminated container ${JSON.stringify(group[0]?.metadata?.name)} in pod ${JSON.stringify(podOf(group[0]!))} not found`,
		);
	if (options.mustRun === true && container.state !== RUNNING)
		throw new Error(
			`container ${JSON.stringify(container.metadata?.name)} is not running: it is ${stateOf(container.state).toLowerCase()}`,
		);
	return container;
}

async function named(
	connection: Connection,
	all: readonly ContainerItem[],
	wanted: string,
	inPod: string | undefined,
): Promise<readonly ContainerItem[]> {
	const bare = wanted.replace(/^(pods?|po)\//, '');
	const slash = bare.lastIndexOf('/');
	const isOf = (container: ContainerItem, pod: Sandbox): boolean => container.podSandboxId === pod.id;
	if (inPod !== undefined) {
		const pod = await findSandbox(connection, bare);
		return all.filter((container) => isOf(container, pod) && container.metadata?.name === inPod);
	}
	if (slash > 0) {
		const pod = await findSandbox(connection, bare.slice(0, slash)).catch(() => null);
		if (pod !== null) return all.filter((container) => isOf(container, pod) && container.metadata?.name === bare.slice(slash + 1));
	}
	const pod = await findSandbox(connection, bare).catch((error: unknown) => {
		if (/is not one pod/.test((error as Error).message)) throw error;
		return null;
	});
	if (pod !== null && bare === podName(pod)) {
		const inside = all.filter((container) => isOf(container, pod));
		const preferred = defaultContainer(pod);
		const chosen = inside.filter(({ metadata }) => metadata?.name === preferred);
		if (inside.length > 0) return chosen.length > 0 ? chosen : inside;
		throw new Error(`pod ${JSON.stringify(wanted)} has no containers`);
	}
	return all.filter(({ metadata }) => metadata?.name === bare);
}

/** The container that is meant when only the pod is named: the annotation's, or the first one of a pod that was made here. */
function defaultContainer({ annotations }: Sandbox): string | undefined {
	const named = annotations?.['kubectl.kubernetes.io/default-container'];
	return named ?? readPod(annotations ?? {})?.spec.containers[0]?.name;
}

/** The pod as `isopod pod run` was given it; null for a pod of somebody else's. */
export function readPod(annotations: Readonly<Record<string, string>>): Pod | null {
	try {
		const pod = JSON.parse(annotations[ANNOTATIONS.pod] ?? 'null') as unknown;
		return pod === null ? null : podDocument(pod, '', new Problems());
	} catch {
		return null;
	}
}
