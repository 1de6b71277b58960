// How a pod is stopped and removed.

import { basename, isAbsolute } from 'node:path';
import { type ActionTarget, act } from './actions.js';
import { type Connection, isNotFound } from './connection.js';
import { containersOf, isSidecar } from './manifest.js';
import { type ContainerItem, listContainers, RUNNING, readPod, type Sandbox } from './names.js';
import type { Container } from './pod.js';
import { ANNOTATIONS } from './pod-config.js';
import { removePodFolder } from './volumes.js';

const DEFAULT_GRACE_SECONDS = 30;
/** What a call that waits for a container may take beyond the container's own time. */
const SLACK_MS = 30_000;
/** StopPodSandbox takes a network and what is left of a sandbox down. */
const TEARDOWN_MS = 120_000;

/**
 * Stops a container as kubelet does: its preStop hook, then its signal, and what is left of the grace period before it is killed. Resolves with
 * what the hook failed with, or null.
 */
export async function stopContainer(
	target: Omit<ActionTarget, 'container'>,
	container: Container | null,
	graceSeconds: number,
): Promise<string | null> {
	const hook = container?.lifecycle?.preStop;
	const startMs = Date.now();
	let failure: string | null = null;
	if (hook !== undefined && container !== null && graceSeconds > 0)
		failure = await act(hook, { ...target, container }, graceSeconds * 1000);
	const spent = Math.floor((Date.now() - startMs) / 1000);
	// As kubelet: after a hook that took all of the time a program still has two seconds.
	const timeout = graceSeconds === 0 ? 0 : Math.max(graceSeconds - spent, hook === undefined ? 0 : 2);
	try {
		await target.call('StopContainer', { containerId: target.containerId, timeout }, timeout * 1000 + SLACK_MS);
	} catch (error) {
		if (!isNotFound(error)) throw error;
	}
	return failure;
}

/** Stops a pod: its containers at once, its sidecars after them in reverse order, then its sandbox. `graceSeconds` null for the pod's own. */
export async function stopPod(connection: Connection, sandbox: Sandbox, graceSeconds: number | null): Promise<void> {
	const { call } = connection;
	const podSandboxId = sandbox.id ?? '';
	const pod = readPod(sandbox.annotations ?? {});
	const grace = graceSeconds ?? pod?.spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS;
	const running = (await listContainers(call, { podSandboxId })).filter(({ state }) => state === RUNNING);
	const known = pod === null ? [] : containersOf(pod);
	const needsAddress = known.some(({ container }) => container.lifecycle?.preStop !== undefined);
	const host = needsAddress ? ((await call('PodSandboxStatus', { podSandboxId })).status?.network?.ip ?? '') : '';
	const stop = async (item: ContainerItem): Promise<void> => {
		const container = known.find(({ container: one }) => one.name === item.metadata?.name)?.container ?? null;
		await stopContainer({ call, containerId: item.id ?? '', host: host === '' ? '127.0.0.1' : host }, container, grace);
	};
	const sidecars = known.filter(({ container, isInit }) => isSidecar(container, isInit)).map(({ container }) => container.name);
	const isSide = (item: ContainerItem): boolean => sidecars.includes(item.metadata?.name ?? '');
	await Promise.all(running.filter((item) => !isSide(item)).map(stop));
	for (const name of sidecars.reverse()) for (const item of running) if (item.metadata?.name === name) await stop(item);
	await call('StopPodSandbox', { podSandboxId }, TEARDOWN_MS);
}

/** Removes a pod that was stopped, and the folder of one that was made here. */
export async function removePod(connection: Connection, sandbox: Sandbox): Promise<void> {
	await connection.call('RemovePodSandbox', { podSandboxId: sandbox.id ?? '' }, TEARDOWN_MS);
	const folder = sandbox.annotations?.[ANNOTATIONS.folder];
	// Nothing but a folder that `pod run` could have made, whatever else has come to write annotations.
	const uid = sandbox.metadata?.uid ?? '';
	if (folder !== undefined && isAbsolute(folder) && uid !== '' && basename(folder) === uid && !folder.includes('/..'))
		removePodFolder(folder);
}
