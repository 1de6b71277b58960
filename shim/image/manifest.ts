import { HostError } from '../../runtime/host-error.js';
import { checkDigest } from './digest.js';

export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const OCI_CONFIG = 'application/vnd.oci.image.config.v1+json';
export const DOCKER_INDEX = 'application/vnd.docker.distribution.manifest.list.v2+json';
export const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';
/** What a client asks for when it names a tag. */
export const ACCEPTED = [OCI_INDEX, OCI_MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST].join(', ');

/** Bytes of a manifest or an index, which are kept in memory whole: what registries accept. */
export const MAX_MANIFEST_BYTES = 4 << 20;
export const MAX_CONFIG_BYTES = 8 << 20;
/** Bytes of one compressed layer. */
export const MAX_LAYER_BYTES = 64 * 2 ** 30;
/** overlayfs stacks more, but mount(2) takes one page of options. */
export const MAX_LAYERS = 256;
const MAX_INDEX_ENTRIES = 1024;

/** What a manifest says of a blob. */
export interface Descriptor {
	readonly mediaType: string;
	readonly digest: string;
	/** Bytes. */
	readonly size: number;
	readonly platform?: Platform;
	readonly annotations?: Readonly<Record<string, string>>;
}

export interface Platform {
	readonly architecture: string;
	readonly os: string;
	readonly variant?: string;
}

export interface Manifest {
	readonly kind: 'manifest';
	readonly config: Descriptor;
	readonly layers: readonly Descriptor[];
}

export interface Index {
	readonly kind: 'index';
	readonly manifests: readonly Descriptor[];
}

/** What is read of an image's configuration; all else of it stays as it came. */
export interface ImageConfig {
	readonly platform: Platform;
	readonly diffIds: readonly string[];
	/** Its `config`: Env, Cmd, Entrypoint, User, WorkingDir, StopSignal, Volumes, Labels. */
	readonly config: {
		readonly env: readonly string[];
		readonly cmd: readonly string[];
		readonly entrypoint: readonly string[];
		readonly user: string;
		readonly workingDir: string;
		readonly stopSignal: string;
		readonly volumes: readonly string[];
		readonly labels: Readonly<Record<string, string>>;
	};
}

type Json = Readonly<Record<string, unknown>>;

function bad(reason: string): HostError {
	return new HostError(`Read the manifest: ${reason}`, 'EINVAL');
}

function parseObject(bytes: Uint8Array, what: string): Json {
	try {
		const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
		if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json;
	} catch (error) {
		throw new HostError(`Read ${what}: ${error instanceof Error ? error.message : error}`, 'EINVAL', { cause: error });
	}
	throw new HostError(`Read ${what}: it is no JSON object`, 'EINVAL');
}

function strings(value: unknown): string[] {
	return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}

function text(value: unknown): string {
	return typeof value === 'string' ? value : '';
}

function stringMap(value: unknown): Record<string, string> {
	if (typeof value !== 'object' || value === null) return {};
	return Object.fromEntries(Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}

function parsePlatform(value: unknown): Platform | undefined {
	if (typeof value !== 'object' || value === null) return undefined;
	const { architecture, os, variant } = value as Json;
	return { architecture: text(architecture), os: text(os), ...(typeof variant === 'string' && variant !== '' && { variant }) };
}

function parseDescriptor(value: unknown, maxBytes: number, what: string): Descriptor {
	if (typeof value !== 'object' || value === null) throw bad(`${what} is no object`);
	const { mediaType, digest, size, platform, annotations } = value as Json;
	if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0 || size > maxBytes)
		throw bad(`${what} has size ${JSON.stringify(size)}: want a number up to ${maxBytes}`);
	const parsed = parsePlatform(platform);
	return {
		mediaType: text(mediaType),
		digest: checkDigest(digest, what),
		size,
		...(parsed !== undefined && { platform: parsed }),
		annotations: stringMap(annotations),
	};
}

/** Parses a manifest or an index, OCI's or Docker's; `mediaType` is what its sender called it. Throws EINVAL. */
export function parseManifest(bytes: Uint8Array, mediaType = ''): Manifest | Index {
	if (bytes.length > MAX_MANIFEST_BYTES) throw bad(`it has ${bytes.length} bytes: want at most ${MAX_MANIFEST_BYTES}`);
	const value = parseObject(bytes, 'the manifest');
	if (value['schemaVersion'] !== 2) throw bad(`schemaVersion is ${JSON.stringify(value['schemaVersion'])}: want 2`);
	const kind = text(value['mediaType']) || mediaType;
	const { manifests, layers, config } = value;
	// One document that can be read as both would be checked as one and used as the other.
	if (manifests !== undefined && (layers !== undefined || config !== undefined)) throw bad('it is an index and a manifest at once');
	if (Array.isArray(manifests)) {
		if (kind !== '' && kind !== OCI_INDEX && kind !== DOCKER_INDEX) throw bad(`an index is called ${kind}`);
		if (manifests.length > MAX_INDEX_ENTRIES) throw bad(`the index has ${manifests.length} entries: want at most ${MAX_INDEX_ENTRIES}`);
		return { kind: 'index', manifests: manifests.map((entry, at) => parseDescriptor(entry, MAX_MANIFEST_BYTES, `manifests[${at}]`)) };
	}
	if (!Array.isArray(layers)) throw bad('it has neither manifests nor layers');
	if (kind !== '' && kind !== OCI_MANIFEST && kind !== DOCKER_MANIFEST) throw bad(`a manifest is called ${kind}`);
	if (layers.length > MAX_LAYERS) throw bad(`it has ${layers.length} layers: want at most ${MAX_LAYERS}`);
	return {
		kind: 'manifest',
		config: parseDescriptor(config, MAX_CONFIG_BYTES, 'config'),
		layers: layers.map((layer, at) => parseDescriptor(layer, MAX_LAYER_BYTES, `layers[${at}]`)),
	};
}

/** Parses an image's configuration. Throws EINVAL. */
export function parseImageConfig(bytes: Uint8Array): ImageConfig {
	const value = parseObject(bytes, "the image's configuration");
	const rootfs = value['rootfs'] as Json | undefined;
	const diffIds = rootfs?.['diff_ids'];
	if (!Array.isArray(diffIds)) throw new HostError("Read the image's configuration: rootfs.diff_ids is missing", 'EINVAL');
	const given = value['config'];
	const config: Json = typeof given === 'object' && given !== null ? (given as Json) : {};
	const volumes = config['Volumes'];
	return {
		platform: parsePlatform(value) ?? { architecture: '', os: '' },
		diffIds: diffIds.map((id, at) => checkDigest(id, `rootfs.diff_ids[${at}]`)),
		config: {
			env: strings(config['Env']),
			cmd: strings(config['Cmd']),
			entrypoint: strings(config['Entrypoint']),
			user: text(config['User']),
			workingDir: text(config['WorkingDir']),
			stopSignal: text(config['StopSignal']),
			volumes: typeof volumes === 'object' && volumes !== null ? Object.keys(volumes) : [],
			labels: stringMap(config['Labels']),
		},
	};
}

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64', arm: 'arm', ia32: '386' };

/** This host's platform, in Go's words. */
export function hostPlatform(): Platform {
	return { os: 'linux', architecture: ARCHITECTURES[process.arch] ?? process.arch };
}

/** The entry of an index for `platform`: an equal variant is better than none, another one (amd64's v3 on any amd64) is not taken. Throws ENOENT. */
export function pickPlatform(index: Index, platform: Platform): Descriptor {
	const baseline: Readonly<Record<string, string>> = { amd64: 'v1', arm64: 'v8', arm: 'v7' };
	const wanted = platform.variant ?? baseline[platform.architecture] ?? '';
	const candidates = index.manifests.filter(
		({ platform: other }) => other !== undefined && other.os === platform.os && other.architecture === platform.architecture,
	);
	const exact = candidates.find((entry) => entry.platform?.variant === wanted);
	const any = candidates.find((entry) => entry.platform?.variant === undefined);
	// An index of one image that names no platform (podman and umoci write such) says nothing against this one.
	const single = index.manifests.length === 1 && index.manifests[0]!.platform === undefined ? index.manifests[0] : undefined;
	const picked = exact ?? any ?? single;
	if (picked !== undefined) return picked;
	const there = index.manifests.map(({ platform: other }) => (other === undefined ? '?' : `${other.os}/${other.architecture}`));
	throw new HostError(
		`Pick a platform: the image has no ${platform.os}/${platform.architecture}, only ${there.slice(0, 20).join(', ') || 'nothing'}`,
		'ENOENT',
	);
}
