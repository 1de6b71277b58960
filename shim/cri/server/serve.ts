import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { HostError } from '../../../runtime/host-error.js';
import { ImageStore } from '../../image/image-store.js';
import { Cni } from '../cni/network.js';
import { NetworkConfigs } from '../cni/network-config.js';
import { NetworkNamespaces } from '../cni/network-namespace.js';
import { imageService } from '../images/image-service.js';
import { Pods } from '../runtime/pods.js';
import { ResourceStats } from '../runtime/resource-stats.js';
import { runtimeService } from '../runtime/runtime-service.js';
import { type StreamingOptions, StreamingServer } from '../streaming/server.js';
import type { ServerConfig } from './config.js';
import { CriServer } from './grpc-server.js';
import { ServerMetrics } from './metrics.js';
import type { Supervisor } from './supervisor.js';
import type { CallTracer } from './tracing.js';

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
		private readonly metrics: ServerMetrics,
		private readonly tracer: CallTracer | null,
		private readonly supervisor: Supervisor,
	) {}

	/** Finds what earlier servers left, and listens; `supervisor` is told so. Throws HostError. */
	static async start(config: ServerConfig, version: string, log: Logger, supervisor: Supervisor): Promise<CriRuntime> {
		for (const folder of [config.root, config.state]) mkdirSync(folder, { recursive: true, mode: 0o711 });
		const images = await ImageStore.open(join(config.root, 'images'), {
			registry: { registries: config.images.registries },
			limits: { parallelLayers: config.images.parallelLayers },
		});
		const network = {
			cni: new Cni({ pluginFolders: config.network.pluginFolders, stateFolder: join(config.root, 'network') }),
			configs: new NetworkConfigs(config.network.configFolder, (current) =>
				log.info({ network: current.config?.name ?? null }, 'The network configuration has changed'),
			),
			namespaces: new NetworkNamespaces(join(config.state, 'netns')),
		};
		const { root, state, defaultHandler, handlers, allowedAnnotations, allowPrivileged } = config;
		const tell = (level: 'info' | 'warn' | 'error', message: string): void => log[level](message);
		const pods = await Pods.open({ root, state, defaultHandler, allowedAnnotations, allowPrivileged, log: tell }, images, network);
		const streaming = new StreamingServer(streamingOptions(config.streaming));
		await streaming.listen();
		const metrics = new ServerMetrics(pods, network.configs);
		if (config.metrics !== null) await metrics.listen(config.metrics);
		const tracer = await tracerOf(config, version, (message) => log.warn(message));
		const server = new CriServer((method, code, milliseconds, message) => {
			metrics.count(method, code, milliseconds);
			if (code !== status.OK && code !== status.CANCELLED) log.warn({ method, code: status[code], milliseconds }, message);
			else if (!QUIET.has(method)) log.info({ method, milliseconds }, 'Served');
		}, tracer);
		const stats = new ResourceStats(images.snapshots, join(root, 'images'));
		server.add('RuntimeService', runtimeService(pods, network, streaming, stats, { version, handlers }));
		server.add('ImageService', imageService(images, { root: join(root, 'images'), pinned: config.images.pinned }));
		const { listener } = supervisor;
		if (listener === null) await server.listen(config.listen);
		else await server.adopt(listener);
		supervisor.ready();
		return new CriRuntime(pods, server, streaming, network.configs, images, metrics, tracer, supervisor);
	}

	async close(): Promise<void> {
		this.supervisor.stopping();
		await this.server.close();
		await this.metrics.close();
		await this.tracer?.close();
		await this.streaming.close();
		this.configs.close();
		await this.images.close();
	}
}

/** Without an endpoint OpenTelemetry's packages are not even loaded. */
async function tracerOf({ tracing }: ServerConfig, version: string, onLost: (message: string) => void): Promise<CallTracer | null> {
	if (tracing === null) return null;
	const { OtlpTracer } = await import('./otlp-tracer.js');
	return new OtlpTracer({ ...tracing, version, onLost });
}

/** Throws HostError when the key or the certificate can't be read. */
function streamingOptions({ host, port, tls }: ServerConfig['streaming']): StreamingOptions {
	if (tls === null) return { host, port };
	try {
		return { host, port, tls: { key: readFileSync(tls.key, 'utf8'), cert: readFileSync(tls.cert, 'utf8') } };
	} catch (error) {
		throw HostError.from('Read the key and the certificate of the streaming server', error);
	}
}
