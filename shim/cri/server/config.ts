import { readFileSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { parse, TomlError } from 'smol-toml';
import { HostError } from '../../../runtime/host-error.js';
import { ConfigError, Section } from '../../../runtime/oci/section.js';
import { OWN_ANNOTATIONS } from '../../annotations.js';
import type { Credentials } from '../../image/registry-auth.js';
import type { RegistrySettings } from '../../image/registry-client.js';

/** What the server is told by its file and its command line. */
export interface ServerConfig {
	/** Path of the unix socket. */
	readonly listen: string;
	/** Folder of what outlives a reboot: images and records. */
	readonly root: string;
	/** Folder of what doesn't. */
	readonly state: string;
	readonly logLevel: string;
	/** What RunPodSandbox may name. */
	readonly handlers: readonly string[];
	/** Of pods that name none. */
	readonly defaultHandler: string;
	/** Annotations of ours (`dev.isopod.…`) that pods may have; one that ends in `.*` stands for all that begin so. */
	readonly allowedAnnotations: readonly string[];
	/** May a privileged container run? It has all rights in its sandbox, and none of the host's devices. */
	readonly allowPrivileged: boolean;
	/** The control group that containerd's shims are in; null for the one that they are started in, containerd's. */
	readonly shimCgroup: string | null;
	readonly network: { readonly configFolder: string; readonly pluginFolders: readonly string[] };
	readonly streaming: {
		readonly host: string;
		/** 0 takes any. */
		readonly port: number;
		/** Paths of PEM files; null serves without TLS. */
		readonly tls: { readonly key: string; readonly cert: string } | null;
	};
	/** Where Prometheus and health checks ask; null for nowhere. */
	readonly metrics: MetricsAddress | null;
	/** Where traces of calls go; null for nowhere. */
	readonly tracing: { readonly endpoint: string; readonly samplingPerMillion: number } | null;
	readonly images: {
		/** Names that kubelet's garbage collection is to leave alone. */
		readonly pinned: readonly string[];
		/** Layers of one pull that are fetched at once. */
		readonly parallelLayers: number;
		readonly registries: Readonly<Record<string, RegistrySettings>>;
	};
}

export type MetricsAddress = { readonly path: string } | { readonly host: string; readonly port: number };

export const DEFAULT_FILE = '/etc/isopod/config.toml';
const HANDLERS = ['isopod', 'isopod-vm'];
const LOG_LEVELS = ['debug', 'info', 'warn', 'error'];
const MAX_PORT = 65535;
const MILLION = 1_000_000;
const MAX_PARALLEL_LAYERS = 64;

/** A file that says what is so without one. */
export const DEFAULT_TEXT = `# /etc/isopod/config.toml: for isopod serve, whose command-line options win over it; containerd's shims read what [runtime]
# allows. Every value here is the default.

# Where kubelet and crictl connect.
listen = "unix:///run/isopod/isopod.sock"
# Images and records.
root = "/var/lib/isopod"
# What a reboot ends: sandboxes, mounts, FIFOs.
state = "/run/isopod/cri"
# debug, info, warn or error
log_level = "info"

[runtime]
# What a RuntimeClass may name, and the one of pods without a RuntimeClass.
handlers = ["isopod", "isopod-vm"]
default_handler = "isopod"
# Which of our annotations pods may choose by, such as "dev.isopod.vm.template" or "dev.isopod.bounds.*".
allowed_annotations = []
# A privileged container has all capabilities inside its sandbox and nothing of the host's; without this it is refused.
allow_privileged = false

[shim]
# The control group that containerd's shims are in, made if it isn't there: containerd's own without it. (Not for isopod serve.)
# cgroup = "/isopod-shims"

[network]
# CNI's configuration (the first file in order of names counts) and its plugins.
config_folder = "/etc/cni/net.d"
plugin_folders = ["/opt/cni/bin", "/usr/lib/cni"]

[streaming]
# Where clients of exec, attach and port-forward connect. Port 0 takes any.
host = "127.0.0.1"
port = 0
# tls_key = "/etc/isopod/streaming.key"
# tls_cert = "/etc/isopod/streaming.crt"

[metrics]
# For Prometheus (/metrics) and health checks (/healthz): "unix:///run/isopod/metrics.sock" or "127.0.0.1:9750". Nowhere without it.
# listen = "127.0.0.1:9750"

[tracing]
# A collector of OpenTelemetry's traces by OTLP over HTTP. Nowhere without it.
# endpoint = "http://127.0.0.1:4318"
# Calls of a million that are traced when their callers don't say (kubelet does, for its own).
sampling_per_million = 1000000

[images]
# Images that are never removed by kubelet's garbage collection.
pinned = []
# Layers of one pull that are fetched at once.
parallel_layers = 3

# [images.registries."docker.io"]
# mirrors = ["https://mirror.example.org"]
# url = "https://registry-1.docker.io"
# ca_file = "/etc/isopod/registry.crt"
# username = "reader"
# password = "..."
`;

/** Reads a file. Throws HostError when it can't be read, and an Error for the user that names file, line and key when it makes no sense. */
export function loadConfig(file: string): ServerConfig {
	let text: string;
	try {
		text = readFileSync(file, 'utf8');
	} catch (error) {
		throw HostError.from(`Read the configuration ${file}`, error);
	}
	return parseServerConfig(text, file);
}

/** Parses the text of a configuration; `file` is its name in messages. Throws an Error for the user. */
export function parseServerConfig(text: string, file: string): ServerConfig {
	try {
		return readAll(new Section(parse(text), ''));
	} catch (error) {
		if (error instanceof TomlError) {
			const [reason = ''] = error.message.replace(/^Invalid TOML document: /, '').split('\n', 1);
			throw new Error(`${file}:${error.line}: ${reason}`, { cause: error });
		}
		if (error instanceof ConfigError) {
			const line = lineOf(text, error.field);
			throw new Error(`${file}${line === 0 ? '' : `:${line}`}: ${error.field}: ${error.reason}`, { cause: error });
		}
		throw error;
	}
}

const NO_SECTION = (name: string): Section => new Section({}, name);

function readAll(top: Section): ServerConfig {
	const handlers = readRuntime(top.optionalSection('runtime') ?? NO_SECTION('runtime'));
	const shim = top.optionalSection('shim') ?? NO_SECTION('shim');
	const network = top.optionalSection('network') ?? NO_SECTION('network');
	const metrics = top.optionalSection('metrics') ?? NO_SECTION('metrics');
	const metricsListen = metrics.string('listen', '');
	const config: ServerConfig = {
		listen: asField(top, 'listen', () => socketPath(top.string('listen', 'unix:///run/isopod/isopod.sock'))),
		root: absolute(top, 'root', '/var/lib/isopod'),
		state: absolute(top, 'state', '/run/isopod/cri'),
		logLevel: oneOf(top, 'log_level', 'info', LOG_LEVELS),
		...handlers,
		shimCgroup: shim.has('cgroup') ? absolute(shim, 'cgroup', '') : null,
		network: {
			configFolder: absolute(network, 'config_folder', '/etc/cni/net.d'),
			pluginFolders: network.has('plugin_folders') ? folders(network, 'plugin_folders') : ['/opt/cni/bin', '/usr/lib/cni'],
		},
		streaming: readStreaming(top.optionalSection('streaming') ?? NO_SECTION('streaming')),
		metrics: metricsListen === '' ? null : asField(metrics, 'listen', () => metricsAddress(metricsListen)),
		tracing: readTracing(top.optionalSection('tracing') ?? NO_SECTION('tracing')),
		images: readImages(top.optionalSection('images') ?? NO_SECTION('images')),
	};
	for (const section of [shim, network, metrics, top]) section.end();
	return config;
}

function readRuntime(section: Section): Pick<ServerConfig, 'handlers' | 'defaultHandler' | 'allowedAnnotations' | 'allowPrivileged'> {
	const handlers = section.has('handlers') ? section.list('handlers') : HANDLERS;
	if (handlers.length === 0) throw new ConfigError(section.name('handlers'), 'want one at least');
	for (const name of handlers)
		if (!HANDLERS.includes(name))
			throw new ConfigError(section.name('handlers'), `no handler is called ${JSON.stringify(name)}: want ${HANDLERS.join(' or ')}`);
	const defaultHandler = oneOf(section, 'default_handler', handlers.includes('isopod') ? 'isopod' : handlers[0]!, handlers);
	const allowedAnnotations = section.list('allowed_annotations');
	for (const name of allowedAnnotations)
		if (!name.startsWith(OWN_ANNOTATIONS))
			throw new ConfigError(section.name('allowed_annotations'), `${JSON.stringify(name)} does not begin with ${OWN_ANNOTATIONS}`);
	const allowPrivileged = section.boolean('allow_privileged', false);
	section.end();
	return { handlers, defaultHandler, allowedAnnotations, allowPrivileged };
}

function readStreaming(section: Section): ServerConfig['streaming'] {
	const host = section.string('host', '127.0.0.1');
	if (host === '') throw new ConfigError(section.name('host'), 'want an address');
	const port = section.integer('port', 0, MAX_PORT);
	const [key, cert] = (['tls_key', 'tls_cert'] as const).map((name) => (section.has(name) ? absolute(section, name, '') : null));
	if ((key === null) !== (cert === null))
		throw new ConfigError(section.name(key === null ? 'tls_cert' : 'tls_key'), 'want tls_key and tls_cert, or neither');
	section.end();
	return { host, port, tls: key == null || cert == null ? null : { key, cert } };
}

function readTracing(section: Section): ServerConfig['tracing'] {
	const endpoint = section.string('endpoint', '');
	const samplingPerMillion = section.integer('sampling_per_million', MILLION, MILLION);
	const protocol = URL.canParse(endpoint) ? new URL(endpoint).protocol : '';
	if (endpoint !== '' && protocol !== 'https:' && protocol !== 'http:')
		throw new ConfigError(section.name('endpoint'), `${JSON.stringify(endpoint)} is no URL of a collector: want http://HOST:PORT`);
	section.end();
	return endpoint === '' ? null : { endpoint, samplingPerMillion };
}

function readImages(section: Section): ServerConfig['images'] {
	const pinned = section.list('pinned');
	const parallelLayers = section.integer('parallel_layers', 3, MAX_PARALLEL_LAYERS);
	if (parallelLayers === 0) throw new ConfigError(section.name('parallel_layers'), 'want one at least');
	const registries: Record<string, RegistrySettings> = {};
	const all = section.optionalSection('registries');
	for (const name of all?.names() ?? []) registries[name] = readRegistry(all!.section(name));
	section.end();
	return { pinned, parallelLayers, registries };
}

function readRegistry(section: Section): RegistrySettings {
	const mirrors = section.list('mirrors');
	for (const mirror of mirrors) checkUrl(section, 'mirrors', mirror);
	const url = section.string('url', '');
	if (url !== '') checkUrl(section, 'url', url);
	const caFile = section.string('ca_file', '');
	const [username, password] = [section.string('username', ''), section.string('password', '')];
	if ((username === '') !== (password === ''))
		throw new ConfigError(section.name(username === '' ? 'password' : 'username'), 'want both or neither');
	const credentials: Credentials = { username, password };
	section.end();
	return {
		...(mirrors.length > 0 && { mirrors }),
		...(url !== '' && { url }),
		...(caFile !== '' && { ca: asField(section, 'ca_file', () => readFileSync(caFile, 'utf8')) }),
		...(username !== '' && { credentials }),
	};
}

function checkUrl(section: Section, field: string, text: string): void {
	const protocol = URL.canParse(text) ? new URL(text).protocol : '';
	if (protocol !== 'https:' && protocol !== 'http:')
		throw new ConfigError(section.name(field), `${JSON.stringify(text)} is no URL of a registry: want https://HOST[:PORT][/PATH]`);
}

/** The path of an address `unix:///PATH`. Throws an Error for the user. */
export function socketPath(address: string): string {
	const path = /^unix:(?:\/\/)?(\/.+)$/.exec(address)?.[1] ?? (address.startsWith('/') ? address : null);
	if (path === null) throw new Error(`${JSON.stringify(address)} is no address of a unix socket: want unix:///PATH`);
	if (Buffer.byteLength(path) > MAX_SOCKET_PATH)
		throw new Error(`${path} is longer than a unix socket's path may be (${MAX_SOCKET_PATH} bytes)`);
	return path;
}

/** unix(7), without the NUL at its end. */
const MAX_SOCKET_PATH = 107;

/** Throws an Error for the user. */
export function metricsAddress(text: string): MetricsAddress {
	if (text.startsWith('unix:') || text.startsWith('/')) return { path: socketPath(text) };
	const [, host, port] = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(text)?.filter((part) => part !== undefined) ?? [];
	if (port === undefined || Number(port) > MAX_PORT)
		throw new Error(`${JSON.stringify(text)} is no address: want HOST:PORT or unix:///PATH`);
	return { host: host || '0.0.0.0', port: Number(port) };
}

function absolute(section: Section, field: string, fallback: string): string {
	return checkAbsolute(section, field, section.string(field, fallback));
}

function folders(section: Section, field: string): string[] {
	return section.list(field).map((path) => checkAbsolute(section, field, path));
}

function checkAbsolute(section: Section, field: string, path: string): string {
	if (!isAbsolute(path)) throw new ConfigError(section.name(field), `${JSON.stringify(path)} is no absolute path`);
	return path;
}

function oneOf(section: Section, field: string, fallback: string, choices: readonly string[]): string {
	const value = section.string(field, fallback);
	if (!choices.includes(value)) throw new ConfigError(section.name(field), `${JSON.stringify(value)} is none of ${choices.join(', ')}`);
	return value;
}

function asField<T>(section: Section, field: string, read: () => T): T {
	try {
		return read();
	} catch (error) {
		if (error instanceof ConfigError) throw error;
		throw new ConfigError(section.name(field), error instanceof Error ? error.message : String(error));
	}
}

/** The line of a key (`network.plugin_folders`), or of the table that it is missing in; 0 when neither is written out. */
function lineOf(text: string, field: string): number {
	let table = '';
	let nearest = 0;
	for (const [index, line] of text.split('\n').entries()) {
		const header = /^\s*\[([^[\]]+)\]\s*(?:#.*)?$/.exec(line)?.[1];
		if (header !== undefined) {
			table = `${bare(header)}.`;
			if (`${field}.`.startsWith(table)) nearest = index + 1;
		}
		const key = /^\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=/.exec(line)?.[1];
		if (key === undefined) continue;
		const name = table + bare(key);
		if (field === name || field.startsWith(`${name}.`) || field.startsWith(`${name}[`)) return index + 1;
	}
	return nearest;
}

/** A dotted key without its quotes. */
function bare(key: string): string {
	return key
		.replace(/["']/g, '')
		.replace(/\s*\.\s*/g, '.')
		.trim();
}
