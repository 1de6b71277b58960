import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, normalize } from 'node:path';
import { HostError } from '../../host-error.js';
import { native } from '../../native.js';
import type { Resources } from '../resources.js';
import { type Setting, settingsV1, settingsV2 } from './cgroup-settings.js';
import { findHierarchies, type Hierarchies } from './hierarchies.js';

/** How long a freeze may take before it is given up, and how often it is looked at. */
const FREEZE_LIMIT_MS = 5000;
const TICK_MS = 5;
/** How long a group that processes are leaving is tried to be removed. */
const REMOVE_LIMIT_MS = 3000;

/**
 * A container's control group: its guests are in it, with its limits. The sandbox process is in a group of its own beside it, so that it counts as the pod's
 * overhead (RuntimeClass `overhead.podFixed`) and is neither throttled nor killed for what its guests use.
 */
export class Cgroup {
	private constructor(
		private readonly hierarchies: Hierarchies,
		/** From the hierarchies' roots, with a slash before it. */
		readonly path: string,
	) {}

	/** `cgroupsPath` as config.json has it: a path, or SLICE:PREFIX:NAME as systemd's users write it. */
	static at(cgroupsPath: string, hierarchies: Hierarchies = findHierarchies()): Cgroup {
		return new Cgroup(hierarchies, cgroupsPath.includes(':') ? scopePath(cgroupsPath) : normalize(`/${cgroupsPath}`));
	}

	/** Makes both groups and sets the limits. Throws HostError; what was made stays for `remove`. */
	make(resources: Resources): void {
		for (const point of this.points()) {
			const made = makeFolders(point, this.path);
			makeFolders(point, this.sandboxPath);
			if (this.hierarchies.version === 2) enableControllers(point, dirname(this.path));
			else if (point === this.hierarchies.mounts.get('cpuset'))
				for (const folder of [...made, join(point, this.sandboxPath)]) inheritCpus(folder);
		}
		this.set(resources);
	}

	/** Sets limits, of a living container too. Throws HostError naming the file. */
	set(resources: Resources): void {
		if (resources.isCheckedBeforeUpdate && resources.memoryLimitBytes !== null) this.checkMemory(resources.memoryLimitBytes);
		const { version, mounts } = this.hierarchies;
		if (version === 1 && Object.keys(resources.unified).length > 0)
			throw new HostError('Set linux.resources.unified', 'the host has cgroup v1');
		const settings = version === 1 ? settingsV1(resources) : settingsV2(resources);
		// A memory limit can't go above the one of memory and swap, nor that one below it: which is first depends on what they were.
		const failed = settings.filter((setting) => !this.write(setting, mounts, setting.file.includes('limit_in_bytes')));
		for (const setting of failed) this.write(setting, mounts, false);
	}

	/** Moves a process into the group itself, which is made without limits if it isn't there. Throws HostError. */
	enter(pid: number): void {
		for (const point of this.points()) {
			const made = makeFolders(point, this.path);
			if (point === this.hierarchies.mounts.get('cpuset') && this.version === 1) for (const folder of made) inheritCpus(folder);
			const file = join(point, this.path, 'cgroup.procs');
			attempt(`Move process ${pid} into ${file}`, () => writeFileSync(file, `${pid}`));
		}
	}

	/** Moves a sandbox process, and what helps it, into the group beside. */
	moveSandbox(pids: readonly number[]): void {
		for (const point of this.points()) {
			for (const pid of pids) {
				const file = join(point, this.sandboxPath, 'cgroup.procs');
				attempt(`Move process ${pid} into ${file}`, () => writeFileSync(file, `${pid}`));
			}
		}
	}

	/** Opens the files by which a process is moved into the group, one per hierarchy; the caller closes them. */
	openProcs(): number[] {
		return this.points().map((point) => {
			const file = join(point, this.path, 'cgroup.procs');
			return attempt(`Open ${file}`, () => openSync(file, 'w'));
		});
	}

	/**
	 * Opens what tells when the group runs out of memory (an eventfd in v1, memory.events in v2, to be polled); -1 when the host hasn't the controller. The caller
	 * closes it.
	 */
	openMemoryEvents(): number {
		const file = this.file('memory', this.version === 1 ? 'memory.oom_control' : 'memory.events');
		if (file === null || !existsSync(file)) return -1;
		const fd = attempt(`Open ${file}`, () => openSync(file, 'r'));
		if (this.version === 2) return fd;
		const events = native.eventfd();
		try {
			if (events < 0) throw HostError.errno('Make an eventfd', -events);
			const control = join(dirname(file), 'cgroup.event_control');
			attempt(`Write to ${control}`, () => writeFileSync(control, `${events} ${fd}`));
			return events;
		} catch (error) {
			if (events >= 0) closeSync(events);
			throw error;
		} finally {
			closeSync(fd);
		}
	}

	/** Begins to stop every process in the group. */
	startFreeze(): void {
		this.writeFreezer(true);
	}

	/** Stops every process in the group, or lets them go on, and waits until it is so. Throws HostError when they don't stop. */
	freeze(isFrozen: boolean): void {
		this.writeFreezer(isFrozen);
		const [controller, file] = this.version === 1 ? ['freezer', 'freezer.state'] : ['', 'cgroup.events'];
		const wanted = this.version === 1 ? (isFrozen ? /^FROZEN/ : /^THAWED/) : isFrozen ? /^frozen 1$/m : /^frozen 0$/m;
		for (let waited = 0; !wanted.test(this.read(controller, file)); waited += TICK_MS) {
			if (waited >= FREEZE_LIMIT_MS) {
				if (isFrozen) this.writeFreezer(false);
				throw new HostError(`${isFrozen ? 'Freeze' : 'Thaw'} the container`, `${file} says ${this.read(controller, file).trim()}`);
			}
			Atomics.wait(sleeper, 0, 0, TICK_MS);
		}
	}

	private writeFreezer(isFrozen: boolean): void {
		const setting =
			this.version === 1
				? { controller: 'freezer', file: 'freezer.state', value: isFrozen ? 'FROZEN' : 'THAWED' }
				: { controller: '', file: 'cgroup.freeze', value: isFrozen ? '1' : '0' };
		this.write(setting, this.hierarchies.mounts, false);
	}

	/** Processes in the group, by the caller's pids. */
	processes(): number[] {
		const [point] = this.points();
		return read(join(point!, this.path, 'cgroup.procs'))
			.split('\n')
			.filter(Boolean)
			.map(Number);
	}

	/** A file of the group; '' when it isn't there. `controller` is for v1. */
	read(controller: string, file: string): string {
		const { version, mounts } = this.hierarchies;
		const point = mounts.get(version === 1 ? controller : '');
		return point === undefined ? '' : read(join(point, this.path, file));
	}

	/** A file's path, for whoever watches it; null when the host hasn't the controller. */
	file(controller: string, file: string): string | null {
		const { version, mounts } = this.hierarchies;
		const point = mounts.get(version === 1 ? controller : '');
		return point === undefined ? null : join(point, this.path, file);
	}

	get version(): 1 | 2 {
		return this.hierarchies.version;
	}

	/** Kills what is left in both groups and removes them. */
	remove(): void {
		const folders = this.points().flatMap((point) => [join(point, this.path), join(point, this.sandboxPath)]);
		if (this.isFrozen()) this.freeze(false);
		for (let waited = 0; ; waited += TICK_MS) {
			let isLeft = false;
			for (const folder of folders) isLeft = !removeFolder(folder) || isLeft;
			if (!isLeft) return;
			if (waited >= REMOVE_LIMIT_MS) throw new HostError(`Remove the control group ${this.path}`, 'EBUSY');
			for (const folder of folders) for (const pid of read(join(folder, 'cgroup.procs')).split('\n').filter(Boolean)) kill(Number(pid));
			Atomics.wait(sleeper, 0, 0, TICK_MS);
		}
	}

	/** Is the group frozen, or on its way there? */
	isFrozen(): boolean {
		return this.hierarchies.version === 1 ? /FR/.test(this.read('freezer', 'freezer.state')) : /^1/.test(this.read('', 'cgroup.freeze'));
	}

	/** The folders that hold the hierarchies, each once (cpu and cpuacct often share one). */
	private points(): string[] {
		return [...new Set(this.hierarchies.mounts.values())];
	}

	/** Where the group beside is, which the sandbox process of a pod's first container is in. */
	get sandboxPath(): string {
		return join(dirname(this.path), `isopod-${basename(this.path)}`);
	}

	private write(setting: Setting, mounts: ReadonlyMap<string, string>, isTried: boolean): boolean {
		const { controller, file, value } = setting;
		const point = mounts.get(this.version === 1 ? controller : '');
		if (point === undefined) throw new HostError(`Set ${file}`, `the host has no ${controller} controller`);
		const path = join(point, this.path, file);
		try {
			writeFileSync(path, value, { flag: 'r+' });
			return true;
		} catch (error) {
			if (isTried) return false;
			throw HostError.from(`Write ${value} to ${path}`, error);
		}
	}

	private checkMemory(limitBytes: number): void {
		const used = Number(this.read('memory', this.hierarchies.version === 1 ? 'memory.usage_in_bytes' : 'memory.current'));
		if (limitBytes < used) throw new HostError(`Set the memory limit to ${limitBytes} bytes`, `${used} are in use`);
	}
}

const sleeper = new Int32Array(new SharedArrayBuffer(4));

/** SLICE:PREFIX:NAME as the path that systemd would give it: a-b.slice lies in a.slice. */
function scopePath(text: string): string {
	const [slice = '', prefix = '', name = ''] = text.split(':');
	const parts = (slice === '' ? 'system.slice' : slice).replace(/\.slice$/, '').split('-');
	const folders = parts.map((_, i) => `${parts.slice(0, i + 1).join('-')}.slice`);
	return normalize(`/${folders.join('/')}/${prefix === '' ? '' : `${prefix}-`}${name}.scope`);
}

/** Makes a group and those above it; returns the folders from the top, made or not. */
function makeFolders(point: string, path: string): string[] {
	const folders: string[] = [];
	let folder = point;
	for (const name of path.split('/').filter(Boolean)) {
		folder = join(folder, name);
		folders.push(folder);
		const made = folder;
		if (!existsSync(folder)) attempt(`Make the control group ${folder}`, () => mkdirSync(made, { recursive: true }));
	}
	return folders;
}

/** cgroup v2: a group's controllers are what the groups above it pass down. */
function enableControllers(point: string, path: string): void {
	let folder = point;
	for (const name of ['', ...path.split('/').filter(Boolean)]) {
		folder = join(folder, name);
		for (const controller of read(join(folder, 'cgroup.controllers')).split(' ')) {
			const file = join(folder, 'cgroup.subtree_control');
			if (controller.trim() === '' || read(file).split(/\s/).includes(controller.trim())) continue;
			attempt(`Write +${controller.trim()} to ${file}`, () => writeFileSync(file, `+${controller.trim()}`));
		}
	}
}

/** cgroup v1: a fresh cpuset has no CPUs and takes no process. */
function inheritCpus(folder: string): void {
	for (const file of ['cpuset.cpus', 'cpuset.mems']) {
		if (read(join(folder, file)).trim() !== '') continue;
		const above = read(join(dirname(folder), file)).trim();
		attempt(`Write ${above} to ${join(folder, file)}`, () => writeFileSync(join(folder, file), above));
	}
}

function attempt<T>(step: string, action: () => T): T {
	try {
		return action();
	} catch (error) {
		throw HostError.from(step, error);
	}
}

function read(file: string): string {
	try {
		return readFileSync(file, 'latin1');
	} catch {
		return '';
	}
}

/** True when the folder is gone. */
function removeFolder(folder: string): boolean {
	try {
		rmdirSync(folder);
		return true;
	} catch (error) {
		return (error as NodeJS.ErrnoException).code === 'ENOENT';
	}
}

function kill(pid: number): void {
	try {
		process.kill(pid, 'SIGKILL');
	} catch {
		// It ended by itself.
	}
}

/** Closes what `openProcs` opened. */
export function closeProcs(fds: readonly number[]): void {
	for (const fd of fds) closeSync(fd);
}
