import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { Cgroup, closeProcs } from '../oci/cgroup/cgroup.js';
import type { Config } from '../oci/config.js';
import { hasResources, NO_RESOURCES, type Resources } from '../oci/resources.js';
import type { ContainerRecord, StateStore } from '../oci/state.js';
import type { SandboxClient } from './client.js';

/** Where a container's control group is when its config doesn't say. */
export function defaultGroupPath(id: string): string {
	return `/isopod/${id}`;
}

/** A container has a control group of its own when its config names one or sets limits; `pause` and `update` make one for whoever has none. */
export function groupPath({ linux }: Config, id: string): string | null {
	if (linux.cgroupsPath !== '') return linux.cgroupsPath;
	return hasResources(linux.resources) ? defaultGroupPath(id) : null;
}

/** Makes a container's control group with its limits, and moves its guests there; the sandbox process, if the container is the pod's first, beside it. */
export async function enterCgroup(
	client: SandboxClient,
	{ id, sandboxId, pid, handler }: ContainerRecord,
	cgroup: Cgroup,
	resources: Resources,
): Promise<void> {
	cgroup.make(resources);
	// All that a machine's monitor has started is the sandbox.
	if (id === sandboxId) cgroup.moveSandbox([pid, ...(handler === 'isopod-vm' ? children(pid) : helpers(pid))]);
	const fds = cgroup.openProcs();
	try {
		const memory = cgroup.openMemoryEvents();
		if (memory >= 0) fds.push(memory);
		await client.call({ joinCgroup: { containerId: id, hasMemoryEvents: memory >= 0 } }, fds);
	} finally {
		closeProcs(fds);
	}
}

/** The sandbox process's own helper, which makes its guests. Those are its children, too, but in PID namespaces of their own. */
export function helpers(pid: number): number[] {
	const own = pidNamespace(pid);
	return children(pid).filter((child) => pidNamespace(child) === own);
}

function children(pid: number): number[] {
	return readdirSync(`/proc/${pid}/task`).flatMap((tid) =>
		readFileSync(`/proc/${pid}/task/${tid}/children`, 'latin1').split(' ').filter(Boolean).map(Number),
	);
}

/** '' for a process that is gone. */
function pidNamespace(pid: number): string {
	try {
		return readlinkSync(`/proc/${pid}/ns/pid`);
	} catch {
		return '';
	}
}

/** A living container's control group, made now if it had none. */
export async function livingGroup(store: StateStore, client: SandboxClient, record: ContainerRecord): Promise<Cgroup> {
	const cgroup = Cgroup.at(record.cgroupsPath ?? defaultGroupPath(record.id));
	if (record.cgroupsPath === null) {
		record.cgroupsPath = cgroup.path;
		store.save(record);
		await enterCgroup(client, record, cgroup, NO_RESOURCES);
	}
	return cgroup;
}

/** Freezes a container. */
export async function freeze(client: SandboxClient, containerId: string, cgroup: Cgroup): Promise<void> {
	try {
		// In this order: a call is only given back when the freezer has a hold on its thread already.
		cgroup.startFreeze();
		await client.call({ pause: { containerId, isPaused: true } });
		cgroup.freeze(true);
	} catch (error) {
		await client.call({ pause: { containerId, isPaused: false } });
		throw error;
	}
}

/** Lets a frozen container go on. */
export async function thaw(client: SandboxClient, containerId: string, cgroup: Cgroup): Promise<void> {
	await client.call({ pause: { containerId, isPaused: false } });
	cgroup.freeze(false);
}
