import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { HostError } from '../../../runtime/host-error.js';
import { writeAtomically } from '../../image/content-store.js';
import { isObject, type Json, type NetworkConfig, parseNetworkConfig } from './network-config.js';
import { type Invocation, runPlugin } from './plugin.js';

export interface CniOptions {
	/** Where the plugins are, in order. */
	readonly pluginFolders: readonly string[];
	/** Where attachments are remembered. */
	readonly stateFolder: string;
	/** Of one plugin. */
	readonly timeoutMs?: number;
}

export interface PortMapping {
	readonly hostPort: number;
	readonly containerPort: number;
	readonly protocol: 'TCP' | 'UDP' | 'SCTP';
	readonly hostIP?: string;
}

/** What plugins get that declare the capability (CONVENTIONS.md). */
export interface RuntimeCapabilities {
	readonly portMappings?: readonly PortMapping[];
	/** Rates in bits per second, bursts in bits. */
	readonly bandwidth?: {
		readonly ingressRate?: number;
		readonly ingressBurst?: number;
		readonly egressRate?: number;
		readonly egressBurst?: number;
	};
	readonly dns?: { readonly servers?: readonly string[]; readonly searches?: readonly string[]; readonly options?: readonly string[] };
	/** The pod's annotations. */
	readonly 'io.kubernetes.cri.pod-annotations'?: Readonly<Record<string, string>>;
	readonly [capability: string]: unknown;
}

export interface Pod {
	/** The pod sandbox's id. */
	readonly id: string;
	readonly namespace: string;
	readonly name: string;
	readonly uid: string;
	readonly netns: string;
}

/** A pod's place in its network. */
export interface Attachment {
	/** Its addresses without prefix length, the first one its main one. */
	readonly ips: readonly string[];
	/** The last plugin's. */
	readonly result: Json;
}

/** What is on disk of an attachment, from before its first plugin ran until its last DEL succeeded. */
interface AttachmentRecord {
	readonly pod: Pod;
	readonly interfaceName: string;
	/** The configuration of then: it may have changed since. */
	readonly config: Json;
	readonly capabilities: RuntimeCapabilities;
	/** Null until ADD has succeeded. */
	readonly result: Json | null;
}

const ID = /^[a-zA-Z0-9][\w.-]*$/;
const INTERFACE = /^[^\s/:]{1,15}$/;
const DEFAULT_TIMEOUT_MS = 60_000;
const LOOPBACK = { name: 'isopod-loopback', type: 'loopback' };

/** Attaches pods to networks by CNI's plugins (SPEC.md sections 3 and 4). */
export class Cni {
	private readonly timeoutMs: number;

	constructor(private readonly options: CniOptions) {
		this.timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
	}

	/**
	 * Attaches a pod: `loopback` for `lo`, then the plugins of the chain in order, each with the result of the one before. When one fails the
	 * attachment is undone and its error is thrown; EADDRNOTAVAIL when the chain gave no address.
	 */
	async add(config: NetworkConfig, pod: Pod, capabilities: RuntimeCapabilities = {}, interfaceName = 'eth0'): Promise<Attachment> {
		if (!ID.test(pod.id)) throw new HostError(`Attach the pod ${JSON.stringify(pod.id)}: it has no id that CNI takes`, 'EINVAL');
		if (!INTERFACE.test(interfaceName))
			throw new HostError(`Attach a pod as ${JSON.stringify(interfaceName)}: it is no device's name`, 'EINVAL');
		for (const value of [pod.namespace, pod.name, pod.uid])
			if (/[;=]/.test(value)) throw new HostError(`Attach the pod ${pod.id}: ${JSON.stringify(value)} can't be one of CNI_ARGS`, 'EINVAL');
		const record: AttachmentRecord = { pod, interfaceName, config: toJson(config), capabilities, result: null };
		await this.save(record);
		try {
			await this.run({ ...LOOPBACK, cniVersion: config.cniVersion }, invocation('ADD', { ...record, interfaceName: 'lo' }));
			let result: Json | null = null;
			for (const plugin of config.plugins)
				result = await this.run(pluginInput(config, plugin, capabilities, result), invocation('ADD', record));
			const attachment = readResult(result, interfaceName);
			await this.save({ ...record, result: attachment.result });
			return attachment;
		} catch (error) {
			// What the undoing fails at, a later `del` tries again: the record stays.
			await this.undo(record).catch(() => undefined);
			throw error;
		}
	}

	/** Asks the plugins whether the attachment still is as they made it. Throws their error; ENOENT when there is none. */
	async check(podId: string, interfaceName = 'eth0'): Promise<void> {
		const record = await this.load(podId, interfaceName);
		if (record === null || record.result === null)
			throw new HostError(`Check the network of the pod ${podId}: it is not attached`, 'ENOENT');
		const config = configOf(record);
		if (config.disableCheck || config.cniVersion.startsWith('0.3.')) return;
		for (const plugin of config.plugins)
			await this.run(pluginInput(config, plugin, record.capabilities, record.result), invocation('CHECK', record));
	}

	/**
	 * Detaches a pod, the plugins in reverse order; one that is not attached is detached already. `hasNamespace` false: its network namespace is
	 * gone. Every plugin has its turn; the first error is thrown then, and the next call tries again.
	 */
	async del(podId: string, interfaceName = 'eth0', hasNamespace = true): Promise<void> {
		const record = await this.load(podId, interfaceName);
		if (record !== null) await this.undo(hasNamespace ? record : { ...record, pod: { ...record.pod, netns: '' } });
		// A server was killed while it wrote it down.
		await rm(`${this.file(podId, interfaceName)}.new`, { force: true });
	}

	/** What is attached, or is half so: for a server that starts again. */
	async list(): Promise<{ readonly podId: string; readonly interfaceName: string; readonly attachment: Attachment | null }[]> {
		const found = [];
		for (const name of await readdir(this.options.stateFolder).catch(() => [])) {
			if (!name.endsWith('.json')) continue;
			const { pod, interfaceName, result } = await readRecord(join(this.options.stateFolder, name));
			found.push({ podId: pod.id, interfaceName, attachment: result === null ? null : readResult(result, interfaceName) });
		}
		return found;
	}

	private async undo(record: AttachmentRecord): Promise<void> {
		const config = configOf(record);
		let failure: unknown = null;
		for (const plugin of [...config.plugins].reverse())
			try {
				await this.run(pluginInput(config, plugin, record.capabilities, record.result), invocation('DEL', record));
			} catch (error) {
				failure ??= error;
			}
		if (failure !== null) throw failure;
		await rm(this.file(record.pod.id, record.interfaceName), { force: true });
	}

	private run(input: Json, call: Invocation): Promise<Json | null> {
		return runPlugin(input['type'] as string, input, call, this.options.pluginFolders, this.timeoutMs);
	}

	private file(podId: string, interfaceName: string): string {
		// Ids are of any length and may differ in case alone.
		const name = createHash('sha256').update(`${podId} ${interfaceName}`).digest('hex').slice(0, 32);
		return join(this.options.stateFolder, `${name}.json`);
	}

	private async save(record: AttachmentRecord): Promise<void> {
		await mkdir(this.options.stateFolder, { recursive: true, mode: 0o700 });
		await writeAtomically(this.file(record.pod.id, record.interfaceName), JSON.stringify(record));
	}

	private async load(podId: string, interfaceName: string): Promise<AttachmentRecord | null> {
		try {
			return await readRecord(this.file(podId, interfaceName));
		} catch (error) {
			if (error instanceof HostError && error.code === 'ENOENT') return null;
			throw error;
		}
	}
}

async function readRecord(file: string): Promise<AttachmentRecord> {
	try {
		return JSON.parse(await readFile(file, 'utf8')) as AttachmentRecord;
	} catch (error) {
		throw HostError.from(`Read the attachment ${file}`, error);
	}
}

function toJson({ name, cniVersion, disableCheck, plugins }: NetworkConfig): Json {
	return { name, cniVersion, disableCheck, plugins: plugins.map(({ json }) => json) };
}

function configOf({ config, pod }: AttachmentRecord): NetworkConfig {
	return parseNetworkConfig(JSON.stringify(config), `of the pod ${pod.id}`);
}

function invocation(command: Invocation['command'], { pod, interfaceName }: AttachmentRecord): Invocation {
	return {
		command,
		containerId: pod.id,
		netns: pod.netns,
		interfaceName,
		args: {
			IgnoreUnknown: '1',
			K8S_POD_NAMESPACE: pod.namespace,
			K8S_POD_NAME: pod.name,
			K8S_POD_INFRA_CONTAINER_ID: pod.id,
			K8S_POD_UID: pod.uid,
		},
	};
}

/** What a plugin reads: its configuration, the network's name and version, what it wants of the runtime, and the result before it. */
function pluginInput(
	{ name, cniVersion }: NetworkConfig,
	{ json, capabilities: wanted }: NetworkConfig['plugins'][number],
	capabilities: RuntimeCapabilities,
	prevResult: Json | null,
): Json {
	const { capabilities: _, ...own } = json;
	const runtimeConfig: Record<string, unknown> = {};
	for (const capability of wanted) {
		const value = capability === 'portMappings' ? portMappings(capabilities) : capabilities[capability];
		if (value !== undefined) runtimeConfig[capability] = value;
	}
	return {
		...own,
		name,
		cniVersion,
		...(Object.keys(runtimeConfig).length > 0 && { runtimeConfig }),
		...(prevResult !== null && { prevResult }),
	};
}

function portMappings({ portMappings: mappings }: RuntimeCapabilities): object[] | undefined {
	return mappings
		?.filter(({ hostPort }) => hostPort > 0)
		.map(({ hostPort, containerPort, protocol, hostIP }) => ({
			hostPort,
			containerPort,
			protocol: protocol.toLowerCase(),
			...(hostIP && { hostIP }),
		}));
}

/** The addresses of a result (SPEC.md section 5) on the pod's device. */
function readResult(result: Json | null, interfaceName: string): Attachment {
	if (result === null) throw new HostError('Read the network result: the last plugin printed none', 'EPROTO');
	const interfaces = Array.isArray(result['interfaces']) ? (result['interfaces'] as unknown[]) : [];
	const ips = [];
	for (const ip of Array.isArray(result['ips']) ? (result['ips'] as unknown[]) : []) {
		if (!isObject(ip) || typeof ip['address'] !== 'string') throw new HostError('Read the network result: an address is none', 'EPROTO');
		const device = typeof ip['interface'] === 'number' ? interfaces[ip['interface']] : undefined;
		if (device === undefined || (isObject(device) && device['name'] === interfaceName)) ips.push(ip['address'].split('/')[0]!);
	}
	if (ips.length === 0) throw new HostError(`Read the network result: it has no address for ${interfaceName}`, 'EADDRNOTAVAIL');
	return { ips, result };
}
