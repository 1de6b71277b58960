import { type AddressInfo, createServer, isIPv6, type Server } from 'node:net';
import { HostError } from '../../../runtime/host-error.js';
import { PortForwarder } from '../../cri/streaming/client.js';
import type { Connection } from './connection.js';
import type { Commands } from './main.js';
import { findSandbox, SANDBOX_READY } from './names.js';

export function registerPortForward(commands: Commands): void {
	commands
		.add('port-forward', '<pod> <ports...>', [
			'isopod port-forward web 8080:80  # localhost:8080 is port 80 of the pod',
			'isopod port-forward web :80  # any free local port',
			'isopod port-forward --address 0.0.0.0 web 8080:80 8443:443',
		])
		.option('--address <addresses>', 'local addresses to listen on, separated by commas', 'localhost')
		.action((name: string, ports: string[], { address }: { address: string }) =>
			commands.run((connection) => forward(connection, name, ports.map(parsePorts), address)),
		);
}

interface Ports {
	/** 0 takes any. */
	readonly local: number;
	readonly remote: number;
}

/** `LOCAL:REMOTE`, `:REMOTE` or one number for both. Throws Error. */
export function parsePorts(text: string): Ports {
	const [, local, remote] = /^(?:(\d{0,5}):)?(\d{1,5})$/.exec(text) ?? [];
	const ports = { local: Number(local === undefined ? remote : local === '' ? 0 : local), remote: Number(remote) };
	if (remote === undefined || ports.remote < 1 || ports.remote > 0xffff || ports.local > 0xffff)
		throw new Error(`want ports such as 8080:80, :80 or 80, got ${JSON.stringify(text)}`);
	return ports;
}

async function forward(connection: Connection, name: string, ports: readonly Ports[], addresses: string): Promise<number> {
	const sandbox = await findSandbox(connection, name);
	if (sandbox.state !== SANDBOX_READY) throw new Error(`pod ${JSON.stringify(name)} is not running`);
	const stop = new AbortController();
	let exitCode = 0;
	const onSignal = (_name: string, number: number): void => {
		exitCode = 128 + number;
		stop.abort();
	};
	for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, onSignal);
	const servers: Server[] = [];
	const remotes = [...new Set(ports.map(({ remote }) => remote))];
	const { url } = await connection.call('PortForward', { podSandboxId: sandbox.id ?? '', port: remotes });
	const forwarder = await PortForwarder.open(url, stop.signal);
	try {
		for (const { local, remote } of ports) {
			// As kubectl: localhost is both of its addresses, and one of them is enough.
			const hosts = addresses.split(',').flatMap((host) => (host === 'localhost' ? ['127.0.0.1', '::1'] : [host]));
			let port = local;
			const failures: unknown[] = [];
			for (const host of hosts) {
				try {
					const server = await listen(forwarder, host, port, remote);
					servers.push(server);
					port = (server.address() as AddressInfo).port;
					process.stdout.write(`Forwarding from ${isIPv6(host) ? `[${host}]` : host}:${port} -> ${remote}\n`);
				} catch (error) {
					failures.push(error);
				}
			}
			if (failures.length === hosts.length) throw failures[0];
		}
		await forwarder.closed;
		if (!stop.signal.aborted) throw new Error('lost connection to pod');
		return exitCode;
	} finally {
		for (const server of servers) server.close();
		forwarder.close();
		for (const signal of ['SIGINT', 'SIGTERM']) process.off(signal, onSignal);
	}
}

async function listen(forwarder: PortForwarder, host: string, port: number, remote: number): Promise<Server> {
	const server = createServer({ allowHalfOpen: true }, (socket) => {
		process.stdout.write(`Handling connection for ${(server.address() as AddressInfo).port}\n`);
		forwarder.carry(remote, socket).catch((error: Error) => {
			socket.destroy();
			process.stderr.write(`isopod: forward a connection to port ${remote}: ${error.message}\n`);
		});
	});
	await new Promise<void>((resolve, reject) => {
		server.once('error', (error) => reject(HostError.from(`Listen on ${host}:${port}`, error)));
		server.listen(port, host, resolve);
	});
	return server;
}
