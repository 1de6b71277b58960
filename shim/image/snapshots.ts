import { spawn } from 'node:child_process';
import { chmod, chown, lstat, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HostError } from '../../runtime/host-error.js';
import { native } from '../../runtime/native.js';
import { syncFolder, writeAtomically } from './content-store.js';
import { checkDigest } from './digest.js';

/** A layer on disk, unpacked: shared by all images whose layers up to this one are the same. */
export interface LayerRecord {
	readonly chainId: string;
	/** The chain below; null of the first layer. */
	readonly parent: string | null;
	readonly diffId: string;
	/** Bytes of all files' contents. */
	readonly sizeBytes: number;
	readonly inodes: number;
}

interface StoredLayer extends LayerRecord {
	/** The name of its folder: short, because the names of all layers go into one page of mount options. */
	readonly number: number;
}

/** A container's own layer on top of an image. */
export interface SnapshotRecord {
	readonly key: string;
	readonly chainId: string;
}

/** What mount(2) takes. */
export interface SnapshotMount {
	readonly type: 'overlay';
	readonly source: 'overlay';
	/** Paths in it are relative to `folder`. */
	readonly options: readonly string[];
	readonly folder: string;
}

const KEY = /^[\w.-]{1,128}$/;
/** mount(2) takes one page of options. */
const MAX_OPTION_BYTES = 4000;
/** Of an account file. */
const MAX_TEXT_BYTES = 1 << 20;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;

/**
 * Unpacked layers and containers' writable layers on them, for overlayfs: `layers/N/{fs,layer.json}` and `active/KEY/{upper,work,snapshot.json}`.
 * A folder whose name begins with a dot is not finished or is being removed: `open` clears it away.
 */
export class Snapshots {
	private readonly layers = new Map<string, StoredLayer>();
	private readonly active = new Map<string, SnapshotRecord>();
	private readonly making = new Map<string, Promise<void>>();
	private nextNumber = 1;

	private constructor(private readonly root: string) {}

	static async open(root: string): Promise<Snapshots> {
		const snapshots = new Snapshots(root);
		for (const kind of ['layers', 'active', 'views']) {
			const folder = join(root, kind);
			await mkdir(folder, { recursive: true, mode: 0o711 });
			for (const name of await readdir(folder)) {
				if (kind === 'views') {
					detach(join(folder, name));
					await rm(join(folder, name), { recursive: true, force: true });
				} else if (name.startsWith('.')) {
					// The process that filled it may be about to die with the store before.
					await rm(join(folder, name), { recursive: true, force: true, maxRetries: 10 });
				} else await snapshots.load(kind, name);
			}
		}
		return snapshots;
	}

	private async load(kind: string, name: string): Promise<void> {
		const file = join(this.root, kind, name, kind === 'layers' ? 'layer.json' : 'snapshot.json');
		let value: unknown;
		try {
			value = JSON.parse(await readFile(file, 'utf8'));
		} catch (error) {
			throw HostError.from(`Read ${file}`, error);
		}
		if (kind === 'layers') {
			const record = value as LayerRecord;
			this.layers.set(checkDigest(record.chainId, file), { ...record, number: Number(name) });
			this.nextNumber = Math.max(this.nextNumber, Number(name) + 1);
		} else this.active.set(name, value as SnapshotRecord);
	}

	hasLayer(chainId: string): boolean {
		return this.layers.has(chainId);
	}

	listLayers(): LayerRecord[] {
		return [...this.layers.values()];
	}

	list(): SnapshotRecord[] {
		return [...this.active.values()];
	}

	/**
	 * Makes a layer be there: `fill(folder, lower)` unpacks it into an empty folder, over the merged layers below, and tells its size. Two that want
	 * the same layer share it. When `fill` fails nothing is left.
	 */
	async addLayer(
		chainId: string,
		parent: string | null,
		diffId: string,
		fill: (folder: string, lower: string | null) => Promise<{ readonly bytes: number; readonly entries: number }>,
	): Promise<void> {
		for (let other = this.making.get(chainId); other !== undefined; other = this.making.get(chainId)) await other.catch(() => undefined);
		if (this.layers.has(chainId)) return;
		const made = this.makeLayer(chainId, parent, diffId, fill);
		this.making.set(chainId, made);
		try {
			await made;
		} finally {
			this.making.delete(chainId);
		}
	}

	private async makeLayer(
		chainId: string,
		parent: string | null,
		diffId: string,
		fill: (folder: string, lower: string | null) => Promise<{ readonly bytes: number; readonly entries: number }>,
	): Promise<void> {
		const number = this.nextNumber++;
		const folder = join(this.root, 'layers', `.${number}`);
		const step = `Unpack the layer ${diffId}`;
		try {
			await mkdir(join(folder, 'fs'), { recursive: true, mode: 0o755 });
			await chmod(join(folder, 'fs'), 0o755);
			const { bytes, entries } = await this.withView(parent, (lower) => fill(join(folder, 'fs'), lower));
			const record: LayerRecord = { chainId, parent, diffId, sizeBytes: bytes, inodes: entries };
			await writeFile(join(folder, 'layer.json'), JSON.stringify(record), { mode: 0o600 });
			// All of the layer's files at once: one fsync for each would take minutes.
			await run('sync', ['--file-system', folder], this.root, step);
			await rename(folder, join(this.root, 'layers', `${number}`));
			await syncFolder(join(this.root, 'layers'));
			this.layers.set(chainId, { ...record, number });
		} catch (error) {
			await rm(folder, { recursive: true, force: true });
			throw HostError.from(step, error);
		}
	}

	/** The layers of a chain merged, read-only, for the time of `action`. */
	private async withView<T>(chainId: string | null, action: (folder: string | null) => Promise<T>): Promise<T> {
		if (chainId === null) return action(null);
		const stack = this.stack(chainId);
		// overlayfs wants two layers at least.
		if (stack.length === 1) return action(join(this.root, stack[0]!));
		const view = join(this.root, 'views', `${this.nextNumber++}`);
		await mkdir(view, { recursive: true, mode: 0o700 });
		try {
			await this.mountAt([`lowerdir=${stack.join(':')}`, 'ro'], view);
			return await action(view);
		} finally {
			detach(view);
			await rm(view, { recursive: true, force: true });
		}
	}

	/** The folders of a chain, relative to the root, the top one first. Throws ENOENT. */
	private stack(chainId: string): string[] {
		const folders = [];
		for (let at: string | null = chainId; at !== null; ) {
			const layer = this.layers.get(at);
			if (layer === undefined) throw new HostError(`Find the layer ${at}`, 'ENOENT');
			folders.push(`layers/${layer.number}/fs`);
			at = layer.parent;
		}
		return folders;
	}

	/** Makes a container's writable layer on a chain; the same key with the same chain again gives the one that is there. Throws EEXIST, ENOENT, EINVAL. */
	async prepare(key: string, chainId: string): Promise<SnapshotMount> {
		if (!KEY.test(key) || key.startsWith('.'))
			throw new HostError(`Make the snapshot ${JSON.stringify(key)}: want letters, digits, "_", "-" and "."`, 'EINVAL');
		const there = this.active.get(key);
		if (there !== undefined) {
			if (there.chainId !== chainId) throw new HostError(`Make the snapshot ${key}: it exists, of another image`, 'EEXIST');
			return this.mountOf(key);
		}
		const stack = this.stack(chainId);
		const fresh = join(this.root, 'active', `.${key}`);
		try {
			await rm(fresh, { recursive: true, force: true });
			for (const name of ['upper', 'work']) await mkdir(join(fresh, name), { recursive: true, mode: 0o755 });
			// The root of an overlay is the upper folder.
			const top = await lstat(join(this.root, stack[0]!));
			await chown(join(fresh, 'upper'), top.uid, top.gid);
			await chmod(join(fresh, 'upper'), top.mode & 0o7777);
			await writeAtomically(join(fresh, 'snapshot.json'), JSON.stringify({ key, chainId }));
			await rename(fresh, join(this.root, 'active', key));
			await syncFolder(join(this.root, 'active'));
		} catch (error) {
			await rm(fresh, { recursive: true, force: true });
			throw HostError.from(`Make the snapshot ${key}`, error);
		}
		this.active.set(key, { key, chainId });
		return this.mountOf(key);
	}

	/**
	 * A small text file of an image as its layers have it, '' when they have none; `path` is relative. Nothing is followed: a symlink in its way is the image's own and
	 * leads to the host's files here.
	 */
	async readText(chainId: string, path: string): Promise<string> {
		for (const folder of this.stack(chainId)) {
			let at = join(this.root, folder);
			let kind: 'folder' | 'file' | 'absent' | 'hidden' = 'folder';
			for (const name of path.split('/')) {
				at = join(at, name);
				kind = await kindOf(at);
				if (kind !== 'folder') break;
			}
			if (kind === 'file') return (await readFile(at)).subarray(0, MAX_TEXT_BYTES).toString('utf8');
			if (kind === 'hidden') return '';
		}
		return '';
	}

	/** How a snapshot is mounted. Throws ENOENT; E2BIG when its layers don't fit into mount(2)'s options. */
	mountOf(key: string): SnapshotMount {
		const record = this.active.get(key);
		if (record === undefined) throw new HostError(`Find the snapshot ${key}`, 'ENOENT');
		const own = `active/${key}`;
		const options = ['index=off', `lowerdir=${this.stack(record.chainId).join(':')}`, `upperdir=${own}/upper`, `workdir=${own}/work`];
		return { type: 'overlay', source: 'overlay', options, folder: this.root };
	}

	/** The folder of what a container has written; null when there is no such snapshot. */
	upperOf(key: string): string | null {
		return this.active.has(key) ? join(this.root, 'active', key, 'upper') : null;
	}

	/** Mounts a snapshot on a folder. */
	async mount(key: string, target: string): Promise<void> {
		await this.mountAt([...this.mountOf(key).options, 'nodev'], target);
	}

	private async mountAt(options: readonly string[], target: string): Promise<void> {
		const joined = options.join(',');
		const step = `Mount the layers on ${target}`;
		if (joined.length > MAX_OPTION_BYTES) throw new HostError(`${step}: ${joined.length} bytes of options`, 'E2BIG');
		await run('mount', ['--types', 'overlay', '--options', joined, 'overlay', target], this.root, step);
	}

	/** Unmounts what is mounted on a folder; nothing there is no failure. */
	unmount(target: string): void {
		detach(target);
	}

	/** Removes a container's writable layer; one that is not there is removed already. It must not be mounted. */
	async remove(key: string): Promise<void> {
		if (!this.active.has(key)) return;
		this.active.delete(key);
		const gone = join(this.root, 'active', `.${key}`);
		await rename(join(this.root, 'active', key), gone);
		await rm(gone, { recursive: true, force: true });
	}

	/** Removes all layers but those of `chains` and of containers' snapshots, and what lies below them. */
	async collect(chains: Iterable<string>): Promise<void> {
		const kept = new Set<string>();
		for (const top of [...chains, ...this.list().map(({ chainId }) => chainId)])
			for (let at: string | null | undefined = top; at !== null && at !== undefined && !kept.has(at); at = this.layers.get(at)?.parent)
				kept.add(at);
		for (const { chainId, number } of [...this.layers.values()]) {
			if (kept.has(chainId)) continue;
			this.layers.delete(chainId);
			const gone = join(this.root, 'layers', `.${number}`);
			await rename(join(this.root, 'layers', `${number}`), gone);
			await rm(gone, { recursive: true, force: true });
		}
	}
}

/** 'hidden': a whiteout, or what no account file is. */
async function kindOf(path: string): Promise<'folder' | 'file' | 'absent' | 'hidden'> {
	try {
		const status = await lstat(path);
		return status.isDirectory() ? 'folder' : status.isFile() && status.size <= MAX_TEXT_BYTES ? 'file' : 'hidden';
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'absent';
		throw HostError.from(`Look at ${path}`, error);
	}
}

function detach(target: string): void {
	native.umount(target, MNT_DETACH | UMOUNT_NOFOLLOW);
}

/** Runs a program of the host; its complaint is the error's text. */
function run(program: string, args: readonly string[], cwd: string, step: string): Promise<void> {
	return new Promise((resolve, reject) => {
		const child = spawn(program, args, { cwd, stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, LC_ALL: 'C' } });
		let message = '';
		child.stderr.setEncoding('utf8').on('data', (text: string) => {
			if (message.length < 1000) message += text;
		});
		child.once('error', (error) => reject(HostError.from(step, error)));
		child.once('close', (code) =>
			code === 0 ? resolve() : reject(new HostError(`${step}: ${message.trim() || `${program} ended with ${code}`}`, 'EIO')),
		);
	});
}
