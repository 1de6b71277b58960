import { readFileSync } from 'node:fs';
import { Option } from 'commander';
import type { cri } from '../../cri/client.js';
import type { Connection } from './connection.js';
import type { Commands } from './main.js';
import { each } from './pods.js';
import { pullImage } from './pull.js';
import { bytes, FORMATS, type Format, printList } from './table.js';

type Image = cri.Image.$Properties;
const SHORT_ID = 13;
const NONE = '<none>';

export function registerImages(commands: Commands): void {
	commands
		.add('pull', '<image...>', ['isopod pull debian:12-slim', 'isopod pull --creds-file ~/.registry registry.example.com/team/app:1.0'])
		.option('--creds-file <path>', 'file with USER:PASSWORD for the registry')
		.option('-q, --quiet', 'print the references only')
		.action((images: string[], options: { credsFile?: string; quiet?: boolean }) =>
			commands.run((connection) => pull(connection, images, options)),
		);
	commands
		.add('images', '', ['isopod images', 'isopod images -o json', 'isopod images -q'])
		.addOption(new Option('-o, --output <format>', 'how to show them').choices(FORMATS))
		.option('-q, --quiet', 'ids only')
		.option('--no-trunc', 'whole ids')
		.action((options: { output?: Format; quiet?: boolean; trunc: boolean }) => commands.run((connection) => list(connection, options)));
	commands.add('rmi', '<image...>', ['isopod rmi debian:12-slim', 'isopod images -q | xargs isopod rmi']).action((images: string[]) =>
		commands.run((connection) =>
			each(images, async (image) => {
				const { image: found } = await connection.call('ImageStatus', { image: { image } });
				if (found == null) throw new Error(`image ${JSON.stringify(image)} not found`);
				await connection.call('RemoveImage', { image: { image } });
			}),
		),
	);
}

async function pull(
	connection: Connection,
	images: readonly string[],
	{ credsFile, quiet = false }: { credsFile?: string; quiet?: boolean },
): Promise<void> {
	const auth = credsFile === undefined ? undefined : readCredentials(credsFile);
	for (const image of images) {
		const reference = await pullImage(connection, image, { isQuiet: quiet, ...(auth === undefined ? {} : { auth }) });
		process.stdout.write(`${reference}\n`);
	}
}

/** A file, so that no other user of the host sees the password among the processes' arguments. */
function readCredentials(path: string): { username: string; password: string } {
	const [, username, password] = /^([^:\n]+):([^\n]*)\n?$/.exec(readFileSync(path, 'utf8')) ?? [];
	if (username === undefined || password === undefined) throw new Error(`--creds-file: want USER:PASSWORD in ${path}`);
	return { username, password };
}

interface Tagged {
	readonly image: Image;
	readonly repository: string;
	readonly tag: string;
}

async function list(connection: Connection, options: { output?: Format; quiet?: boolean; trunc: boolean }): Promise<void> {
	const { output = 'table', quiet = false, trunc } = options;
	const { images } = await connection.call('ListImages', {});
	const isPlain = output === 'json' || output === 'yaml';
	const showId = ({ id }: Image): string => (trunc ? (id ?? '').replace(/^sha256:/, '').slice(0, SHORT_ID) : (id ?? ''));
	// One line for each tag, one for an image without.
	const tagged = images.flatMap((image): Tagged[] => {
		const tags = image.repoTags ?? [];
		if (isPlain || quiet || tags.length === 0) return [{ image, repository: (image.repoDigests?.[0] ?? NONE).split('@')[0]!, tag: NONE }];
		return tags.map((name) => ({ image, repository: name.slice(0, name.lastIndexOf(':')), tag: name.slice(name.lastIndexOf(':') + 1) }));
	});
	printList(
		tagged.sort((one, other) => (one.repository < other.repository ? -1 : 1)),
		output,
		[
			{ title: 'IMAGE', cell: ({ repository }) => repository },
			{ title: 'TAG', cell: ({ tag }) => tag },
			{ title: 'IMAGE ID', cell: ({ image }) => showId(image) },
			{ title: 'SIZE', cell: ({ image }) => bytes(image.size ?? 0) },
			{ title: 'DIGEST', cell: ({ image }) => (image.repoDigests?.[0] ?? '').split('@')[1] ?? '', isWide: true },
			{ title: 'PINNED', cell: ({ image }) => (image.pinned === true ? 'yes' : 'no'), isWide: true },
		],
		({ image }) => ({
			id: image.id,
			repoTags: image.repoTags ?? [],
			repoDigests: image.repoDigests ?? [],
			size: image.size ?? 0,
			pinned: image.pinned ?? false,
		}),
		({ image, repository, tag }) => (quiet ? showId(image) : tag === NONE ? showId(image) : `${repository}:${tag}`),
		quiet,
	);
}
