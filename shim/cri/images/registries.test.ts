// What the configuration file says of registries and pinned images.

import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import t from 'tap';
import { imageOf, skopeo, startRegistry, tarOf, testFolder, USER, writeLayout } from '../../image/testing.js';
import { IMAGE, ServeBench } from '../server/testing.js';

const folder = testFolder(t);
const registry = await startRegistry(folder, true);
t.teardown(() => registry.stop());
const image = imageOf([await tarOf([{ name: 'a', body: 'x' }])]);
writeLayout(join(folder, 'layout'), { image });
for (const name of ['library/app', 'team/app'])
	skopeo(
		...['copy', '--dest-tls-verify=false', '--dest-creds', `${USER.username}:${USER.password}`],
		...[`oci:${folder}/layout:image`, `docker://${registry.host}/${name}:1`],
	);

const bench = new ServeBench(`
[images]
pinned = ["${IMAGE}", "app:1"]

[images.registries."docker.io"]
mirrors = ["https://${registry.host}"]
url = "http://127.0.0.1:1"

[images.registries."${registry.host}"]
url = "https://${registry.host}"
ca_file = "${folder}/registry.crt"
username = "${USER.username}"
password = "${USER.password}"

[images.registries."other.example"]
url = "https://${registry.host}"
`);
await bench.start();
t.teardown(() => bench.stop());
const { cri } = bench;
const pull = async (name: string): Promise<string> => (await cri.call('PullImage', { image: { image: name } })).imageRef;
const isPinned = async (name: string): Promise<boolean | null | undefined> =>
	(await cri.call('ImageStatus', { image: { image: name } })).image?.pinned;

t.test('a mirror is asked with its own certificate and credentials, and the image has the name that was asked for', async (t) => {
	t.equal(await pull('app:1'), image.configDigest);
	const { image: found } = await cri.call('ImageStatus', { image: { image: image.configDigest } });
	t.same(found?.repoTags, ['docker.io/library/app:1']);
});

t.test('a registry is asked with what the configuration has of it', async (t) => {
	t.equal(await pull(`${registry.host}/team/app:1`), image.configDigest);
	await t.rejects(pull('other.example/team/app:1'), { message: /self-signed certificate/ }, "another name's certificate is not taken");
	await t.rejects(
		pull('none:1'),
		{ code: status.UNKNOWN, message: /ECONNREFUSED/ },
		"the registry's own failure is told, not the mirror's",
	);
});

t.test('pinned images are told as such, and removed when that is asked for', async (t) => {
	t.equal(await isPinned(IMAGE), true);
	t.equal(await isPinned('app:1'), true, 'by its short name');
	await cri.call('RemoveImage', { image: { image: 'app:1' } });
	t.equal(await isPinned('app:1'), undefined);
	await pull(`${registry.host}/team/app:1`);
	t.equal(await isPinned(`${registry.host}/team/app:1`), false, 'the same image by a name that is not pinned');
});
