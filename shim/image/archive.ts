// Images in tar archives: OCI's image layout (image-layout.md) and what `docker save` writes.

import { once } from 'node:events';
import { pack as makePack } from 'tar-stream';
import { HostError } from '../../runtime/host-error.js';
import type { ContentStore } from './content-store.js';
import { isDigest, sha256 } from './digest.js';
import {
	type Descriptor,
	MAX_CONFIG_BYTES,
	MAX_LAYER_BYTES,
	MAX_MANIFEST_BYTES,
	OCI_CONFIG,
	OCI_MANIFEST,
	type Platform,
	parseManifest,
	pickPlatform,
} from './manifest.js';
import { TarReader } from './tar-reader.js';

/** What is exported: a manifest and the tags that the archive gives it. */
export interface ArchiveName {
	readonly manifestDigest: string;
	readonly tags: readonly string[];
}

export interface Imported {
	/** Names of the archive's own. */
	readonly names: readonly string[];
	/** The index or manifest that the archive names. */
	readonly target: string;
	readonly manifestDigest: string;
}

const REF_NAME = 'org.opencontainers.image.ref.name';
const CONTAINERD_NAME = 'io.containerd.image.name';
const MAX_FILES = 10_000;
/** Bytes of the archive's small files that are kept in memory. */
const MAX_KEPT_BYTES = 64 << 20;

/** Writes an image as an archive that is an OCI layout and, by its manifest.json, a docker archive. */
export async function* exportArchive(content: ContentStore, { manifestDigest, tags }: ArchiveName): AsyncGenerator<Uint8Array> {
	const bytes = await content.read(manifestDigest, MAX_MANIFEST_BYTES);
	const manifest = parseManifest(bytes);
	if (manifest.kind === 'index') throw new HostError(`Export ${manifestDigest}: it is an index`, 'EINVAL');
	const { mediaType } = JSON.parse(bytes.toString('utf8')) as { mediaType?: string };
	const descriptor = { mediaType: mediaType ?? OCI_MANIFEST, digest: manifestDigest, size: bytes.length };
	const named = tags.map((tag) => ({
		...descriptor,
		annotations: { [CONTAINERD_NAME]: tag, [REF_NAME]: tag.slice(tag.lastIndexOf(':') + 1) },
	}));
	const index = { schemaVersion: 2, manifests: named.length > 0 ? named : [descriptor] };
	const path = (digest: string): string => `blobs/${digest.replace(':', '/')}`;
	const layers = manifest.layers.map(({ digest }) => path(digest));
	const pack = makePack();
	const write = async (): Promise<void> => {
		const small = (name: string, value: unknown): void => {
			pack.entry({ name, mode: 0o644, mtime: new Date(0) }, JSON.stringify(value));
		};
		small('oci-layout', { imageLayoutVersion: '1.0.0' });
		small('index.json', index);
		small('manifest.json', [{ Config: path(manifest.config.digest), RepoTags: tags, Layers: layers }]);
		const blobs = new Map([descriptor, manifest.config, ...manifest.layers].map((blob) => [blob.digest, blob.size]));
		for (const [digest, size] of blobs) {
			const entry = pack.entry({ name: path(digest), size, mode: 0o644, mtime: new Date(0) });
			// The archive is made as fast as it is read.
			for await (const chunk of content.stream(digest)) if (!entry.write(chunk)) await once(entry, 'drain');
			const closed = once(entry, 'close');
			entry.end(null);
			await closed;
		}
		pack.finalize();
	};
	write().catch((error: unknown) => pack.destroy(HostError.from(`Export ${manifestDigest}`, error)));
	yield* pack as AsyncIterable<Uint8Array>;
}

/** Reads an archive: its blobs go into the store, its names come back. The blobs that the manifests name may still be missing. */
export async function importArchive(content: ContentStore, source: AsyncIterable<Uint8Array>, platform: Platform): Promise<Imported[]> {
	const reader = new TarReader(source);
	const kept = new Map<string, Buffer>();
	const files = new Map<string, Descriptor>();
	let keptBytes = 0;
	try {
		for (let entry = await reader.next(); entry !== null; entry = await reader.next()) {
			if (entry.type !== 'file') continue;
			if (files.size >= MAX_FILES) throw bad(`it has more than ${MAX_FILES} files`);
			const name = entry.name.replace(/^(?:\.\/)+/, '');
			const digest = /^blobs\/(sha256|sha512)\/([a-f0-9]+)$/.exec(name);
			const claimed = digest === null ? '' : `${digest[1]}:${digest[2]}`;
			if (isDigest(claimed)) {
				await content.ingest(claimed, entry.size, () => Promise.resolve({ chunks: reader.data(), isRestarted: true }));
				files.set(name, { mediaType: '', digest: claimed, size: entry.size });
			} else if (name.endsWith('.json') || name === 'oci-layout') {
				keptBytes += entry.size;
				if (entry.size > MAX_CONFIG_BYTES || keptBytes > MAX_KEPT_BYTES) throw bad(`${name.slice(0, 200)} is too large`);
				const chunks = [];
				for await (const chunk of reader.data()) chunks.push(Buffer.from(chunk));
				kept.set(name, Buffer.concat(chunks));
			} else files.set(name, { mediaType: '', ...(await content.ingestUnnamed(reader.data(), MAX_LAYER_BYTES)) });
		}
	} finally {
		await reader.close();
	}
	const index = kept.get('index.json');
	if (kept.has('oci-layout') && index !== undefined) return importLayout(content, index, kept.get('manifest.json'), platform);
	const manifest = kept.get('manifest.json');
	if (manifest !== undefined) return importDocker(content, manifest, kept, files);
	throw bad('it has neither an oci-layout with an index.json nor a manifest.json');
}

async function importLayout(content: ContentStore, bytes: Buffer, docker: Buffer | undefined, platform: Platform): Promise<Imported[]> {
	const index = parseManifest(bytes);
	if (index.kind !== 'index') throw bad('its index.json is no index');
	// In archives of docker's the names are in manifest.json, and the annotation is only a tag.
	const tags = docker === undefined ? [] : dockerEntries(docker).flatMap(({ tags: names }) => names);
	const found = new Map<string, { names: Set<string>; manifestDigest: string }>();
	for (const { digest, annotations } of index.manifests) {
		let manifestDigest = digest;
		const parsed = parseManifest(await content.read(digest, MAX_MANIFEST_BYTES));
		if (parsed.kind === 'index') manifestDigest = pickPlatform(parsed, platform).digest;
		const name = annotations?.[CONTAINERD_NAME] ?? annotations?.[REF_NAME];
		const entry = found.get(digest) ?? { names: new Set<string>(), manifestDigest };
		// A lone tag names no repository.
		if (name?.includes('/')) entry.names.add(name);
		else if (index.manifests.length === 1) for (const tag of tags) entry.names.add(tag);
		found.set(digest, entry);
	}
	return [...found].map(([target, { names, manifestDigest }]) => ({ names: [...names], target, manifestDigest }));
}

async function importDocker(
	content: ContentStore,
	bytes: Buffer,
	kept: ReadonlyMap<string, Buffer>,
	files: ReadonlyMap<string, Descriptor>,
): Promise<Imported[]> {
	const imported = [];
	for (const { config: configName, layers, tags } of dockerEntries(bytes)) {
		const config = kept.get(configName);
		if (config === undefined) throw bad(`it lacks the configuration ${configName.slice(0, 200)}`);
		await content.write(sha256(config), config);
		const found = layers.map((name) => {
			const file = files.get(name);
			if (file === undefined) throw bad(`it lacks the layer ${name.slice(0, 200)}`);
			return { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: file.digest, size: file.size };
		});
		const manifest = Buffer.from(
			JSON.stringify({
				schemaVersion: 2,
				mediaType: OCI_MANIFEST,
				config: { mediaType: OCI_CONFIG, digest: sha256(config), size: config.length },
				layers: found,
			}),
		);
		parseManifest(manifest);
		const manifestDigest = sha256(manifest);
		await content.write(manifestDigest, manifest);
		imported.push({ names: tags, target: manifestDigest, manifestDigest });
	}
	return imported;
}

function dockerEntries(bytes: Buffer): { readonly config: string; readonly layers: readonly string[]; readonly tags: readonly string[] }[] {
	let value: unknown;
	try {
		value = JSON.parse(bytes.toString('utf8'));
	} catch {
		throw bad('its manifest.json is no JSON');
	}
	const isStrings = (list: unknown): list is string[] => Array.isArray(list) && list.every((item) => typeof item === 'string');
	if (!Array.isArray(value)) throw bad('its manifest.json is no list');
	return value.map((item: { Config?: unknown; Layers?: unknown; RepoTags?: unknown } | null) => {
		const tags = item?.RepoTags ?? [];
		if (typeof item?.Config !== 'string' || !isStrings(item.Layers) || !isStrings(tags))
			throw bad('its manifest.json lacks Config or Layers');
		return { config: item.Config, layers: item.Layers, tags };
	});
}

function bad(reason: string): HostError {
	return new HostError(`Import the archive: ${reason}`, 'EINVAL');
}
