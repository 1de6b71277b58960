import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { type Header, pack } from 'tar-stream';
import { DOCKER_MANIFEST, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST } from './manifest.js';

/** A folder of a test's own, removed at its end. */
export function testFolder(t: { teardown(action: () => void): void }): string {
	const folder = mkdtempSync(join(tmpdir(), 'isopod-image-'));
	t.teardown(() => rmSync(folder, { recursive: true, force: true }));
	return folder;
}

export function digestOf(bytes: Uint8Array): string {
	return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** An entry of a test's archive: what tar-stream takes, and its contents. */
export type TestEntry = Partial<Header> & { readonly name: string; readonly pax?: Record<string, string>; readonly body?: string | Buffer };

/** A tar archive of entries. */
export async function tarOf(entries: readonly TestEntry[]): Promise<Buffer> {
	const archive = pack();
	for (const { body, ...header } of entries) archive.entry({ mtime: new Date(1_600_000_000_000), ...header }, body ?? '');
	archive.finalize();
	const chunks = [];
	for await (const chunk of archive) chunks.push(chunk as Buffer);
	return Buffer.concat(chunks);
}

export interface TestImage {
	/** All blobs but the manifest, by digest. */
	readonly blobs: ReadonlyMap<string, Buffer>;
	readonly manifest: Buffer;
	readonly mediaType: string;
	readonly configDigest: string;
	readonly layerDigests: readonly string[];
}

/** An image of uncompressed layers. */
export function imageOf(
	layers: readonly Buffer[],
	{ compress = gzipSync as (layer: Buffer) => Buffer, isDocker = false, diffIds = layers.map(digestOf), label = '' } = {},
): TestImage {
	const config = Buffer.from(
		JSON.stringify({
			architecture: 'amd64',
			os: 'linux',
			config: { Env: ['PATH=/bin'], Cmd: ['/bin/sh'], User: '1000:100', Labels: { test: label } },
			rootfs: { type: 'layers', diff_ids: diffIds },
		}),
	);
	const compressed = layers.map((layer) => compress(layer));
	const mediaType = isDocker ? DOCKER_MANIFEST : OCI_MANIFEST;
	const layerType = isDocker ? 'application/vnd.docker.image.rootfs.diff.tar.gzip' : 'application/vnd.oci.image.layer.v1.tar+gzip';
	const configType = isDocker ? 'application/vnd.docker.container.image.v1+json' : OCI_CONFIG;
	const manifest = Buffer.from(
		JSON.stringify({
			schemaVersion: 2,
			mediaType,
			config: { mediaType: configType, digest: digestOf(config), size: config.length },
			layers: compressed.map((layer) => ({ mediaType: layerType, digest: digestOf(layer), size: layer.length })),
		}),
	);
	return {
		blobs: new Map([config, ...compressed].map((blob) => [digestOf(blob), blob])),
		manifest,
		mediaType,
		configDigest: digestOf(config),
		layerDigests: compressed.map(digestOf),
	};
}

export function zstd(layer: Buffer): Buffer {
	return execFileSync('zstd', ['--stdout', '--quiet'], { input: layer, maxBuffer: 1 << 30 });
}

/** Writes images as an OCI layout, by tag. */
export function writeLayout(folder: string, images: Readonly<Record<string, TestImage>>): void {
	const blobs = join(folder, 'blobs/sha256');
	mkdirSync(blobs, { recursive: true });
	const manifests = Object.entries(images).map(([tag, { manifest, mediaType, blobs: all }]) => {
		for (const [digest, bytes] of [...all, [digestOf(manifest), manifest] as const]) writeFileSync(join(blobs, digest.slice(7)), bytes);
		const annotations = { 'org.opencontainers.image.ref.name': tag };
		return { mediaType, digest: digestOf(manifest), size: manifest.length, annotations };
	});
	writeFileSync(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
	writeFileSync(join(folder, 'index.json'), JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }));
}

/** Writes one image as skopeo's `dir:` does: also Docker's manifests, which an OCI layout doesn't hold. */
export function writeFolder(folder: string, { manifest, blobs }: TestImage): void {
	mkdirSync(folder);
	for (const [digest, bytes] of blobs) writeFileSync(join(folder, digest.slice(7)), bytes);
	writeFileSync(join(folder, 'manifest.json'), manifest);
	writeFileSync(join(folder, 'version'), 'Directory Transport Version: 1.1\n');
}

export const USER = { username: 'isopod', password: 'a password' };

/** Debian's docker-registry on a port of loopback, with a user; `hasTls`: with a certificate that `ca` has signed, itself. */
export async function startRegistry(
	folder: string,
	hasTls = false,
): Promise<{ readonly host: string; readonly ca: string; stop(): Promise<void> }> {
	const port = await freePort();
	const [key, certificate] = [join(folder, 'registry.key'), join(folder, 'registry.crt')];
	if (hasTls)
		execFileSync(
			'openssl',
			[
				...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1', '-subj', '/CN=registry'],
				...['-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', certificate],
			],
			{ stdio: 'ignore' },
		);
	// bcrypt, as htpasswd -B makes it, by the C library's crypt(3).
	const hash = execFileSync('perl', ['-e', 'print crypt($ARGV[0], q($2y$05$abcdefghijklmnopqrstuu))', USER.password], { encoding: 'utf8' });
	writeFileSync(join(folder, 'htpasswd'), `${USER.username}:${hash}\n`);
	writeFileSync(
		join(folder, 'registry.yml'),
		JSON.stringify({
			version: '0.1',
			log: { level: 'error' },
			storage: { filesystem: { rootdirectory: join(folder, 'registry') }, delete: { enabled: true } },
			http: { addr: `127.0.0.1:${port}`, secret: 'a secret', ...(hasTls && { tls: { key, certificate } }) },
			auth: { htpasswd: { realm: 'test', path: join(folder, 'htpasswd') } },
		}),
	);
	const child = spawn('docker-registry', ['serve', join(folder, 'registry.yml')], { stdio: 'ignore' });
	const failed = new Promise<never>((_, reject) => child.once('error', reject));
	await Promise.race([untilOpen(port, child), failed]);
	return {
		host: `127.0.0.1:${port}`,
		ca: hasTls ? readFileSync(certificate, 'utf8') : '',
		stop: () =>
			new Promise((resolve) => {
				child.once('exit', () => resolve());
				child.kill('SIGKILL');
			}),
	};
}

async function freePort(): Promise<number> {
	const server = createTcpServer();
	await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
	const { port } = server.address() as AddressInfo;
	await new Promise((resolve) => server.close(resolve));
	return port;
}

async function untilOpen(port: number, child: ChildProcess): Promise<void> {
	while (child.exitCode === null) {
		const isOpen = await new Promise<boolean>((resolve) => {
			const socket = connect(port, '127.0.0.1', () => {
				socket.destroy();
				resolve(true);
			});
			socket.on('error', () => resolve(false));
		});
		if (isOpen) return;
		await sleep(50);
	}
	throw new Error(`docker-registry ended with ${child.exitCode}`);
}

export function skopeo(...args: string[]): string {
	const { status, stdout, stderr } = spawnSync('skopeo', ['--insecure-policy', ...args], { encoding: 'utf8' });
	if (status !== 0) throw new Error(`skopeo ${args.join(' ')}: ${stderr}`);
	return stdout;
}

/** A registry of the test's own making, on loopback. */
export async function serve(
	t: { teardown(action: () => Promise<void>): void },
	listener: RequestListener,
): Promise<{ readonly host: string; readonly requests: IncomingMessage[] }> {
	const requests: IncomingMessage[] = [];
	const server = createServer((request, response) => {
		requests.push(request);
		listener(request, response);
	});
	await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
	t.teardown(async () => {
		server.closeAllConnections();
		await new Promise((resolve) => server.close(resolve));
	});
	return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, requests };
}

/** Answers as a registry does that has one image; `before` may answer instead, by returning true. */
export function imageServer(
	image: TestImage,
	before: (request: IncomingMessage, response: ServerResponse) => boolean = () => false,
): RequestListener {
	return (request, response) => {
		if (before(request, response)) return;
		const [, kind, name] = /\/v2\/.*\/(manifests|blobs)\/(.+)$/.exec(request.url ?? '') ?? [];
		const blob = kind === 'blobs' ? image.blobs.get(name!) : undefined;
		if (kind === 'manifests') response.writeHead(200, { 'content-type': image.mediaType }).end(image.manifest);
		else if (blob !== undefined) {
			const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
			const headers = from > 0 ? { 'content-range': `bytes ${from}-${blob.length - 1}/${blob.length}` } : {};
			response.writeHead(from > 0 ? 206 : 200, { ...headers, 'content-length': blob.length - from }).end(blob.subarray(from));
		} else response.writeHead(404).end('{"errors":[{"code":"NAME_UNKNOWN","message":"no such thing"}]}');
	};
}
