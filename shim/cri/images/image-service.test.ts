// ImageService of a real server, over Debian's docker-registry and registries of the tests' own.

import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { status } from '@grpc/grpc-js';
import t from 'tap';
import {
	imageOf,
	imageServer,
	serve,
	skopeo,
	startRegistry,
	type TestImage,
	tarOf,
	testFolder,
	USER,
	writeLayout,
} from '../../image/testing.js';
import type { cri as messages } from '../methods.js';
import { IMAGE, ServeBench } from '../server/testing.js';
import type { PullState } from './pull-report.js';

const ISOPOD = resolve(import.meta.dirname, '../../../../native/build/isopod');
const PASSWORD = `${USER.username}:${USER.password}`;
const bench = new ServeBench();
await bench.start();
t.teardown(() => bench.stop());
const { cri } = bench;

const pull = async (image: string, auth: messages.AuthConfig.$Properties | null = null): Promise<string> =>
	(await cri.call('PullImage', { image: { image }, auth })).imageRef;
const find = async (image: string): Promise<messages.IImage | null | undefined> =>
	(await cri.call('ImageStatus', { image: { image } })).image;

async function smallImage(label: string): Promise<TestImage> {
	return imageOf([await tarOf([{ name: 'label', body: label }])], { label });
}

t.test("docker-registry with a password: CRI's ways to give it, what is told of the image, removal", async (t) => {
	const folder = testFolder(t);
	const registry = await startRegistry(folder);
	t.teardown(() => registry.stop());
	const image = await smallImage('registry');
	writeLayout(join(folder, 'layout'), { image });
	const name = `${registry.host}/team/image:1`;
	skopeo('copy', '--dest-tls-verify=false', '--dest-creds', PASSWORD, `oci:${folder}/layout:image`, `docker://${name}`);
	await t.rejects(pull(name), { code: status.PERMISSION_DENIED });
	await t.rejects(pull(name, { username: USER.username, password: 'wrong' }), { code: status.PERMISSION_DENIED });
	await t.rejects(pull(name, { auth: Buffer.from(PASSWORD).toString('base64'), serverAddress: 'https://elsewhere.example' }), {
		code: status.PERMISSION_DENIED,
	});
	await t.rejects(pull(`${registry.host}/team/none`, { ...USER }), { code: status.NOT_FOUND });
	await t.rejects(pull('UPPER CASE'), { code: status.INVALID_ARGUMENT });
	await t.rejects(pull(''), { code: status.INVALID_ARGUMENT });
	t.equal(await find(name), null, 'OK without an image');
	const id = await pull(name, { auth: Buffer.from(PASSWORD).toString('base64'), serverAddress: `http://${registry.host}` });
	t.equal(id, image.configDigest);
	t.equal(await pull(name, { ...USER }), id);

	const { image: found, info } = await cri.call('ImageStatus', { image: { image: name }, verbose: true });
	t.match(found, { id, repoTags: [name], username: '', pinned: false });
	t.equal(Number(found?.uid?.value), 1000);
	t.match(found?.repoDigests, [new RegExp(`^${registry.host}/team/image@sha256:`)]);
	t.ok(Number(found?.size) > 0);
	t.match(JSON.parse(info['info']!), { chainID: /^sha256:/, imageSpec: { config: { Env: ['PATH=/bin'], Labels: { test: 'registry' } } } });
	t.equal((await find(id))?.id, id, 'by its id');
	t.equal((await find(id.slice(7, 19)))?.id, id, 'by the beginning of its id');

	const ids = (await cri.call('ListImages', {})).images.map((each) => each.id);
	t.ok(ids.includes(id) && ids.length === 2);
	t.same(
		(await cri.call('ListImages', { filter: { image: { image: name } } })).images.map((each) => each.id),
		[id],
	);
	const streamed = [];
	for await (const { images } of cri.stream('StreamImages', {})) streamed.push(...images.map((each) => each.id));
	t.same(streamed, ids);

	const { imageFilesystems } = await cri.call('ImageFsInfo', {});
	const [usage] = imageFilesystems;
	t.ok(Number(usage?.usedBytes?.value) > 1 << 20 && Number(usage?.inodesUsed?.value) > 10 && Number(usage?.timestamp) > 0);
	t.ok(statSync(usage!.fsId!.mountpoint!).isDirectory());

	for (let time = 0; time < 2; time++) await cri.call('RemoveImage', { image: { image: name } });
	t.equal(await find(id), null);
	t.equal((await find(IMAGE))?.repoTags?.[0], IMAGE, 'the others stay');
});

t.test('an image of 80 layers runs', async (t) => {
	const layers = [];
	for (let layer = 0; layer < 79; layer++)
		layers.push(
			await tarOf([
				{ name: `layer-${layer}`, body: `${layer}` },
				{ name: 'top', body: `${layer}` },
			]),
		);
	const { host } = await serve(t, imageServer(imageOf(layers)));
	const name = `${host}/deep`;
	await pull(name);
	const { podSandboxId } = await cri.call('RunPodSandbox', { config: { metadata: { name: 'deep', uid: 'deep', namespace: 'default' } } });
	t.teardown(() => cri.call('RemovePodSandbox', { podSandboxId }));
	const tools = join(bench.folder, 'tree/bin');
	const { containerId } = await cri.call('CreateContainer', {
		podSandboxId,
		config: {
			metadata: { name: 'deep' },
			image: { image: name },
			command: ['/bin/sleep', '1000'],
			mounts: [{ containerPath: '/bin', hostPath: tools, readonly: true }],
		},
	});
	await cri.call('StartContainer', { containerId });
	const { stdout } = await cri.call('ExecSync', {
		containerId,
		cmd: ['/bin/cat', '/layer-0', '/layer-40', '/layer-78', '/top'],
		timeout: 10,
	});
	t.equal(Buffer.from(stdout).toString(), '0407878');
});

t.test('a pull tells how far it is, the server answers others meanwhile, and it ends with its client', async (t) => {
	const image = imageOf([await tarOf([{ name: 'large', body: randomBytes(4 << 20) }])], { compress: (layer) => layer });
	const [digest = ''] = image.layerDigests;
	const layer = image.blobs.get(digest)!;
	let resume = (): void => undefined;
	const resumed = new Promise<void>((resolve) => {
		resume = resolve;
	});
	let closed = 0;
	const { host } = await serve(
		t,
		imageServer(image, (request, response) => {
			if (!request.url!.endsWith(digest) || request.headers.range !== undefined) return false;
			response.on('close', () => closed++);
			response.writeHead(200, { 'content-length': layer.length });
			response.write(layer.subarray(0, 1 << 20));
			resumed.then(() => response.end(layer.subarray(1 << 20)));
			return true;
		}),
	);
	const name = `${host}/slow:1`;
	const progress = async (): Promise<PullState | null> => {
		const { image, info } = await cri.call('ImageStatus', { image: { image: name }, verbose: true });
		if (image) return null;
		return info['pull'] === undefined ? null : (JSON.parse(info['pull']) as PullState);
	};
	const until = async (isThere: (state: PullState | null) => boolean): Promise<void> => {
		while (!isThere(await progress())) await new Promise((then) => setTimeout(then, 20));
	};
	await t.rejects(cri.call('PullImage', { image: { image: name } }, 500), { code: status.DEADLINE_EXCEEDED });
	await until((state) => state === null);
	t.equal(closed, 1, 'the registry is not asked for more');

	const pulls = [pull(name), pull(name)];
	await until((state) => (state?.blobs.find((blob) => blob.digest === digest)?.offsetBytes ?? 0) >= 1 << 20);
	t.match(await progress(), { totalBytes: layer.length + image.blobs.get(image.configDigest)!.length });
	resume();
	t.same(await Promise.all(pulls), [image.configDigest, image.configDigest]);
	t.equal(await progress(), null);
});

t.test('what is wrong with a layer is told, and the server goes on', async (t) => {
	const outside = imageOf([await tarOf([{ name: '../../escape', body: 'x' }])]);
	const good = await smallImage('good');
	const { host } = await serve(t, (request, response) =>
		imageServer(request.url!.includes('/escape/') ? outside : good)(request, response),
	);
	await t.rejects(pull(`${host}/escape`), { code: status.INVALID_ARGUMENT, details: /escape/ });
	t.equal(await find(`${host}/escape`), null);
	t.equal(await pull(`${host}/good`), good.configDigest);
});

t.test('a second server on the same folders is refused, and told whose they are', async (t) => {
	const args = ['serve', '--listen', `unix://${bench.folder}/other.sock`, '--root', join(bench.folder, 'root')];
	const { status: code, stderr } = spawnSync(ISOPOD, [...args, '--state', join(bench.folder, 'other')], {
		encoding: 'utf8',
		timeout: 20_000,
	});
	t.equal(code, 1);
	t.match(stderr, new RegExp(`${bench.folder}/root.*process ${bench.pid} uses it`));
	t.equal((await find(IMAGE))?.repoTags?.[0], IMAGE, 'the first one goes on');
});
