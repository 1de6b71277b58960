// Network configurations of CNI (cni.dev, SPEC.md section 1): which one counts, and telling when that changes.

import { type FSWatcher, readdirSync, readFileSync, watch } from 'node:fs';
import { join } from 'node:path';
import { HostError } from '../../../runtime/host-error.js';

export type Json = Readonly<Record<string, unknown>>;

/** One plugin of a chain: its own configuration, with what is read of it here. */
export interface PluginConfig {
	/** The name of its program. */
	readonly type: string;
	/** What of the runtime's configuration it wants. */
	readonly capabilities: readonly string[];
	/** All of it, as it goes to the plugin. */
	readonly json: Json;
}

export interface NetworkConfig {
	readonly name: string;
	readonly cniVersion: string;
	readonly disableCheck: boolean;
	readonly plugins: readonly PluginConfig[];
}

/** The networks of pods, or why there are none. */
export type CurrentNetwork = { readonly config: NetworkConfig; readonly file: string } | { readonly config: null; readonly reason: string };

const NAME = /^[a-zA-Z0-9][\w.-]*$/;
const MAX_BYTES = 1 << 20;
const MAX_PLUGINS = 32;
/** A folder that does not exist yet can't be watched: it is looked for this often. */
const POLL_MS = 2000;
/** Changes come in bursts. */
const SETTLE_MS = 50;

/** Parses a network configuration list, or a single plugin's configuration as a list of one. Throws EINVAL. */
export function parseNetworkConfig(text: string, file: string): NetworkConfig {
	const bad = (reason: string): HostError => new HostError(`Read the network configuration ${file}: ${reason}`, 'EINVAL');
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch (error) {
		throw bad(error instanceof Error ? error.message : 'no JSON');
	}
	if (!isObject(value)) throw bad('it is no object');
	const { name, cniVersion = '0.2.0', plugins: listed, disableCheck } = value;
	if (typeof name !== 'string' || !NAME.test(name)) throw bad(`name is ${JSON.stringify(name)}: want letters, digits, "_", "." and "-"`);
	const version = /^(\d+)\.(\d+)\.\d+$/.exec(typeof cniVersion === 'string' ? cniVersion : '');
	if (version === null || (version[1] === '0' && Number(version[2]) < 3))
		throw bad(`cniVersion is ${JSON.stringify(cniVersion)}: want 0.3.0 or later`);
	const plugins = listed === undefined ? [value] : listed;
	if (!Array.isArray(plugins) || plugins.length === 0 || plugins.length > MAX_PLUGINS)
		throw bad(`plugins: want 1 to ${MAX_PLUGINS} of them`);
	return {
		name,
		cniVersion: cniVersion as string,
		disableCheck: disableCheck === true,
		plugins: plugins.map((plugin: unknown, at) => {
			if (!isObject(plugin)) throw bad(`plugins[${at}] is no object`);
			const { type, capabilities } = plugin;
			if (typeof type !== 'string' || !NAME.test(type)) throw bad(`plugins[${at}].type is ${JSON.stringify(type)}: want a program's name`);
			const wanted = isObject(capabilities) ? Object.keys(capabilities).filter((key) => capabilities[key] === true) : [];
			return { type, capabilities: wanted, json: plugin };
		}),
	};
}

export function isObject(value: unknown): value is Json {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The lexically first configuration of a folder that is one; broken ones are passed over, and named when there is no other. */
export function findNetwork(folder: string): CurrentNetwork {
	let names: string[];
	try {
		names = readdirSync(folder);
	} catch (error) {
		return { config: null, reason: `${folder}: ${(error as NodeJS.ErrnoException).code}` };
	}
	const reasons = [];
	for (const name of names.filter((candidate) => /\.(conf|conflist|json)$/.test(candidate)).sort()) {
		const file = join(folder, name);
		try {
			const text = readFileSync(file, 'utf8');
			if (text.length > MAX_BYTES) throw new HostError(`Read the network configuration ${file}: it is too large`, 'EFBIG');
			return { config: parseNetworkConfig(text, file), file };
		} catch (error) {
			reasons.push(error instanceof Error ? error.message : String(error));
		}
	}
	return { config: null, reason: reasons.length === 0 ? `no network configuration in ${folder}` : reasons.join('; ') };
}

/** Keeps up with a folder of configurations. */
export class NetworkConfigs {
	private found: CurrentNetwork;
	private watcher: FSWatcher | null = null;
	private timer: NodeJS.Timeout | null = null;
	private readonly poll: NodeJS.Timeout;

	/** `onChange` is called when another configuration counts, or none. */
	constructor(
		readonly folder: string,
		private readonly onChange: (current: CurrentNetwork) => void = () => undefined,
	) {
		this.watchFolder();
		this.found = findNetwork(folder);
		this.poll = setInterval(() => {
			if (this.watcher === null) this.changed();
		}, POLL_MS).unref();
	}

	get current(): CurrentNetwork {
		return this.found;
	}

	close(): void {
		clearInterval(this.poll);
		this.watcher?.close();
		if (this.timer !== null) clearTimeout(this.timer);
	}

	private watchFolder(): void {
		this.watcher?.close();
		this.watcher = null;
		try {
			this.watcher = watch(this.folder, { persistent: false }, () => this.changed());
			this.watcher.on('error', () => this.changed());
		} catch {
			// It is not there: the poll sees it come.
		}
	}

	private changed(): void {
		this.timer ??= setTimeout(() => {
			this.timer = null;
			// The folder may be another one of the same name.
			this.watchFolder();
			const found = findNetwork(this.folder);
			const isSame = JSON.stringify(found) === JSON.stringify(this.found);
			this.found = found;
			if (!isSame) this.onChange(found);
		}, SETTLE_MS).unref();
	}
}
