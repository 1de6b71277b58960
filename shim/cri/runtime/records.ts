import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { HostError } from '../../../runtime/host-error.js';
import { syncFolder, writeAtomically } from '../../image/content-store.js';

/** What is on disk of a pod: enough for another server to go on with it. */
export interface PodRecord {
	/** 64 hexadecimal digits. */
	readonly id: string;
	/** The PodSandboxConfig that it was made of, with the resources that it has now, encoded, in base64. */
	config: string;
	readonly handler: string;
	/** Nanoseconds since 1970, as all times here. */
	readonly createdAt: number;
	/** 'making': what there is of it is to be undone. 'stopped': it is to have nothing left. */
	state: 'making' | 'ready' | 'stopped';
	/** Its addresses, the main one first. */
	ips: readonly string[];
}

/** What is on disk of a container. */
export interface ContainerRecord {
	readonly id: string;
	readonly podId: string;
	/** The ContainerConfig that it was made of, encoded, in base64. */
	readonly config: string;
	/** The digest that names the image in its registry, or its id. */
	readonly imageRef: string;
	readonly imageId: string;
	readonly createdAt: number;
	readonly user: { readonly uid: number; readonly gid: number; readonly groups: readonly number[] };
	/** What StopContainer sends first. */
	readonly stopSignal: number;
	state: 'making' | 'created' | 'running' | 'exited';
	startedAt: number;
	finishedAt: number;
	exitCode: number;
	reason: string;
	message: string;
	/** LinuxContainerResources as they are now, encoded, in base64. */
	resources: string;
}

/** Records of one kind, a file each below a folder: `ID/record.json`. A change is on disk before its method returns. */
export class Records<T extends { readonly id: string }> {
	constructor(private readonly root: string) {}

	/** Where whatever belongs to one may lie; it goes with the record. */
	folder(id: string): string {
		return join(this.root, id);
	}

	/**
	 * All records. A folder without one is what is left of a record that was never whole, or is being removed: a remnant. One that can't be read (a disk's mistake:
	 * they are written whole) is broken.
	 */
	async load(): Promise<{
		readonly records: T[];
		readonly remnants: string[];
		readonly broken: { readonly id: string; readonly why: string }[];
	}> {
		await mkdir(this.root, { recursive: true, mode: 0o711 });
		const records: T[] = [];
		const remnants: string[] = [];
		const broken: { id: string; why: string }[] = [];
		for (const id of await readdir(this.root)) {
			const file = join(this.folder(id), RECORD);
			try {
				const record = JSON.parse(await readFile(file, 'utf8')) as T;
				if (record.id !== id) throw new Error(`it is of ${record.id}`);
				records.push(record);
			} catch (error) {
				if ((error as NodeJS.ErrnoException).code === 'ENOENT') remnants.push(id);
				else broken.push({ id, why: HostError.from(`Read the record ${file}`, error).message });
			}
		}
		return { records, remnants, broken };
	}

	async save(record: T): Promise<void> {
		const folder = this.folder(record.id);
		if ((await mkdir(folder, { recursive: true, mode: 0o711 })) !== undefined) await syncFolder(this.root);
		await writeAtomically(join(folder, RECORD), `${JSON.stringify(record, null, '\t')}\n`);
	}

	async remove(id: string): Promise<void> {
		await rm(join(this.folder(id), RECORD), { force: true });
		await rm(this.folder(id), { recursive: true, force: true });
	}
}

const RECORD = 'record.json';
