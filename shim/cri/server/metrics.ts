import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { dirname } from 'node:path';
import { status } from '@grpc/grpc-js';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { HostError } from '../../../runtime/host-error.js';
import type { NetworkConfigs } from '../cni/network-config.js';
import type { Pods } from '../runtime/pods.js';
import type { MetricsAddress } from './config.js';

/** In seconds: from lists to pulls of large images. */
const BUCKETS = [0.001, 0.005, 0.02, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

/** What the server tells Prometheus (`/metrics`) and whoever looks after its health: `/healthz` (it lives), `/readyz` (pods can be made). */
export class ServerMetrics {
	private readonly registry = new Registry();
	private readonly calls = new Counter({
		name: 'isopod_cri_requests_total',
		help: 'Requests of CRI that are over, by method and gRPC status code',
		labelNames: ['method', 'code'],
		registers: [this.registry],
	});
	private readonly durations = new Histogram({
		name: 'isopod_cri_request_duration_seconds',
		help: 'How long requests of CRI took',
		labelNames: ['method'],
		buckets: BUCKETS,
		registers: [this.registry],
	});
	private readonly server: Server;

	constructor(
		private readonly pods: Pods,
		private readonly configs: NetworkConfigs,
	) {
		collectDefaultMetrics({ register: this.registry });
		this.addGauges();
		this.server = createServer((request, response) => {
			const answer = (code: number, type: string, text: string): void => {
				response.writeHead(code, { 'Content-Type': type }).end(request.method === 'HEAD' ? '' : text);
			};
			const { pathname } = new URL(request.url ?? '/', 'http://localhost');
			if (request.method !== 'GET' && request.method !== 'HEAD') answer(405, 'text/plain', 'want GET\n');
			else if (pathname === '/healthz') answer(200, 'text/plain', 'ok\n');
			else if (pathname === '/readyz') {
				const { config, reason } = { reason: '', ...this.configs.current };
				answer(config === null ? 503 : 200, 'text/plain', config === null ? `the network is not ready: ${reason}\n` : 'ok\n');
			} else if (pathname === '/metrics')
				this.registry.metrics().then(
					(text) => answer(200, this.registry.contentType, text),
					(error: unknown) => answer(500, 'text/plain', `${error}\n`),
				);
			else answer(404, 'text/plain', 'want /metrics, /healthz or /readyz\n');
		});
	}

	private addGauges(): void {
		const { pods, configs } = this;
		const registers = [this.registry];
		new Gauge({
			...{ name: 'isopod_pods', help: 'Pods, by handler and state', labelNames: ['handler', 'state'], registers },
			collect() {
				this.reset();
				for (const { record } of pods.allPods()) this.inc({ handler: record.handler, state: record.state });
			},
		});
		new Gauge({
			...{ name: 'isopod_containers', help: 'Containers, by handler and state', labelNames: ['handler', 'state'], registers },
			collect() {
				this.reset();
				for (const { record, pod } of pods.allContainers()) this.inc({ handler: pod.record.handler, state: record.state });
			},
		});
		new Gauge({
			...{ name: 'isopod_network_ready', help: '1 when there is a network configuration', registers },
			collect() {
				this.set(configs.current.config === null ? 0 : 1);
			},
		});
	}

	/** A request is over. */
	count(method: string, code: status, milliseconds: number): void {
		this.calls.inc({ method, code: status[code] ?? `${code}` });
		this.durations.observe({ method }, milliseconds / 1000);
	}

	/** Throws HostError. */
	async listen(address: MetricsAddress): Promise<void> {
		const place = 'path' in address ? address.path : `${address.host}:${address.port}`;
		if ('path' in address) {
			mkdirSync(dirname(address.path), { recursive: true, mode: 0o711 });
			rmSync(address.path, { force: true });
		}
		await new Promise<void>((resolve, reject) => {
			this.server.once('error', (error) => reject(HostError.from(`Listen on ${place} for metrics`, error)));
			this.server.listen(address, resolve);
		});
		if ('path' in address) chmodSync(address.path, 0o660);
	}

	async close(): Promise<void> {
		this.server.closeAllConnections();
		if (this.server.listening) await new Promise((resolve) => this.server.close(resolve));
	}
}
