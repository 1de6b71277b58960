import { type ChildProcess, type StdioOptions, spawn, spawnSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'tap';
import type { PullProgress } from './image-store.js';
import { ImageStore } from './image-store.js';
import {
	digestOf,
	imageOf,
	imageServer,
	serve,
	skopeo,
	startRegistry,
	type TestImage,
	tarOf,
	testFolder,
	USER,
	writeFolder,
	writeLayout,
	zstd,
} from './testing.js';

const ROOTFS = resolve(import.meta.dirname, '../../../.isopod/rootfs/base');
const CREDENTIALS = `${USER.username}:${USER.password}`;
const FAST = { registry: { attempts: 3, backOffMs: 10, idleMs: 5000 } };

/** What Debian's packages put below some folders of the base tree, and a layer that removes and adds. */
async function debianImage(options: Parameters<typeof imageOf>[1] = {}): Promise<TestImage> {
	const { status, stdout, stderr } = spawnSync(
		'tar',
		['-C', `${ROOTFS}/`, '--format=posix', '-c', './etc', './bin', './usr/bin/busybox', './usr/lib/os-release'],
		{
			maxBuffer: 1 << 28,
		},
	);
	if (status !== 0) throw new Error(`tar: ${stderr}`);
	const second = await tarOf([
		{ name: 'etc/.wh.passwd', body: '' },
		{ name: 'etc/isopod', body: 'second layer' },
	]);
	return imageOf([stdout, second], options);
}

async function openStore(folder: string, options: Parameters<typeof ImageStore.open>[1] = FAST): Promise<ImageStore> {
	return ImageStore.open(join(folder, 'store'), options);
}

/** Runs a module's text in a process of its own. */
function startScript(script: string, stdio: StdioOptions): ChildProcess {
	// Its first argument stands for a file of the package.
	return spawn(process.execPath, ['--input-type=module', '-e', script, '--', import.meta.filename], {
		stdio,
		cwd: resolve(import.meta.dirname, '../../..'),
		env: { ...process.env, ISOPOD_ADDON: resolve(import.meta.dirname, '../../../build/Release/isopod.node') },
	});
}

test("pull from Debian's docker-registry with a password, by skopeo put there; mount; export to skopeo; remove", async (t) => {
	const folder = testFolder(t);
	const registry = await startRegistry(folder);
	t.teardown(() => registry.stop());
	const image = await debianImage();
	const docker = await debianImage({ isDocker: true, label: 'docker' });
	const packed = await debianImage({ compress: zstd, label: 'zstd' });
	writeLayout(join(folder, 'layout'), { oci: image, zstd: packed });
	writeFolder(join(folder, 'docker'), docker);
	const push = (from: string, tag: string): string =>
		skopeo('copy', '--dest-tls-verify=false', '--dest-creds', CREDENTIALS, from, `docker://${registry.host}/debian/${tag}:1`);
	for (const tag of ['oci', 'zstd']) push(`oci:${folder}/layout:${tag}`, tag);
	push(`dir:${folder}/docker`, 'docker');
	let store = await openStore(folder);
	const name = `${registry.host}/debian/oci:1`;
	await t.rejects(store.pull(name), { code: 'EACCES' }, 'no password');
	await t.rejects(store.pull(name, { credentials: { ...USER, password: 'wrong' } }), { code: 'EACCES' }, 'a wrong password');
	await t.rejects(
		store.pull(name, { credentials: { ...USER, serverAddress: 'elsewhere.example' } }),
		{ code: 'EACCES' },
		"another registry's password",
	);
	await t.rejects(store.pull(`${registry.host}/debian/none:1`, { credentials: USER }), { code: 'ENOENT' });
	t.strictSame(await store.list(), []);

	const progress: PullProgress[] = [];
	const id = await store.pull(name, {
		credentials: { auth: Buffer.from(CREDENTIALS).toString('base64') },
		onProgress: (step) => progress.push(step),
	});
	t.equal(id, image.configDigest);
	for (const digest of image.layerDigests)
		t.strictSame(
			['fetched', 'unpacking', 'done'].filter((state) => progress.some((step) => step.digest === digest && step.state === state)),
			['fetched', 'unpacking', 'done'],
		);
	const status = await store.status(name);
	t.match(status, {
		id,
		repoTags: [name],
		repoDigests: [`${registry.host}/debian/oci@${digestOf(image.manifest)}`],
		config: { config: { user: '1000:100' } },
	});
	t.equal((await store.status(id))?.id, id);
	t.equal((await store.status(id.slice(7, 30)))?.id, id);
	t.equal(await store.status('debian:none'), null);
	t.equal(await store.pull(`${registry.host}/debian/docker:1`, { credentials: USER }), docker.configDigest);
	t.equal(await store.pull(`${registry.host}/debian/zstd@${digestOf(packed.manifest)}`, { credentials: USER }), packed.configDigest);
	t.equal(store.snapshots.listLayers().length, 2, 'the same layers are unpacked once');

	await store.prepare('one', name);
	await store.prepare('one', name);
	const merged = join(folder, 'merged');
	mkdirSync(merged);
	await store.snapshots.mount('one', merged);
	try {
		t.notOk(existsSync(join(merged, 'etc/passwd')));
		t.equal(readFileSync(join(merged, 'etc/isopod'), 'utf8'), 'second layer');
		t.equal(spawnSync('chroot', [merged, '/usr/bin/busybox', 'cat', '/etc/debian_version']).status, 0);
		writeFileSync(join(merged, 'written'), 'x');
	} finally {
		store.snapshots.unmount(merged);
	}

	const archive = join(folder, 'archive.tar');
	const chunks = [];
	for await (const chunk of store.export(name)) chunks.push(chunk);
	writeFileSync(archive, Buffer.concat(chunks));
	const inspected = JSON.parse(skopeo('inspect', '--raw', `oci-archive:${archive}`)) as { config: { digest: string } };
	t.equal(inspected.config.digest, image.configDigest);
	skopeo('copy', `oci-archive:${archive}`, `dir:${folder}/out`);
	for (const digest of [...image.layerDigests, image.configDigest])
		t.equal(digestOf(readFileSync(join(folder, 'out', digest.slice(7)))), digest);
	skopeo('copy', `docker-archive:${archive}`, `docker-archive:${folder}/saved.tar:isopod/saved:2`);

	const other = await ImageStore.open(join(folder, 'other'), FAST);
	t.strictSame(await other.import(Readable.from(chunks)), [id]);
	t.equal((await other.status(name))?.id, id);
	const [saved] = await other.import(Readable.from([readFileSync(join(folder, 'saved.tar'))]));
	t.equal((await other.status('isopod/saved:2'))?.id, saved);
	t.equal(other.snapshots.listLayers().length, 2);

	const images = await store.list();
	await store.close();
	await t.rejects(store.pull(name), { code: 'EBADF' }, 'a closed store');
	store = await openStore(folder);
	t.strictSame(await store.list(), images);
	const before = await store.usage();
	await store.remove(name);
	t.equal(await store.status(id), null);
	t.equal((await store.list()).length, 2);
	await store.remove(docker.configDigest);
	await store.remove(`${registry.host}/debian/zstd@${digestOf(packed.manifest)}`);
	await store.remove('never/there');
	t.strictSame(await store.list(), []);
	t.equal(store.snapshots.listLayers().length, 2, 'the snapshot keeps its layers');
	await store.snapshots.remove('one');
	await store.collect();
	t.strictSame(await store.usage(), { usedBytes: 0, inodes: 0 });
	t.ok(before.usedBytes > 1 << 20);
	t.strictSame(readdirSync(join(folder, 'store/snapshots/layers')), []);
});

test('a registry with TLS and a password: its certificate is checked', async (t) => {
	const folder = testFolder(t);
	const registry = await startRegistry(folder, true);
	t.teardown(() => registry.stop());
	const image = imageOf([await tarOf([{ name: 'a', body: 'x' }])]);
	writeLayout(join(folder, 'layout'), { image });
	const name = `${registry.host}/secret:1`;
	skopeo('copy', '--dest-tls-verify=false', '--dest-creds', CREDENTIALS, `oci:${folder}/layout:image`, `docker://${name}`);
	const url = `https://${registry.host}`;
	const storeWith = (settings: object): Promise<ImageStore> =>
		ImageStore.open(join(folder, `store-${stores++}`), {
			registry: { ...FAST.registry, registries: { [registry.host]: { url, ...settings } } },
		});
	let stores = 0;
	await t.rejects((await storeWith({})).pull(name, { credentials: USER }), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
	await t.rejects((await storeWith({ ca: registry.ca })).pull(name), { code: 'EACCES' });
	t.equal(await (await storeWith({ ca: registry.ca })).pull(name, { credentials: USER }), image.configDigest);
	t.equal(
		await (await storeWith({ ca: registry.ca, credentials: USER })).pull(name),
		image.configDigest,
		"the configuration's credentials",
	);
});

test('a tag that has two names is removed by one; a tag that moves leaves the old image without it', async (t) => {
	const image = imageOf([await tarOf([{ name: 'a', body: 'one' }])]);
	const moved = imageOf([await tarOf([{ name: 'a', body: 'two' }])]);
	let served = image;
	const { host } = await serve(t, (request, response) => imageServer(served)(request, response));
	const store = await openStore(testFolder(t));
	const id = await store.pull(`${host}/x:1`);
	t.equal(await store.pull(`${host}/x:2`), id);
	t.strictSame((await store.status(id))?.repoTags, [`${host}/x:1`, `${host}/x:2`]);
	await store.remove(`${host}/x:1`);
	t.equal(await store.status(`${host}/x:2`), null);
	await store.pull(`${host}/x:1`);
	served = moved;
	await store.pull(`${host}/x:1`);
	t.strictSame((await store.status(id))?.repoTags, []);
	t.equal((await store.status(`${host}/x:1`))?.id, moved.configDigest);
	await store.pin(id, true);
	t.equal((await store.status(id))?.isPinned, true);
});

test('an index: the platform is picked; a wrong one is ENOENT', async (t) => {
	const image = imageOf([await tarOf([{ name: 'a', body: 'x' }])]);
	const entry = (architecture: string, variant?: string): object => ({
		mediaType: image.mediaType,
		digest:
			architecture === 'amd64' && variant === undefined ? digestOf(image.manifest) : digestOf(Buffer.from(`${architecture}${variant}`)),
		size: image.manifest.length,
		platform: { os: 'linux', architecture, ...(variant !== undefined && { variant }) },
	});
	const index = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [entry('arm64', 'v8'), entry('amd64', 'v3'), entry('amd64')] }));
	const { host } = await serve(
		t,
		imageServer(image, (request, response) => {
			if (!request.url?.endsWith('/manifests/many')) return false;
			response.writeHead(200, { 'content-type': 'application/vnd.oci.image.index.v1+json' }).end(index);
			return true;
		}),
	);
	const folder = testFolder(t);
	const store = await openStore(folder);
	t.equal(await store.pull(`${host}/x:many`), image.configDigest);
	t.strictSame((await store.status(`${host}/x:many`))?.repoDigests, [`${host}/x@${digestOf(index)}`]);
	const foreign = await ImageStore.open(join(folder, 'foreign'), { ...FAST, platform: { os: 'linux', architecture: 's390x' } });
	await t.rejects(foreign.pull(`${host}/x:many`), { code: 'ENOENT' });
});

test('bearer tokens, redirects without the token, mirrors', async (t) => {
	const image = imageOf([await tarOf([{ name: 'a', body: 'x' }])]);
	const cdn = await serve(t, (request, response) => {
		const blob = image.blobs.get(`/${request.url}`.split('/').at(-1)!);
		response.writeHead(blob === undefined || request.headers.authorization !== undefined ? 400 : 200).end(blob);
	});
	const tokens = await serve(t, (request, response) => {
		const isUser = request.headers.authorization === `Basic ${Buffer.from(CREDENTIALS).toString('base64')}`;
		const scope = new URL(request.url!, 'http://x').searchParams.get('scope');
		if (isUser && scope === 'repository:x/y:pull') response.end('{"access_token":"the-token"}');
		else response.writeHead(401).end();
	});
	const main = await serve(
		t,
		imageServer(image, (request, response) => {
			if (request.headers.authorization !== 'Bearer the-token') {
				response
					.writeHead(401, { 'www-authenticate': `Bearer realm="http://${tokens.host}/token",service="s",scope="repository:x/y:pull"` })
					.end();
				return true;
			}
			if (!request.url!.includes('/blobs/')) return false;
			response.writeHead(307, { location: `http://${cdn.host}/${request.url!.split('/').at(-1)}` }).end();
			return true;
		}),
	);
	const folder = testFolder(t);
	const store = await openStore(folder);
	await t.rejects(store.pull(`${main.host}/x/y`), { code: 'EACCES' });
	t.equal(await store.pull(`${main.host}/x/y`, { credentials: USER }), image.configDigest);
	t.ok(cdn.requests.length > 0);
	t.ok(cdn.requests.every(({ headers }) => headers.authorization === undefined));
	await t.rejects(store.pull(`${main.host}/x/y`, { credentials: { registryToken: 'another' } }), { code: 'EACCES' });

	const broken = await serve(t, (_, response) => response.writeHead(404).end());
	const mirror = await serve(t, imageServer(image));
	const mirrored = await ImageStore.open(join(folder, 'mirrored'), {
		registry: {
			...FAST.registry,
			registries: { 'docker.io': { url: 'http://127.0.0.1:1', mirrors: [`http://${broken.host}`, `http://${mirror.host}`] } },
		},
	});
	t.equal(await mirrored.pull('debian', { credentials: USER }), image.configDigest);
	t.ok(
		mirror.requests.every(({ headers }) => headers.authorization === undefined),
		"the registry's password is not for mirrors",
	);
	t.match((await mirrored.status('debian'))?.repoTags, ['docker.io/library/debian:latest']);
});

test('a registry that breaks off, is overloaded, or ignores ranges is asked again and the rest is fetched', async (t) => {
	const { randomBytes } = await import('node:crypto');
	const image = imageOf([await tarOf([{ name: 'a', body: randomBytes(1 << 20) }])]);
	const layer = image.blobs.get(image.layerDigests[0]!)!;
	const ranges: (string | undefined)[] = [];
	let requests = 0;
	const { host } = await serve(
		t,
		imageServer(image, (request, response) => {
			if (++requests === 1) {
				response.writeHead(503, { 'retry-after': '0' }).end();
				return true;
			}
			if (!request.url!.endsWith(image.layerDigests[0]!)) return false;
			ranges.push(request.headers.range);
			if (ranges.length > 2) return false;
			const from = Number(/\d+/.exec(request.headers.range ?? '0')![0]);
			response.writeHead(from > 0 ? 206 : 200, {
				'content-length': layer.length - from,
				'content-range': `bytes ${from}-${layer.length - 1}/${layer.length}`,
			});
			response.write(layer.subarray(from, from + 300_000), () => setTimeout(() => response.destroy(), 50));
			return true;
		}),
	);
	const store = await openStore(testFolder(t));
	t.equal(await store.pull(`${host}/x`), image.configDigest);
	t.equal(ranges.length, 3);
	t.equal(ranges[0], undefined);
	t.ok(
		ranges.slice(1).every((range) => /^bytes=[1-9]\d+-$/.test(range ?? '')),
		ranges.join(),
	);
});

test('what is not as its digest says is refused and nothing of it stays', async (t) => {
	const layer = await tarOf([{ name: 'a', body: 'x'.repeat(10_000) }]);
	const image = imageOf([layer]);
	const digest = image.layerDigests[0]!;
	const blob = image.blobs.get(digest)!;
	const other = Buffer.from(blob);
	other[20]! ^= 1;
	const cases: Readonly<Record<string, readonly [TestImage, string]>> = {
		'other bytes': [{ ...image, blobs: new Map([...image.blobs, [digest, other]]) }, 'EBADMSG'],
		'more bytes': [{ ...image, blobs: new Map([...image.blobs, [digest, Buffer.concat([blob, blob])]]) }, 'EBADMSG'],
		'fewer bytes': [{ ...image, blobs: new Map([...image.blobs, [digest, blob.subarray(0, 50)]]) }, 'EPIPE'],
		'another diff_id': [imageOf([layer], { diffIds: [digestOf(Buffer.from('another'))] }), 'EBADMSG'],
		'more layers than diff_ids': [imageOf([layer], { diffIds: [] }), 'EINVAL'],
		'a truncated layer': [imageOf([layer.subarray(0, 1000)]), 'EBADMSG'],
		'no JSON': [{ ...image, manifest: Buffer.from('<html>') }, 'EINVAL'],
		'a huge manifest': [{ ...image, manifest: Buffer.alloc(5 << 20, ' ') }, 'EFBIG'],
		'a manifest and an index at once': [{ ...image, manifest: Buffer.from('{"schemaVersion":2,"manifests":[],"layers":[]}') }, 'EINVAL'],
		'a bad digest': [{ ...image, manifest: Buffer.from(image.manifest.toString().replace(digest, 'sha256:../../etc/passwd')) }, 'EINVAL'],
	};
	for (const [what, [bad, code]] of Object.entries(cases)) {
		const { host } = await serve(t, imageServer(bad));
		const store = await openStore(testFolder(t));
		await t.rejects(store.pull(`${host}/x`), { code }, what);
		t.strictSame(await store.list(), []);
		t.strictSame(store.snapshots.listLayers(), []);
		await store.collect();
		t.strictSame(await store.usage(), { usedBytes: 0, inodes: 0 });
	}
});

test('kill -9 during a pull: the next one goes on with what is there', async (t) => {
	const { randomBytes } = await import('node:crypto');
	const image = imageOf([await tarOf([{ name: 'big', body: randomBytes(8 << 20) }]), await tarOf([{ name: 'small', body: 'x' }])]);
	const layer = image.blobs.get(image.layerDigests[0]!)!;
	let isSlow = true;
	let sent: (() => void) | null = null;
	const half = new Promise<void>((resolve) => {
		sent = resolve;
	});
	const { host, requests } = await serve(
		t,
		imageServer(image, (request, response) => {
			if (!isSlow || !request.url!.endsWith(image.layerDigests[0]!)) return false;
			response.writeHead(200, { 'content-length': layer.length });
			response.write(layer.subarray(0, 4 << 20), () => setTimeout(() => sent!(), 200));
			return true;
		}),
	);
	const folder = testFolder(t);
	const script = `const { ImageStore } = await import(${JSON.stringify(join(import.meta.dirname, 'image-store.js'))});
		await (await ImageStore.open(${JSON.stringify(join(folder, 'store'))})).pull(${JSON.stringify(`${host}/x`)});`;
	const child = startScript(script, 'ignore');
	await half;
	child.kill('SIGKILL');
	await new Promise((done) => child.once('exit', done));
	const part = join(folder, 'store/content/ingest', image.layerDigests[0]!.replace(':', '-'));
	t.ok(lstatSync(part).size > 0);
	isSlow = false;
	const store = await openStore(folder);
	t.strictSame(await store.list(), []);
	t.equal(await store.pull(`${host}/x`), image.configDigest);
	t.match(requests.at(-1)?.headers.range ?? requests.find(({ headers }) => headers.range !== undefined)?.headers.range, /^bytes=\d+-$/);
	t.notOk(existsSync(part));
});

test('kill -9 while a layer is unpacked: its process ends, too, and the next store begins anew', async (t) => {
	const image = imageOf([await tarOf([{ name: 'zeros', body: Buffer.alloc(400 << 20) }])]);
	const { host } = await serve(t, imageServer(image));
	const folder = testFolder(t);
	const script = `const { ImageStore } = await import(${JSON.stringify(join(import.meta.dirname, 'image-store.js'))});
		await (await ImageStore.open(${JSON.stringify(join(folder, 'store'))})).pull(${JSON.stringify(`${host}/x`)});`;
	const child = startScript(script, 'inherit');
	const layers = join(folder, 'store/snapshots/layers');
	while (!existsSync(join(layers, '.1/fs/zeros'))) await new Promise((then) => setTimeout(then, 10));
	const unpacker = (): boolean => spawnSync('pgrep', ['--full', `unpack-start.cjs.*${folder}`]).status === 0;
	t.ok(unpacker());
	child.kill('SIGKILL');
	await new Promise((done) => child.once('exit', done));
	for (let tries = 0; unpacker() && tries < 100; tries++) await new Promise((then) => setTimeout(then, 10));
	t.notOk(unpacker());
	const store = await openStore(folder);
	t.strictSame(readdirSync(layers), []);
	t.equal(await store.pull(`${host}/x`), image.configDigest);
	t.strictSame(readdirSync(layers), ['1']);
});

test('blobs that the disk has changed: the other images are there, and a pull mends this one', async (t) => {
	const [image, other] = [imageOf([await tarOf([{ name: 'a', body: 'one' }])]), imageOf([await tarOf([{ name: 'a', body: 'two' }])])];
	const { host } = await serve(t, (request, response) => imageServer(request.url!.includes('/other/') ? other : image)(request, response));
	const folder = testFolder(t);
	const spoil = (digest: string): void => {
		const file = join(folder, 'store/content/blobs/sha256', digest.slice(7));
		writeFileSync(file, readFileSync(file).fill(0x20, 0, 40));
	};
	for (const digest of [digestOf(image.manifest), image.configDigest]) {
		let store = await openStore(folder);
		for (const name of ['x', 'other']) await store.pull(`${host}/${name}`);
		await store.close();
		spoil(digest);
		store = await openStore(folder);
		t.strictSame(
			(await store.list()).map(({ id }) => id),
			[other.configDigest],
		);
		t.equal(await store.status(`${host}/x`), null);
		await store.collect();
		t.equal(await store.pull(`${host}/x`), image.configDigest);
		t.equal((await store.list()).length, 2);
		await store.remove(`${host}/x`);
		t.equal((await store.list()).length, 1);
		await store.close();
	}
	let store = await openStore(folder);
	await store.pull(`${host}/x`);
	await store.close();
	spoil(image.layerDigests[0]!);
	rmSync(join(folder, 'store/snapshots/layers'), { recursive: true });
	store = await openStore(folder);
	await t.rejects(store.pull(`${host}/x`), { code: 'EBADMSG' });
	t.equal(await store.pull(`${host}/x`), image.configDigest, 'a layer, too');
	await store.close();
});

test('a folder has one store: another process is told whose it is, and gets it when that one is dead', async (t) => {
	const folder = testFolder(t);
	const script = `const { ImageStore } = await import(${JSON.stringify(join(import.meta.dirname, 'image-store.js'))});
		await ImageStore.open(${JSON.stringify(join(folder, 'store'))});
		process.stdout.write('open');
		setInterval(() => {}, 1000);`;
	const child = startScript(script, ['ignore', 'pipe', 'inherit']);
	await new Promise((done) => child.stdout!.once('data', done));
	await t.rejects(openStore(folder), { code: 'EBUSY', message: new RegExp(`process ${child.pid} uses it`) });
	child.kill('SIGKILL');
	await new Promise((done) => child.once('exit', done));
	const store = await openStore(folder);
	await t.rejects(openStore(folder), { code: 'EBUSY', message: new RegExp(`process ${process.pid} uses it`) }, 'also of the same process');
	await store.close();
	await (await openStore(folder)).close();
});

test('a full disk: the pull says ENOSPC, the images that are there stay, and there is room again', async (t) => {
	const { randomBytes } = await import('node:crypto');
	const small = imageOf([await tarOf([{ name: 'a', body: 'x' }])]);
	const large = imageOf([await tarOf([{ name: 'b', body: randomBytes(12 << 20) }])]);
	const bomb = imageOf([await tarOf([{ name: 'c', body: Buffer.alloc(24 << 20) }])]);
	const { host } = await serve(t, (request, response) => {
		const name = /^\/v2\/(\w+)\//.exec(request.url!)![1];
		imageServer(name === 'small' ? small : name === 'large' ? large : bomb)(request, response);
	});
	const folder = testFolder(t);
	const store = join(folder, 'store');
	mkdirSync(store);
	spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'isopod-test', store]);
	t.teardown(() => spawnSync('umount', ['-l', store]));
	const images = await openStore(folder);
	await images.pull(`${host}/small`);
	for (const name of ['large', 'bomb']) {
		await t.rejects(images.pull(`${host}/${name}`), { code: 'ENOSPC' }, name);
		t.strictSame(
			(await images.list()).map(({ id }) => id),
			[small.configDigest],
		);
		await images.collect();
		writeFileSync(join(store, 'room'), Buffer.alloc(4 << 20));
		writeFileSync(join(store, 'room'), '');
	}
	await images.close();
	const again = await openStore(folder);
	t.equal((await again.list()).length, 1);
	t.equal(await again.pull(`${host}/small`), small.configDigest);
});
