import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { HostError } from '../../runtime/host-error.js';
import { type ArchiveName, exportArchive, importArchive } from './archive.js';
import { ContentStore, writeAtomically } from './content-store.js';
import { chainIds, checkDigest, isDigest } from './digest.js';
import { FolderLock } from './folder-lock.js';
import {
	type Descriptor,
	hostPlatform,
	type ImageConfig,
	MAX_CONFIG_BYTES,
	MAX_MANIFEST_BYTES,
	type Manifest,
	type Platform,
	parseImageConfig,
	parseManifest,
	pickPlatform,
} from './manifest.js';
import { formatReference, parseReference, type Reference, repositoryName } from './reference.js';
import type { Credentials } from './registry-auth.js';
import { isTransient, RegistryClient, type RegistryClientOptions } from './registry-client.js';
import { type SnapshotMount, Snapshots } from './snapshots.js';
import { DEFAULT_UNPACK_LIMITS, type UnpackLimits } from './unpack.js';
import { unpackBlob } from './unpack-process.js';

export interface ImageStoreOptions {
	readonly registry?: RegistryClientOptions;
	readonly limits?: Partial<ImageLimits>;
	/** Which image of an index is taken; this host's by default. */
	readonly platform?: Platform;
}

export interface ImageLimits extends UnpackLimits {
	/** Bytes of one uncompressed layer, the archive's own included. */
	readonly maxLayerBytes: number;
	/** Layers of one pull that are fetched at once. */
	readonly parallelLayers: number;
}

/** How far a blob of a pull is. */
export interface PullProgress {
	readonly digest: string;
	readonly state: 'waiting' | 'fetching' | 'fetched' | 'unpacking' | 'done';
	/** Bytes that are here. */
	readonly offsetBytes: number;
	readonly totalBytes: number;
}

export interface PullOptions {
	readonly credentials?: Credentials;
	readonly onProgress?: (progress: PullProgress) => void;
	readonly signal?: AbortSignal;
}

/** An image, by CRI's rules. */
export interface Image {
	/** The digest of its configuration. */
	readonly id: string;
	readonly repoTags: readonly string[];
	readonly repoDigests: readonly string[];
	/** Bytes of its blobs. */
	readonly sizeBytes: number;
	/** The chain id of its topmost layer: what a snapshot is made on. Null for an image without layers. */
	readonly chainId: string | null;
	readonly config: ImageConfig;
	/** Not to be removed by garbage collection of images (kubelet's). */
	readonly isPinned: boolean;
}

/** What a name stands for. */
interface NameRecord {
	/** The index or manifest that was pulled. */
	readonly target: string;
	readonly manifest: string;
	readonly config: string;
}

interface Records {
	readonly names: Record<string, NameRecord>;
	readonly pinned: string[];
}

const DEFAULT_LIMITS: ImageLimits = { ...DEFAULT_UNPACK_LIMITS, maxLayerBytes: 64 * 2 ** 30, parallelLayers: 3 };
/** Of all pulls together: each takes a processor, and memory. */
const MAX_UNPACKERS = 4;
const HEX = /^[a-f0-9]{12,64}$/;

/**
 * Images on disk: blobs, unpacked layers, and names in one file, `images.json`, which changes only when everything that it names is there. So a kill
 * -9 leaves the images as they were, and blobs that the next pull uses or the next `collect` removes. One process owns the folder, by a lock.
 */
export class ImageStore {
	private readonly limits: ImageLimits;
	/** What the images' blobs say, by id; they never change. */
	private readonly details = new Map<string, { readonly sizeBytes: number; readonly config: ImageConfig }>();
	/** Processes that unpack. */
	private readonly unpackers = new Slots(MAX_UNPACKERS);
	/** Pulls and the like, during which nothing may be collected. */
	private users = 0;
	private collecting: Promise<void> | null = null;
	private isCollectionDue = false;
	private isClosed = false;
	/** Told when no pull and the like goes on. */
	private readonly idlers: (() => void)[] = [];
	/** Changes of the records, one after another. */
	private changes: Promise<void> = Promise.resolve();

	private constructor(
		private readonly root: string,
		readonly content: ContentStore,
		readonly snapshots: Snapshots,
		private records: Records,
		private readonly options: ImageStoreOptions,
		private readonly lock: FolderLock,
	) {
		this.limits = { ...DEFAULT_LIMITS, ...options.limits };
	}

	/** Throws HostError: EBUSY, with its pid, when another process uses the folder. */
	static async open(root: string, options: ImageStoreOptions = {}): Promise<ImageStore> {
		await mkdir(root, { recursive: true, mode: 0o711 });
		const lock = FolderLock.take(root);
		try {
			const content = await ContentStore.open(join(root, 'content'));
			const snapshots = await Snapshots.open(join(root, 'snapshots'));
			await rm(join(root, 'images.json.new'), { force: true });
			return new ImageStore(root, content, snapshots, await readRecords(join(root, 'images.json')), options, lock);
		} catch (error) {
			lock.release();
			throw error;
		}
	}

	/** Gives the folder up, when what still goes on has ended. The store is of no use afterwards. */
	async close(): Promise<void> {
		this.isClosed = true;
		while (this.users > 0 || this.collecting !== null) await (this.collecting ?? this.idle());
		await this.changes;
		this.lock.release();
	}

	private idle(): Promise<void> {
		return new Promise((resolve) => this.idlers.push(resolve));
	}

	/**
	 * Pulls an image and unpacks it; what is here already is not fetched again. Returns its id. Throws ENOENT, EACCES, EBADMSG (not what its digest
	 * says), ENOSPC, …; what was fetched whole then stays for the next try, until `collect`.
	 */
	async pull(name: string, options: PullOptions = {}): Promise<string> {
		const reference = parseReference(name);
		const client = new RegistryClient(options.credentials ?? null, this.options.registry, options.signal);
		return this.use(async () => {
			try {
				return await this.pullWith(client, reference, options);
			} finally {
				client.close();
			}
		});
	}

	private async pullWith(client: RegistryClient, reference: Reference, options: PullOptions): Promise<string> {
		let { digest, bytes, mediaType } = await client.manifest(reference);
		const target = digest;
		await this.content.write(digest, bytes);
		let parsed = parseManifest(bytes, mediaType);
		if (parsed.kind === 'index') {
			const picked = pickPlatform(parsed, this.options.platform ?? hostPlatform());
			({ digest, bytes, mediaType } = await client.manifest(reference, picked.digest));
			if (bytes.length !== picked.size)
				throw new HostError(`Fetch the manifest ${digest}: it has ${bytes.length} bytes, want ${picked.size}`, 'EBADMSG');
			await this.content.write(digest, bytes);
			parsed = parseManifest(bytes, mediaType);
			if (parsed.kind === 'index') throw new HostError(`Fetch the manifest ${digest}: it is an index within an index`, 'EINVAL');
		}
		const fetch = (blob: Descriptor): Promise<void> => this.fetch(client, reference, blob, options);
		await fetch(parsed.config);
		await this.unpack(parsed, fetch, options);
		const names = [`${repositoryName(reference)}@${target}`];
		if (reference.tag !== null && reference.digest === null) names.push(formatReference(reference));
		await this.name(names, { target, manifest: digest, config: parsed.config.digest });
		return parsed.config.digest;
	}

	/** Fetches one blob, going on where a broken connection left off for as long as that gets anywhere. */
	private async fetch(client: RegistryClient, reference: Reference, blob: Descriptor, { onProgress, signal }: PullOptions): Promise<void> {
		const { digest, size } = blob;
		let offset = 0;
		const tell = (state: PullProgress['state']): void => onProgress?.({ digest, state, offsetBytes: offset, totalBytes: size });
		for (let attempt = 1; ; attempt++) {
			const before = offset;
			try {
				await this.content.ingest(digest, size, async (from) => {
					const { chunks, isRestarted } = await client.blob(reference, blob, from);
					offset = isRestarted ? 0 : from;
					async function* counted(): AsyncGenerator<Uint8Array> {
						for await (const chunk of chunks) {
							yield chunk;
							offset += chunk.length;
							tell('fetching');
						}
					}
					return { chunks: counted(), isRestarted };
				});
				offset = size;
				tell('fetched');
				return;
			} catch (error) {
				if (offset > before) attempt = 1;
				if (!isTransient(error) || attempt >= client.maxAttempts || signal?.aborted === true) throw error;
				await client.backOff(attempt);
			}
		}
	}

	/** Unpacks an image's layers, from the lowest up, each as soon as it is here. The configuration must be here. */
	private async unpack(manifest: Manifest, fetch: (blob: Descriptor) => Promise<void>, { onProgress, signal }: PullOptions): Promise<void> {
		const config = parseImageConfig(await this.content.read(manifest.config.digest, MAX_CONFIG_BYTES));
		const { layers } = manifest;
		if (config.diffIds.length !== layers.length)
			throw new HostError(`Read the image: its configuration has ${config.diffIds.length} layers, its manifest ${layers.length}`, 'EINVAL');
		const chain = chainIds(config.diffIds);
		let isFailed = false;
		const slots = new Slots(this.limits.parallelLayers);
		for (const { digest, size } of layers) onProgress?.({ digest, state: 'waiting', offsetBytes: 0, totalBytes: size });
		const fetched = layers.map((layer) =>
			slots.run(async () => {
				if (!isFailed) await fetch(layer);
			}),
		);
		try {
			for (const [at, layer] of layers.entries()) {
				await fetched[at];
				const tell = (state: PullProgress['state']): void =>
					onProgress?.({ digest: layer.digest, state, offsetBytes: layer.size, totalBytes: layer.size });
				tell('unpacking');
				await this.snapshots.addLayer(chain[at]!, chain[at - 1] ?? null, config.diffIds[at]!, async (folder, lower) => {
					const { maxLayerBytes: maxBytes, maxEntries } = this.limits;
					const blob = this.content.path(layer.digest);
					try {
						const result = await this.unpackers.run(() => unpackBlob(blob, { folder, lower, maxBytes, maxEntries }, signal));
						if (result.diffId === config.diffIds[at]) return result;
						const step = `Check the layer ${layer.digest}: unpacked it has the digest ${result.diffId}, want ${config.diffIds[at]}`;
						throw new HostError(step, 'EBADMSG');
					} catch (error) {
						// The disk may have changed it since it came: the next pull fetches it anew.
						if (error instanceof HostError && error.code === 'EBADMSG') await this.content.remove(layer.digest);
						throw error;
					}
				});
				tell('done');
			}
		} finally {
			isFailed = true;
			await Promise.allSettled(fetched);
		}
	}

	/** All images, sorted by id; those that the disk has broken are not there. */
	async list(): Promise<Image[]> {
		const ids = new Set(Object.values(this.records.names).map(({ config }) => config));
		const images = await Promise.all([...ids].sort().map((id) => this.image(id)));
		return images.filter((image) => image !== null);
	}

	/** The image of a name, or of an id or the beginning of one; null when it is not here, or broken, so that a pull mends it. */
	async status(nameOrId: string): Promise<Image | null> {
		const id = this.resolve(nameOrId);
		return id === null ? null : this.image(id);
	}

	private resolve(nameOrId: string): string | null {
		const { names } = this.records;
		if (isDigest(nameOrId) || HEX.test(nameOrId)) {
			const wanted = isDigest(nameOrId) ? nameOrId : `sha256:${nameOrId}`;
			const ids = new Set(Object.values(names).flatMap(({ config }) => (config.startsWith(wanted) ? [config] : [])));
			if (ids.size === 1) return [...ids][0]!;
			if (isDigest(nameOrId)) return null;
		}
		const reference = parseReference(nameOrId);
		const name = reference.digest === null ? formatReference(reference) : `${repositoryName(reference)}@${reference.digest}`;
		return names[name]?.config ?? null;
	}

	private async image(id: string): Promise<Image | null> {
		const entries = Object.entries(this.records.names).filter(([, { config }]) => config === id);
		let details = this.details.get(id);
		if (details === undefined) {
			const read = await this.readImage(entries[0]![1]);
			if (read === null) return null;
			const { manifest, config } = read;
			details = { config, sizeBytes: manifest.config.size + manifest.layers.reduce((sum, { size }) => sum + size, 0) };
			this.details.set(id, details);
		}
		const names = entries.map(([name]) => name).sort();
		return {
			id,
			repoTags: names.filter((name) => !name.includes('@')),
			repoDigests: names.filter((name) => name.includes('@')),
			chainId: chainIds(details.config.diffIds).at(-1) ?? null,
			isPinned: this.records.pinned.includes(id),
			...details,
		};
	}

	/** What the blobs of an image say; null when the disk has lost or changed one. */
	private async readImage({ manifest, config }: NameRecord): Promise<{ readonly manifest: Manifest; readonly config: ImageConfig } | null> {
		try {
			const bytes = await Promise.all([this.content.read(manifest, MAX_MANIFEST_BYTES), this.content.read(config, MAX_CONFIG_BYTES)]);
			return { manifest: parseManifest(bytes[0]) as Manifest, config: parseImageConfig(bytes[1]) };
		} catch (error) {
			if (error instanceof HostError && (error.code === 'ENOENT' || error.code === 'EBADMSG')) return null;
			throw error;
		}
	}

	/** An image's configuration as it came, JSON. Throws ENOENT. */
	configText(id: string): Promise<Buffer> {
		return this.content.read(id, MAX_CONFIG_BYTES);
	}

	/** Removes an image with all of its names, by one of them or by its id; one that is not here is removed already. Then collects. */
	async remove(nameOrId: string): Promise<void> {
		const id = this.resolve(nameOrId);
		if (id === null) return;
		await this.change(({ names, pinned }) => ({
			names: Object.fromEntries(Object.entries(names).filter(([, { config }]) => config !== id)),
			pinned: pinned.filter((other) => other !== id),
		}));
		this.details.delete(id);
		await this.collect();
	}

	/** Keeps an image from kubelet's garbage collection, or no longer. */
	async pin(id: string, isPinned: boolean): Promise<void> {
		await this.change(({ names, pinned }) => ({
			names,
			pinned: [...pinned.filter((other) => other !== id), ...(isPinned ? [checkDigest(id, 'the id')] : [])],
		}));
	}

	/** Makes a container's writable layer on an image. Throws ENOENT. */
	async prepare(key: string, nameOrId: string): Promise<SnapshotMount> {
		return this.use(async () => {
			const image = await this.status(nameOrId);
			if (image === null) throw new HostError(`Find the image ${nameOrId}`, 'ENOENT');
			if (image.chainId === null) throw new HostError(`Make a snapshot of ${nameOrId}: it has no layers`, 'EINVAL');
			return this.snapshots.prepare(key, image.chainId);
		});
	}

	/** What blobs and layers take (CRI's ImageFsInfo). */
	async usage(): Promise<{ readonly usedBytes: number; readonly inodes: number }> {
		const blobs = await this.content.list();
		const layers = this.snapshots.listLayers();
		return {
			usedBytes: [...blobs, ...layers].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
			inodes: blobs.length + layers.reduce((sum, { inodes }) => sum + inodes, 0),
		};
	}

	/** Imports an OCI layout or a docker archive from a tar stream; `name` for images that have none in it. Returns the ids. */
	async import(source: AsyncIterable<Uint8Array>, name: string | null = null): Promise<string[]> {
		return this.use(async () => {
			const ids = [];
			for (const { names, target, manifestDigest } of await importArchive(this.content, source, this.options.platform ?? hostPlatform())) {
				const manifest = parseManifest(await this.content.read(manifestDigest, MAX_MANIFEST_BYTES)) as Manifest;
				const missing = async ({ digest, size }: Descriptor): Promise<void> => {
					if ((await this.content.size(digest)) !== size)
						throw new HostError(`Import the image: the archive lacks the blob ${digest}`, 'ENOENT');
				};
				await missing(manifest.config);
				await this.unpack(manifest, missing, {});
				const wanted = names.length === 0 && name !== null ? [name] : names;
				if (wanted.length === 0) throw new HostError('Import the image: neither the archive nor the caller names it', 'EINVAL');
				const record = { target, manifest: manifestDigest, config: manifest.config.digest };
				await this.name(
					wanted.map((text) => formatReference(parseReference(text))),
					record,
				);
				ids.push(record.config);
			}
			return ids;
		});
	}

	/** Exports an image as a tar stream that is an OCI layout and a docker archive at once. Throws ENOENT. */
	export(nameOrId: string): AsyncIterable<Uint8Array> {
		const id = this.resolve(nameOrId);
		const entry = Object.entries(this.records.names).find(([, { config }]) => config === id);
		if (id === null || entry === undefined) throw new HostError(`Export the image ${nameOrId}`, 'ENOENT');
		const tags = Object.entries(this.records.names).flatMap(([name, { config }]) => (config === id && !name.includes('@') ? [name] : []));
		const archived: ArchiveName = { manifestDigest: entry[1].manifest, tags };
		const { content } = this;
		const users = (change: number): void => this.changeUsers(change);
		async function* all(): AsyncGenerator<Uint8Array> {
			users(1);
			try {
				yield* exportArchive(content, archived);
			} finally {
				users(-1);
			}
		}
		return all();
	}

	/** Removes blobs and layers that no image and no container has. While pulls go on it waits for their end and returns at once. */
	async collect(): Promise<void> {
		if (this.users > 0) {
			this.isCollectionDue = true;
			return;
		}
		this.collecting ??= this.collectNow().finally(() => {
			this.collecting = null;
		});
		await this.collecting;
	}

	private async collectNow(): Promise<void> {
		const kept = new Set<string>();
		const chains: string[] = [];
		for (const record of Object.values(this.records.names)) {
			const image = await this.readImage(record);
			for (const blob of [record.target, record.manifest, record.config]) kept.add(blob);
			// One that is broken is pulled again, whole.
			for (const { digest } of image?.manifest.layers ?? []) kept.add(digest);
			const chain = chainIds(image?.config.diffIds ?? []).at(-1);
			if (chain !== undefined) chains.push(chain);
		}
		for (const { digest } of await this.content.list()) if (!kept.has(digest)) await this.content.remove(digest);
		await this.content.removeBeginnings();
		await this.snapshots.collect(chains);
	}

	private async use<T>(action: () => Promise<T>): Promise<T> {
		while (this.collecting !== null) await this.collecting.catch(() => undefined);
		if (this.isClosed) throw new HostError(`Use the images of ${this.root}: the store is closed`, 'EBADF');
		this.changeUsers(1);
		try {
			return await action();
		} finally {
			this.changeUsers(-1);
		}
	}

	private changeUsers(change: number): void {
		this.users += change;
		if (this.users === 0) for (const resolve of this.idlers.splice(0)) resolve();
		if (this.users > 0 || !this.isCollectionDue) return;
		this.isCollectionDue = false;
		// What it fails to remove the next one finds.
		this.collect().catch(() => undefined);
	}

	private name(names: readonly string[], record: NameRecord): Promise<void> {
		return this.change((records) => ({
			...records,
			names: { ...records.names, ...Object.fromEntries(names.map((name) => [name, record])) },
		}));
	}

	/** Changes the records: on disk first, so that nobody sees what a crash takes back. */
	private change(edit: (records: Records) => Records): Promise<void> {
		const changed = this.changes.then(async () => {
			const next = edit(this.records);
			await writeAtomically(join(this.root, 'images.json'), JSON.stringify(next, null, '\t'));
			this.records = next;
		});
		this.changes = changed.catch(() => undefined);
		return changed;
	}
}

async function readRecords(file: string): Promise<Records> {
	let text: string;
	try {
		text = await readFile(file, 'utf8');
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { names: {}, pinned: [] };
		throw HostError.from(`Read ${file}`, error);
	}
	try {
		const { names, pinned } = JSON.parse(text) as Records;
		for (const record of Object.values(names))
			for (const digest of [record.target, record.manifest, record.config]) checkDigest(digest, file);
		return { names, pinned };
	} catch (error) {
		throw HostError.from(`Read ${file}`, error);
	}
}

/** So many at a time, in order. */
class Slots {
	private readonly waiting: (() => void)[] = [];

	constructor(private free: number) {}

	async run<T>(action: () => Promise<T>): Promise<T> {
		if (this.free > 0) this.free--;
		else await new Promise<void>((resolve) => this.waiting.push(resolve));
		try {
			return await action();
		} finally {
			const next = this.waiting.shift();
			if (next === undefined) this.free++;
			else next();
		}
	}
}
