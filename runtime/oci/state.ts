import {
	closeSync,
	existsSync,
	mkdirSync,
	openSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	renameSync,
	rmSync,
	statSync,
	symlinkSync,
	writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { HostError } from '../host-error.js';
import { native } from '../native.js';
import { Cgroup } from './cgroup/cgroup.js';

/** What is on disk about a container: enough for any later command to find it. */
export interface ContainerRecord {
	readonly ociVersion: string;
	readonly id: string;
	/** The pod's first container, in whose folder the sandbox process's socket is: itself, or the one that it joined. */
	readonly sandboxId: string;
	/** The kind of sandbox: a handler's name. */
	readonly handler: 'isopod' | 'isopod-vm';
	readonly bundle: string;
	readonly rootfs: string;
	/** It was mounted for this container, and is unmounted with it. */
	readonly hasRootfsMounts: boolean;
	readonly created: string;
	readonly owner: string;
	readonly annotations: Readonly<Record<string, string>>;
	status: 'creating' | 'created' | 'running' | 'paused' | 'stopped';
	/** The sandbox process; 0 before it exists. */
	pid: number;
	/** Its start time (field 22 of /proc/PID/stat): tells it from a later process with its number. */
	pidStart: string;
	/** Whose user namespace the pod's trees are mapped to, where that isn't the sandbox process's; 0: it is. */
	treesPid: number;
	/** Its first program and that one's start time, for a container that joined another's sandbox; 0 before it runs. */
	initPid: number;
	initStart: string;
	/** Which range of host ids is its own; see `idBase`. */
	idSlot: number;
	/** Of its control group, as `Cgroup.at` takes it; null while it has none. */
	cgroupsPath: string | null;
}

/** An id that can be a folder's name, as runc takes them. */
const ID = /^[\w+.-]{1,1024}$/;
/** The ids of slot n: from here on, 65536 each. */
const FIRST_ID = 0x1000_0000;
const IDS_PER_SLOT = 65536;
/** Pods that there can be at a time below one root. */
export const MAX_SLOTS = 32768;

/** The first host id of a slot: each pod has host users of its own. */
export function idBase(slot: number): number {
	return FIRST_ID + slot * IDS_PER_SLOT;
}

/** Containers on disk, below a root such as /run/isopod. Every change is on disk before the method returns. */
export class StateStore {
	constructor(readonly root: string) {}

	folder(id: string): string {
		if (!ID.test(id) || id === '.' || id === '..')
			throw new Error(`invalid container ID format: ${JSON.stringify(id)}: want letters, digits, "_", "+", "-" and "."`);
		return join(this.root, id);
	}
	/** Is there a record? A folder may be there without one: its making or its removal was interrupted. */
	has(id: string): boolean {
		return existsSync(join(this.folder(id), STATE));
	}

	/** Where the sandbox process writes how the container ended. */
	exitFile(id: string): string {
		return join(this.folder(id), 'exit.json');
	}

	/** Of the sandbox process whose first container is `sandboxId`. */
	socket(sandboxId: string): string {
		return join(this.folder(sandboxId), 'control.sock');
	}

	/** Makes the container's folder: of two that try the same id one wins. Throws when the id is in use. `config` is config.json's text. */
	create(record: ContainerRecord, config: string): void {
		const folder = this.folder(record.id);
		try {
			makeFolder(this.root);
			mkdirSync(folder, { mode: 0o700 });
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code === 'EEXIST' && existsSync(folder))
				throw new Error(`container with given ID already exists: ${record.id}`);
			throw HostError.from("Make the container's folder", error);
		}
		try {
			this.save(record);
			writeFileSync(join(folder, CONFIG), config, { mode: 0o600, flush: true });
		} catch (error) {
			rmSync(folder, { recursive: true, force: true });
			throw HostError.from(`Save the container's state in ${folder}`, error);
		}
	}

	/** config.json as it was when the container was made: the bundle's may have changed since. Checked then. */
	config(id: string): { readonly process: Record<string, unknown> } {
		return JSON.parse(readFileSync(join(this.folder(id), CONFIG), 'utf8')) as { process: Record<string, unknown> };
	}

	save(record: ContainerRecord): void {
		const file = join(this.folder(record.id), STATE);
		writeFileSync(`${file}.new`, `${JSON.stringify(record, null, '\t')}\n`, { mode: 0o600, flush: true });
		renameSync(`${file}.new`, file);
	}

	/** The record as it is now: a container whose sandbox process is gone is stopped. Throws when there is none. */
	load(id: string): ContainerRecord {
		let text: string;
		try {
			text = readFileSync(join(this.folder(id), STATE), 'utf8');
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw new Error(`container does not exist: ${id}`);
			throw error;
		}
		const record = JSON.parse(text) as ContainerRecord;
		if (record.pid > 0 && processStart(record.pid) !== record.pidStart) record.status = 'stopped';
		else if (record.sandboxId !== id && this.hasEnded(record)) record.status = 'stopped';
		else if (record.status === 'running' && record.cgroupsPath !== null && Cgroup.at(record.cgroupsPath).isFrozen())
			record.status = 'paused';
		return record;
	}

	/** A container that joined a sandbox ends before that one does. Its program may be gone, and another have its number, before its pid was known. */
	private hasEnded({ id, initPid, initStart }: ContainerRecord): boolean {
		if (initPid > 0 && processStart(initPid) !== initStart) return true;
		return (statSync(this.exitFile(id), { throwIfNoEntry: false })?.size ?? 0) > 0;
	}

	list(): ContainerRecord[] {
		return this.names()
			.filter((name) => !name.startsWith('.'))
			.flatMap((name) => {
				try {
					return [this.load(name)];
				} catch {
					return [];
				}
			});
	}

	/** Forgets a container, its range of ids and its folder, and what starts left that were killed before they had a container. */
	remove(id: string): void {
		this.withSlots(() => {
			for (const name of this.names()) if (EARLY.test(name)) this.isAbandoned(name);
			// The range goes first: what is left of a container whose removal was interrupted can be removed again.
			for (const slot of this.slots()) if (this.slotOwner(slot) === id) rmSync(join(this.root, SLOTS, slot), { force: true });
		});
		rmSync(this.folder(id), { recursive: true, force: true });
	}

	/**
	 * Takes a range of host ids that no other container has, for the container `id`, whose record exists. A slot is a symlink to its container's folder,
	 * so that making it tells who has it, and one whose container is gone (its removal was interrupted) is free.
	 */
	takeSlot(id: string): number {
		mkdirSync(join(this.root, SLOTS), { recursive: true, mode: 0o700 });
		return this.withSlots(() => this.takeFreeSlot(id));
	}

	private takeFreeSlot(id: string): number {
		const used = new Set(this.slots());
		for (let slot = 0; slot < MAX_SLOTS; slot++) {
			const owner = used.has(`${slot}`) ? this.slotOwner(`${slot}`) : null;
			if (owner !== null && existsSync(join(this.root, owner)) && !this.isAbandoned(owner)) continue;
			const link = join(this.root, SLOTS, `${slot}`);
			if (owner !== null) rmSync(link, { force: true });
			try {
				symlinkSync(join('..', id), link);
				return slot;
			} catch (error) {
				if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
			}
		}
		throw new Error(`Take a range of host ids: all ${MAX_SLOTS} are in use`);
	}

	/** A slot that was taken before its container had a record becomes the container's. */
	giveSlot(slot: number, id: string): void {
		const link = join(this.root, SLOTS, `${slot}`);
		symlinkSync(join('..', id), `${link}.new`);
		renameSync(`${link}.new`, link);
	}

	/**
	 * Looks at slots and removes some, alone: of two that saw the same stale slot, the later one would remove what a third has taken meanwhile, and two pods
	 * would share host ids. (Making a slot needs no lock: it is one step, and fails where there is one.)
	 */
	private withSlots<T>(action: () => T): T {
		const folder = join(this.root, SLOTS);
		if (!existsSync(folder)) return action();
		const fd = openSync(folder, 'r');
		try {
			const error = native.lockExclusive(fd);
			if (error < 0) throw HostError.errno(`Lock ${folder}`, -error);
			return action();
		} finally {
			closeSync(fd);
		}
	}

	private names(): string[] {
		try {
			return readdirSync(this.root);
		} catch {
			return [];
		}
	}

	private slots(): string[] {
		try {
			return readdirSync(join(this.root, SLOTS));
		} catch {
			return [];
		}
	}

	/** The folder of a start that was killed before its container had a record (native/front): it goes, its range of ids first. */
	private isAbandoned(owner: string): boolean {
		const pid = Number(EARLY.exec(owner)?.[1] ?? 0);
		if (pid === 0 || processStart(pid) !== '') return false;
		for (const slot of this.slots()) if (this.slotOwner(slot) === owner) rmSync(join(this.root, SLOTS, slot), { force: true });
		rmSync(join(this.root, owner), { recursive: true, force: true });
		return true;
	}

	/** The id of the container that has a slot; null when nobody has. */
	private slotOwner(slot: string): string | null {
		try {
			return basename(readlinkSync(join(this.root, SLOTS, slot)));
		} catch {
			return null;
		}
	}
}

/** Makes a folder and those above it. Node's own `recursive` never ends where the host answers ENOENT below a folder that exists, as in /proc. */
function makeFolder(path: string): void {
	if (existsSync(path)) return;
	const parent = dirname(path);
	if (parent !== path) makeFolder(parent);
	try {
		mkdirSync(path, { mode: 0o711 });
	} catch (error) {
		// Another start may have made it meanwhile.
		if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
	}
}

export const SLOTS = '.ids';
const STATE = 'state.json';
const CONFIG = 'config.json';
/** The folder of a start by native/front, with its pid. */
const EARLY = /^\.early-(\d+)$/;

/**
 * Field 22 of /proc/PID/stat; "" when there is no such process, or only its zombie. One whose first thread has ended is there until the last has:
 * it is that one that ends the rest of a PID namespace.
 */
export function processStart(pid: number): string {
	try {
		const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
		const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
		const isEnding = fields[0] === 'Z' || fields[0] === 'X';
		return isEnding && Number(fields[17]) <= 1 ? '' : fields[19]!;
	} catch {
		return '';
	}
}
