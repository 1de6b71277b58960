import type { Stats } from '../oci/cgroup/stats.js';
import type { Config } from '../oci/config.js';
import type { Resources } from '../oci/resources.js';
import type { StateStore } from '../oci/state.js';
import type { RootfsMount } from './rootfs.js';

/** What a container is made of. */
export interface ContainerSpec {
	readonly id: string;
	/** The OCI bundle, an absolute path. */
	readonly bundle: string;
	/** The root file system, an absolute path. */
	readonly rootfs: string;
	/** What is to be mounted there first; with these it is unmounted when the container is deleted. */
	readonly rootfsMounts?: readonly RootfsMount[];
	readonly config: Config;
	/** config.json's text, which `config` is parsed from. */
	readonly text: string;
	/**
	 * Standard input, output and error, which stay the caller's; -1 for none (/dev/null). With `config.process.terminal` the terminal's far side: what comes from
	 * the first is typed, what the terminal shows goes to the second, the third is unused. That is a pty's slave, set raw, three times (its size then counts), or
	 * FIFOs or sockets (`resize` sets the size). Nothing of it runs through the caller, and it goes on when the caller is gone.
	 */
	readonly stdio: readonly number[];
	/** Of a machine's containers the one whose PID namespace it joins: they are none of the host's, and no path in `config` tells one from another. */
	readonly pidsOf?: string;
	/** Called when the sandbox has what it needs of `stdio` and of the trees, before hooks run. */
	readonly onBuilt?: () => void;
}

/** How a program ended. */
export interface Exit {
	/** As a shell tells it: the exit code, or 128 + the signal that killed it. */
	readonly status: number;
	/** Milliseconds since 1970. */
	readonly atMs: number;
	/** Why, when it didn't end by itself: its sandbox went. */
	readonly reason?: string;
}

export type ContainerStatus = 'created' | 'running' | 'paused' | 'stopped';

/**
 * One pod's sandbox, whichever handler made it: what front ends hold. The first container is the sandbox's: the pod ends with it, the others join its
 * namespaces. Methods throw an Error whose message is for the user. Whatever a restart needs is on disk when a promise is resolved, so that another process
 * can `open` the sandbox and go on.
 */
export interface Sandbox {
	/** The first container's id. */
	readonly id: string;
	/** A process of the host whose /proc/PID/ns/net, ipc and uts stand for the pod's: those paths name them in a config.json. */
	readonly pid: number;
	/** Resolves, with why, when the sandbox is gone; its programs with it. */
	readonly ended: Promise<string>;

	/** Another container of the pod. Leaves nothing behind when it fails. */
	create(spec: ContainerSpec): Promise<void>;
	/** The host's pid of its program (0 when that has ended by now), and its end. */
	start(id: string): Promise<{ readonly pid: number; readonly ended: Promise<Exit> }>;
	/** Another program in a container, `process` as the OCI specification has it, under an id of the caller's: the host's pid of it, 0 when it has ended by now. */
	exec(id: string, execId: string, process: object, stdio: readonly number[]): Promise<number>;
	/** Forgets an exec that has ended. */
	deleteExec(id: string, execId: string): Promise<void>;
	/** How a container's program (`execId` '') or an exec ended, whenever that is or was. 137 when the sandbox went with it. */
	wait(id: string, execId: string): Promise<Exit>;
	/** To a container's program, an exec, or, with `all`, to all processes of the container. Rejects when it isn't running. */
	signal(id: string, execId: string, signal: number, all: boolean): Promise<void>;
	/** The size of a terminal, in characters. */
	resize(id: string, execId: string, size: { readonly rows: number; readonly columns: number }): Promise<void>;
	status(id: string): Promise<ContainerStatus>;
	/** All containers that were not deleted, the first one first. */
	containers(): readonly string[];
	/** The host's pids of a container's processes. */
	processes(id: string): Promise<number[]>;
	pause(id: string): Promise<void>;
	resume(id: string): Promise<void>;
	update(id: string, resources: Resources): Promise<void>;
	/** What a container uses now. */
	stats(id: string): Promise<Stats>;
	/** How often the host has killed one of its processes for want of memory. */
	oomKills(id: string): number;
	/** Calls `listener` with a container's id after each such kill (several at once may be told once); before its `wait` resolves, when it ended by that. */
	onOom(listener: (id: string) => void): void;
	/** Where a container's control group is; null without one. */
	cgroupsPath(id: string): string | null;
	/** Kills what still runs of a container and forgets it, with all that it had; of the first: the pod. */
	delete(id: string): Promise<void>;
	/** Kills what lives and forgets the whole pod, after crashes, too, and when there is nothing left to do. */
	shutdown(): Promise<void>;
	/** Lets go of it: it lives on. */
	close(): void;
}

/** What a RuntimeClass names: a kind of sandbox. */
export interface Handler {
	readonly name: 'isopod' | 'isopod-vm';
	/** Makes a pod and its first container, whose id is the pod's. The sandbox's own words go to `log`, or to a file beside its records. Nothing is left when it fails. */
	make(store: StateStore, spec: ContainerSpec, log?: string): Promise<Sandbox>;
	/**
	 * Finds the pod that the container `id` lives in, whoever made it. One that has ended is found, too: its ends can be asked for, and it can be deleted.
	 * Rejects when there is no such container.
	 */
	open(store: StateStore, id: string): Promise<Sandbox>;
}
