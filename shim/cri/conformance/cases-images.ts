import assert from 'node:assert/strict';
import { type Case, TEST_IMAGE } from './suite.js';

/** ImageService. Pulls have tests of their own, against a registry. */
export const IMAGE_CASES: readonly Case[] = [
	{
		name: 'ImageStatus has names, size and user of an image, by its name and by its id',
		async run({ cri }) {
			const { image, info } = await cri.call('ImageStatus', { image: { image: TEST_IMAGE }, verbose: true });
			assert.match(image?.id ?? '', /^sha256:[0-9a-f]{64}$/);
			assert.ok(image?.repoTags?.includes(TEST_IMAGE));
			assert.ok(Number(image?.size) > 100_000);
			assert.equal(image?.username, 'app');
			assert.ok(Object.keys(info).length > 0);
			const byId = await cri.call('ImageStatus', { image: { image: image?.id ?? '' } });
			assert.equal(byId.image?.id, image?.id);
		},
	},
	{
		name: 'ImageStatus of an image that is not there has none',
		async run({ cri }) {
			assert.ok((await cri.call('ImageStatus', { image: { image: 'localhost/no-such-image:1' } })).image == null);
		},
	},
	{
		name: 'ListImages lists all, and one by its name',
		async run({ cri }) {
			const { images } = await cri.call('ListImages', {});
			assert.ok(images.some(({ repoTags }) => repoTags?.includes(TEST_IMAGE)));
			assert.equal((await cri.call('ListImages', { filter: { image: { image: TEST_IMAGE } } })).images.length, 1);
			assert.equal((await cri.call('ListImages', { filter: { image: { image: 'localhost/no-such-image:1' } } })).images.length, 0);
		},
	},
	{
		name: 'RemoveImage of an image that is not there is no failure',
		async run({ cri }) {
			await cri.call('RemoveImage', { image: { image: 'localhost/no-such-image:1' } });
		},
	},
	{
		name: 'a container of an image that is not there is refused',
		async run(bench) {
			await assert.rejects((await bench.pod()).create('true', { image: { image: 'localhost/no-such-image:1' } }));
		},
	},
	{
		name: 'PullImage of what no registry has fails',
		async run({ cri }) {
			await assert.rejects(cri.call('PullImage', { image: { image: '127.0.0.1:1/no-such-image:1' } }));
		},
	},
	{
		name: 'ImageFsInfo tells how much images take, and where',
		async run({ cri }) {
			for (let tries = 0; ; tries++) {
				const { imageFilesystems } = await cri.call('ImageFsInfo', {});
				const [first] = imageFilesystems;
				if (Number(first?.usedBytes?.value) > 100_000 && (first?.fsId?.mountpoint ?? '').startsWith('/')) break;
				// It is measured now and then only.
				if (tries > 150) assert.fail(JSON.stringify(first));
				await new Promise((then) => setTimeout(then, 100));
			}
		},
	},
];
