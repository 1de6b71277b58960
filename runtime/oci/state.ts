import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What is on disk about a container: enough for any later command to find it. */
export interface ContainerRecord {
	readonly ociVersion: string;
	readonly id: string;
	readonly bundle: string;
	readonly rootfs: string;
	readonly created: string;
	readonly owner: string;
	readonly annotations: Readonly<Record<string, string>>;
	status: 'creating' | 'created' | 'running' | 'stopped';
	/** The sandbox process; 0 before it exists. */
	pid: number;
	/** Its start time (field 22 of /proc/PID/stat): tells it from a later process with its number. */
	pidStart: string;
	/** Which range of host ids is its own; see `idBase`. */
	idSlot: number;
}

/** An id that can be a folder's name, as runc takes them. */
const ID = /^[\w+.-]{1,1024}$/;
/** The ids of slot n: from here on, 65536 each. */
const FIRST_ID = 0x1000_0000;
const IDS_PER_SLOT = 65536;
const MAX_SLOTS = 32768;

/** The first host id of a slot: each pod has host users of its own. */
export function idBase(slot: number): number {
	return FIRST_ID + slot * IDS_PER_SLOT;
}

/** Containers on disk, below a root such as /run/isopod. Every change is on disk before the method returns. */
export class StateStore {
	constructor(readonly root: string) {}

	folder(id: string): string {
		if (!ID.test(id) || id === '.' || id === '..')
			throw new Error(`invalid container ID ${JSON.stringify(id)}: want letters, digits, "_", "+", "-" and "."`);
		return join(this.root, id);
	}
	socket(id: string): string {
		return join(this.folder(id), 'control.sock');
	}

	/** Makes the container's folder. Throws when the id is in use. */
	create(record: ContainerRecord): void {
		mkdirSync(this.root, { recursive: true, mode: 0o711 });
		try {
			mkdirSync(this.folder(record.id), { mode: 0o700 });
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw new Error(`container with id exists already: ${record.id}`);
			throw error;
		}
		this.save(record);
	}

	save(record: ContainerRecord): void {
		const file = join(this.folder(record.id), 'state.json');
		writeFileSync(`${file}.new`, `${JSON.stringify(record, null, '\t')}\n`, { mode: 0o600, flush: true });
		renameSync(`${file}.new`, file);
	}

	/** The record as it is now: a container whose sandbox process is gone is stopped. Throws when there is none. */
	load(id: string): ContainerRecord {
		let text: string;
		try {
			text = readFileSync(join(this.folder(id), 'state.json'), 'utf8');
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw new Error(`container does not exist: ${id}`);
			throw error;
		}
		const record = JSON.parse(text) as ContainerRecord;
		if (record.pid > 0 && processStart(record.pid) !== record.pidStart) record.status = 'stopped';
		return record;
	}

	list(): ContainerRecord[] {
		let names: string[];
		try {
			names = readdirSync(this.root);
		} catch {
			return [];
		}
		return names
			.filter((name) => name !== SLOTS)
			.flatMap((name) => {
				try {
					return [this.load(name)];
				} catch {
					return [];
				}
			});
	}

	/** Forgets a container: its folder and its range of ids. */
	remove(record: Pick<ContainerRecord, 'id' | 'idSlot'>): void {
		rmSync(this.folder(record.id), { recursive: true, force: true });
		rmSync(join(this.root, SLOTS, `${record.idSlot}`), { recursive: true, force: true });
	}

	/** Takes a range of host ids that no other container has. */
	takeSlot(): number {
		mkdirSync(join(this.root, SLOTS), { recursive: true, mode: 0o700 });
		const used = new Set(readdirSync(join(this.root, SLOTS)));
		for (let slot = 0; slot < MAX_SLOTS; slot++) {
			if (used.has(`${slot}`)) continue;
			try {
				mkdirSync(join(this.root, SLOTS, `${slot}`));
				return slot;
			} catch (error) {
				if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
			}
		}
		throw new Error(`Take a range of host ids: all ${MAX_SLOTS} are in use`);
	}
}

const SLOTS = '.ids';

/** Field 22 of /proc/PID/stat; "" when there is no such process, or only its zombie. */
export function processStart(pid: number): string {
	try {
		const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
		const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
		return fields[0] === 'Z' || fields[0] === 'X' ? '' : fields[19]!;
	} catch {
		return '';
	}
}
