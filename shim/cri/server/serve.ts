import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { ImageStore } from '../../image/image-store.js';
import { Cni } from '../cni/network.js';
import { NetworkConfigs } from '../cni/network-config.js';
import { NetworkNamespaces } from '../cni/network-namespace.js';
import { imageService } from '../images/image-service.js';
import { Pods } from '../runtime/pods.js';
import { ResourceStats } from '../runtime/resource-stats.js';
import { runtimeService } from '../runtime/runtime-service.js';
import { StreamingServer } from '../streaming/server.js';
import { CriServer } from './grpc-server.js';

export interface ServeOptions {
	/** Path of the unix socket. */
	readonly listen: string;
	readonly root: string;
	readonly state: string;
	readonly defaultHandler: string;
	readonly handlers: readonly string[];
	readonly cniConfigFolder: string;
	readonly cniPluginFolders: readonly string[];
	readonly streaming: { readonly host: string; readonly port: number };
}

/** Calls that are worth no line each: kubelet makes them every second. */
const QUIET = new Set([
	'Version',
	'Status',
	'ListPodSandbox',
	'ListContainers',
	'ContainerStatus',
	'PodSandboxStatus',
	'ListImages',
	'ImageStatus',
]);

/** A CRI server; `close` ends it, and the pods live on. */
export class CriRuntime {
	private constructor(
		readonly pods: Pods,
		private readonly server: CriServer,
		private readonly streaming: StreamingServer,
		private readonly configs: NetworkConfigs,
		private readonly images: ImageStore,
	) {}

	/** Finds what earlier servers left, and listens. Throws HostError. */
	static async start(options: ServeOptions, version: string, log: Logger): Promise<CriRuntime> {
		for (const folder of [options.root, options.state]) mkdirSync(folder, { recursive: true, mode: 0o711 });
		const images = await ImageStore.open(join(options.root, 'images'));
		const network = {
			cni: new Cni({ pluginFolders: options.cniPluginFolders, stateFolder: join(options.root, 'network') }),
			configs: new NetworkConfigs(options.cniConfigFolder, ({ config }) =>
				log.info({ network: config?.name ?? null }, 'The network configuration has changed'),
			),
			namespaces: new NetworkNamespaces(join(options.state, 'netns')),
		};
		const { root, state, defaultHandler, handlers } = options;
		const tell = (level: 'info' | 'warn' | 'error', message: string): void => log[level](message);
		const pods = await Pods.open({ root, state, defaultHandler, log: tell }, images, network);
		const streaming = new StreamingServer(options.streaming);
		await streaming.listen();
		const server = new CriServer((method, code, milliseconds, message) => {
			if (code !== status.OK && code !== status.CANCELLED) log.warn({ method, code: status[code], milliseconds }, message);
			else if (!QUIET.has(method)) log.info({ method, milliseconds }, 'Served');
		});
		const stats = new ResourceStats(images.snapshots, join(root, 'images'));
		server.add('RuntimeService', runtimeService(pods, network, streaming, stats, { version, handlers }));
		server.add('ImageService', imageService(images, { root: join(root, 'images') }));
		await server.listen(options.listen);
		return new CriRuntime(pods, server, streaming, network.configs, images);
	}

	async close(): Promise<void> {
		await this.server.close();
		await this.streaming.close();
		this.configs.close();
		await this.images.close();
	}
}
