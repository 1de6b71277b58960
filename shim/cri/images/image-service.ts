import type { Image, ImageStore } from '../../image/image-store.js';
import { formatReference, parseReference } from '../../image/reference.js';
import type { Credentials } from '../../image/registry-auth.js';
import type { cri } from '../methods.js';
import { invalid } from '../server/cri-error.js';
import type { Methods } from '../server/grpc-server.js';
import { PullReport } from './pull-report.js';

export interface ImageServiceOptions {
	/** The images' folder: the file system that ImageFsInfo tells of. */
	readonly root: string;
	/** Names of images that kubelet's garbage collection is to leave alone. */
	readonly pinned?: readonly string[];
}

/** Images in one message of StreamImages. */
const STREAM_BATCH = 100;

/** CRI's ImageService over an image store. */
export function imageService(images: ImageStore, { root, pinned = [] }: ImageServiceOptions): Methods<'ImageService'> {
	const pinnedNames = new Set(pinned.map(fullName));
	/** Pulls that go on, by name. */
	const pulls = new Map<string, PullReport>();

	const describe = (image: Image): cri.Image.$Properties => ({
		id: image.id,
		repoTags: [...image.repoTags],
		repoDigests: [...image.repoDigests],
		size: image.sizeBytes,
		pinned: image.isPinned || [...image.repoTags, ...image.repoDigests].some((name) => pinnedNames.has(name)),
		...userOf(image.config.config.user),
	});

	const list = async (filter: cri.ImageFilter.$Properties | null | undefined): Promise<cri.Image.$Properties[]> => {
		const wanted = filter?.image?.image;
		const found = wanted ? [await images.status(wanted)] : await images.list();
		return found.flatMap((image) => (image === null ? [] : [describe(image)]));
	};

	return {
		ListImages: async ({ filter }) => ({ images: await list(filter) }),

		StreamImages: async function* ({ filter }) {
			const all = await list(filter);
			for (let at = 0; at < all.length; at += STREAM_BATCH) yield { images: all.slice(at, at + STREAM_BATCH) };
		},

		// Of an image that is being pulled verbose `info` has how far that is, as CRI has no other place for it: `pull`, a PullState in JSON.
		ImageStatus: async ({ image: spec, verbose }) => {
			const name = nameOf(spec);
			const image = await images.status(name);
			const pull = verbose ? pulls.get(fullName(name)) : undefined;
			return {
				...(image !== null && { image: describe(image) }),
				info: {
					...(verbose && image !== null && { info: await detailsOf(images, image) }),
					...(pull !== undefined && { pull: JSON.stringify(pull.state()) }),
				},
			};
		},

		PullImage: async ({ image, auth }, signal) => {
			const name = nameOf(image);
			const key = fullName(name);
			const report = pulls.get(key) ?? new PullReport();
			report.users++;
			pulls.set(key, report);
			try {
				const onProgress = report.add.bind(report);
				return { imageRef: await images.pull(name, { ...credentials(auth), onProgress, signal }) };
			} finally {
				if (--report.users === 0) pulls.delete(key);
			}
		},

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

function nameOf(spec: cri.ImageSpec.$Properties | null | undefined): string {
	if (!spec?.image) throw invalid('the image has no name');
	return spec.image;
}

function fullName(name: string): string {
	return formatReference(parseReference(name));
}

/** Who its programs run as by default: a number or a name, never both; neither is root. */
function userOf(user: string): { readonly uid?: { readonly value: number }; readonly username?: string } {
	const [name = ''] = user.split(':', 1);
	if (name === '') return {};
	return /^\d{1,10}$/.test(name) ? { uid: { value: Number(name) } } : { username: name };
}

/** What containerd tells of an image: its chain id, and its configuration as it came. */
async function detailsOf(images: ImageStore, { id, chainId }: Image): Promise<string> {
	return JSON.stringify({ chainID: chainId ?? '', imageSpec: JSON.parse((await images.configText(id)).toString('utf8')) as unknown });
}

/** What kubelet found in a pod's pull secrets: what is '' was not given. */
function credentials(auth: cri.AuthConfig.$Properties | null | undefined): { credentials?: Credentials } {
	const given = Object.entries(auth ?? {}).filter(([, value]) => typeof value === 'string' && value !== '');
	return given.length === 0 ? {} : { credentials: Object.fromEntries(given) as Credentials };
}
