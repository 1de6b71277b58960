import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Session } from './session.js';

/** Debian's kubectl, from its package; not installed, as another one may be. */
export function kubectl(): string {
	const cache = join(
		process.env['ISOPOD_CACHE'] || join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'isopod'),
		'kubernetes-client',
	);
	const program = join(cache, 'usr/bin/kubectl');
	if (existsSync(program)) return program;
	const folder = mkdtempSync(join(tmpdir(), 'isopod-kubectl-'));
	try {
		execFileSync('apt-get', ['-o', 'APT::Sandbox::User=root', 'download', 'kubernetes-client'], { cwd: folder, stdio: 'pipe' });
		const [archive] = readdirSync(folder);
		execFileSync('dpkg', ['-x', join(folder, archive!), join(folder, 'tree')]);
		mkdirSync(join(cache, '..'), { recursive: true });
		execFileSync('cp', ['-a', join(folder, 'tree'), `${cache}.${process.pid}`]);
		if (existsSync(program)) rmSync(`${cache}.${process.pid}`, { recursive: true });
		else renameSync(`${cache}.${process.pid}`, cache);
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
	return program;
}

/** Runs a program of the host for a session. */
export function runOnHost(command: readonly string[]): (session: Session) => Promise<number> {
	return async ({ stdin, stdout, stderr, signal }) => {
		const child = spawn(command[0]!, command.slice(1), { stdio: 'pipe', signal, killSignal: 'SIGKILL' });
		const ended = new Promise<number>((resolve, reject) => {
			child.once('error', reject);
			child.once('close', (code) => resolve(code ?? 255));
		});
		ended.catch(() => undefined);
		if (stdin === null) child.stdin.end();
		else pipeline(stdin, child.stdin).catch(() => undefined);
		const copies = [
			stdout === null ? child.stdout.resume() : pipeline(child.stdout, stdout, { end: false }),
			stderr === null ? child.stderr.resume() : pipeline(child.stderr, stderr, { end: false }),
		];
		await Promise.allSettled(copies);
		return ended;
	};
}

/** What a client of the API server asks of a container: the parameters of its request. */
export interface Asked {
	readonly kind: 'exec' | 'attach' | 'portforward';
	readonly command: readonly string[];
	readonly stdin: boolean;
	readonly stdout: boolean;
	readonly stderr: boolean;
	readonly tty: boolean;
	readonly ports: readonly number[];
}

/** As much of an API server as kubectl needs: one pod, whose exec, attach and port-forward are proxied to the URLs that `urlOf` gives, as kubelet does. */
export async function startApiServer(
	t: { teardown(action: () => Promise<void>): void },
	urlOf: (asked: Asked) => Promise<string> | string,
): Promise<{ readonly url: string }> {
	const server = createServer((request, response) => {
		const { pathname } = new URL(request.url!, 'http://x');
		const value = objects[pathname];
		response.writeHead(value === undefined ? 404 : 200, { 'content-type': 'application/json' });
		response.end(JSON.stringify(value ?? { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'NotFound', code: 404 }));
	});
	const sockets = new Set<Duplex>();
	server.on('upgrade', (request: IncomingMessage, client: Duplex, head: Buffer) => {
		sockets.add(client);
		void proxy(request, client, head).catch(() => client.destroy());
	});
	const proxy = async (request: IncomingMessage, client: Duplex, head: Buffer): Promise<void> => {
		const { pathname, searchParams } = new URL(request.url!, 'http://x');
		const is = (name: string): boolean => ['1', 'true'].includes(searchParams.get(name) ?? '');
		const target = new URL(
			await urlOf({
				kind: pathname.split('/').at(-1) as Asked['kind'],
				command: searchParams.getAll('command'),
				stdin: is('stdin'),
				stdout: is('stdout'),
				stderr: is('stderr') && !is('tty'),
				tty: is('tty'),
				ports: searchParams.getAll('ports').map(Number),
			}),
		);
		const upstream = connect(Number(target.port), target.hostname, () => {
			const lines = [`${request.method} ${target.pathname} HTTP/1.1`];
			for (let at = 0; at < request.rawHeaders.length; at += 2) lines.push(`${request.rawHeaders[at]}: ${request.rawHeaders[at + 1]}`);
			upstream.write(`${lines.join('\r\n')}\r\n\r\n`);
			upstream.write(head);
			client.pipe(upstream).pipe(client);
		});
		for (const socket of [client, upstream]) {
			socket.on('error', () => undefined);
			socket.on('close', () => {
				client.destroy();
				upstream.destroy();
			});
		}
	};
	await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
	t.teardown(async () => {
		for (const socket of sockets) socket.destroy();
		server.closeAllConnections();
		await new Promise((resolve) => server.close(resolve));
	});
	return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

const objects: Readonly<Record<string, object>> = {
	'/api': { kind: 'APIVersions', versions: ['v1'] },
	'/apis': { kind: 'APIGroupList', apiVersion: 'v1', groups: [] },
	'/api/v1': {
		kind: 'APIResourceList',
		groupVersion: 'v1',
		resources: [{ name: 'pods', singularName: 'pod', namespaced: true, kind: 'Pod', verbs: ['get', 'list', 'create'], shortNames: ['po'] }],
	},
	'/api/v1/namespaces/default/pods/test': {
		kind: 'Pod',
		apiVersion: 'v1',
		metadata: { name: 'test', namespace: 'default', uid: '1' },
		spec: { containers: [{ name: 'main', image: 'none', stdin: true, tty: false }] },
		status: { phase: 'Running', containerStatuses: [{ name: 'main', ready: true, state: { running: {} } }] },
	},
};

/** How a program of the host's ended. */
export interface Ended {
	readonly code: number;
	readonly stdout: Buffer;
	readonly stderr: string;
}

/** kubectl for one API server. */
export interface Kubectl {
	/** Its arguments, before those of a command. */
	args(...args: string[]): string[];
	/** Runs it to its end; `input` null: stdin is /dev/null. */
	run(input: string | Buffer | null, ...args: string[]): Promise<Ended>;
}

/** `folder` is for its files. */
export function kubectlTo(url: string, folder: string): Kubectl {
	writeFileSync(join(folder, 'config'), '');
	const args = (...more: string[]): string[] => [
		`--server=${url}`,
		`--kubeconfig=${folder}/config`,
		`--cache-dir=${folder}/cache`,
		...more,
	];
	return {
		args,
		run: (input, ...more) =>
			new Promise((resolve, reject) => {
				const child = spawn(kubectl(), args(...more), { stdio: [input === null ? 'ignore' : 'pipe', 'pipe', 'pipe'] });
				const output: Buffer[] = [];
				let stderr = '';
				child.stdout!.on('data', (chunk: Buffer) => output.push(chunk));
				child.stderr!.setEncoding('utf8').on('data', (text: string) => {
					stderr += text;
				});
				child.once('error', reject);
				child.once('close', (code) => resolve({ code: code ?? -1, stdout: Buffer.concat(output), stderr }));
				child.stdin?.on('error', () => undefined);
				child.stdin?.end(input);
			}),
	};
}
