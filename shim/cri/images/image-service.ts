import type { runtime } from '../../../proto/generated/cri.js';
import type { Image, ImageStore } from '../../image/image-store.js';
import type { Credentials } from '../../image/registry-auth.js';
import { invalid } from '../server/cri-error.js';
import type { Methods } from '../server/grpc-server.js';

/** CRI's ImageService over an image store whose folder is `root`. */
export function imageService(images: ImageStore, root: string): Methods<'ImageService'> {
	return {
		ListImages: async ({ filter }) => {
			const wanted = filter?.image?.image;
			const found = wanted ? [await images.status(wanted)] : await images.list();
			return { images: found.flatMap((image) => (image === null ? [] : [describe(image)])) };
		},

		ImageStatus: async ({ image: spec, verbose }) => {
			const image = await images.status(nameOf(spec));
			if (image === null) return {};
			return { image: describe(image), info: verbose ? { info: JSON.stringify({ chainID: image.chainId, imageSpec: image.config }) } : {} };
		},

		PullImage: async ({ image, auth }) => ({ imageRef: await images.pull(nameOf(image), { ...credentials(auth) }) }),

		RemoveImage: async ({ image }) => {
			await images.remove(nameOf(image));
			return {};
		},

		ImageFsInfo: async () => {
			const { usedBytes, inodes } = await images.usage();
			const usage = {
				timestamp: Date.now() * 1_000_000,
				fsId: { mountpoint: root },
				usedBytes: { value: usedBytes },
				inodesUsed: { value: inodes },
			};
			return { imageFilesystems: [usage], containerFilesystems: [usage] };
		},
	};
}

function nameOf(spec: runtime.v1.ImageSpec.$Properties | null | undefined): string {
	if (!spec?.image) throw invalid('the image has no name');
	return spec.image;
}

function describe({ id, repoTags, repoDigests, sizeBytes, config, isPinned }: Image): runtime.v1.Image.$Properties {
	const [user = ''] = config.config.user.split(':', 1);
	return {
		id,
		repoTags: [...repoTags],
		repoDigests: [...repoDigests],
		size: sizeBytes,
		pinned: isPinned,
		...(/^\d+$/.test(user) ? { uid: { value: Number(user) } } : { username: user }),
	};
}

/** What kubelet found in a pod's pull secrets: what is '' was not given. */
function credentials(auth: runtime.v1.AuthConfig.$Properties | null | undefined): { credentials?: Credentials } {
	const given = Object.entries(auth ?? {}).filter(([, value]) => typeof value === 'string' && value !== '');
	return given.length === 0 ? {} : { credentials: Object.fromEntries(given) as Credentials };
}
