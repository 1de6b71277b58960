import { execFileSync } from 'node:child_process';
import {
	chmodSync,
	chownSync,
	closeSync,
	constants,
	existsSync,
	mkdirSync,
	openSync,
	readdirSync,
	readFileSync,
	realpathSync,
	rmSync,
	statSync,
	writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { HostError } from '../../../runtime/host-error.js';
import { fieldOf, type PodAddresses, resourceOf } from './environment.js';
import type { Data, Manifest } from './manifest.js';
import type { KeyToPath, Volume } from './pod.js';

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;
const DEFAULT_MODE = 0o644;

type DownwardFiles = NonNullable<NonNullable<Volume['downwardAPI']>['items']>;

/** The volumes of one pod: folders below the pod's own, or places of the host. */
export class Volumes {
	private readonly paths = new Map<string, string>();
	/** Places of subpaths, by volume and subpath: a container that is started anew gets the same. */
	private readonly subPaths = new Map<string, string>();

	constructor(
		/** The pod's own folder. */
		private readonly folder: string,
		private readonly manifest: Manifest,
	) {}

	/** Makes the pod's folder and all volumes. Throws HostError. */
	make(addresses: PodAddresses): void {
		mkdirSync(join(this.folder, 'volumes'), { recursive: true, mode: 0o750 });
		for (const volume of this.manifest.pod.spec.volumes ?? []) this.paths.set(volume.name, this.makeOne(volume, addresses));
	}

	/** Where a volume, or what is at `subPath` in it, is on the host. Throws HostError when that would lead out of it. */
	pathOf(name: string, subPath: string | undefined): string {
		const path = this.paths.get(name)!;
		if (subPath === undefined || subPath === '') return path;
		const key = `${name}/${subPath}`;
		const bound = this.subPaths.get(key) ?? this.bindSubPath(path, subPath, statSync(path).mode & 0o777);
		this.subPaths.set(key, bound);
		return bound;
	}

	private makeOne(volume: Volume, addresses: PodAddresses): string {
		const { hostPath, emptyDir, configMap, secret, downwardAPI, projected } = volume;
		if (hostPath !== undefined) return makeHostPath(hostPath.path, hostPath.type ?? '');
		const path = join(this.folder, 'volumes', volume.name);
		mkdirSync(path, { recursive: true });
		if (emptyDir !== undefined) {
			const { medium = '', sizeLimit } = emptyDir;
			const size = sizeLimit === undefined ? [] : [`size=${Math.ceil(sizeLimit)}`];
			if (medium === 'Memory') mount('-t', 'tmpfs', '-o', ['mode=0777', ...size].join(','), 'tmpfs', path);
			chmodSync(path, 0o777);
		}
		const mode = (configMap ?? secret ?? downwardAPI ?? projected)?.defaultMode ?? DEFAULT_MODE;
		if (configMap !== undefined) writeData(path, this.manifest.configMaps.get(configMap.name), configMap.items, mode);
		if (secret !== undefined) writeData(path, this.manifest.secrets.get(secret.secretName), secret.items, mode);
		if (downwardAPI !== undefined) this.writeFields(path, downwardAPI.items ?? [], mode, addresses);
		for (const source of projected?.sources ?? []) {
			if (source.configMap !== undefined)
				writeData(path, this.manifest.configMaps.get(source.configMap.name), source.configMap.items, mode);
			if (source.secret !== undefined) writeData(path, this.manifest.secrets.get(source.secret.name), source.secret.items, mode);
			if (source.downwardAPI !== undefined) this.writeFields(path, source.downwardAPI.items ?? [], mode, addresses);
		}
		const group = this.manifest.pod.spec.securityContext?.fsGroup;
		if (group !== undefined) giveToGroup(path, group);
		return path;
	}

	private writeFields(folder: string, files: DownwardFiles, mode: number, addresses: PodAddresses): void {
		for (const { path, fieldRef, resourceFieldRef, mode: own = mode } of files) {
			const value =
				fieldRef !== undefined
					? fieldOf(fieldRef, this.manifest.pod, addresses)
					: resourceFieldRef !== undefined
						? resourceOf(resourceFieldRef, this.manifest.pod, null)
						: '';
			writeFile(join(folder, path), Buffer.from(value), own);
		}
	}

	/**
	 * Binds what is at `subPath` to a place that no container can change: a container of the pod that writes to the volume could put a symlink to
	 * the host's files there. Each name is opened below the one before it, and no symlink is followed.
	 */
	private bindSubPath(volume: string, subPath: string, mode: number): string {
		const step = `Use ${subPath} of a volume`;
		// A variable may have brought it here.
		if (subPath.startsWith('/') || subPath.split('/').includes('..')) throw new HostError(step, 'EINVAL');
		let parent = openSync(volume, O_RDONLY | O_DIRECTORY);
		try {
			const names = subPath.split('/').filter((part) => part !== '' && part !== '.');
			for (const [at, name] of names.entries()) {
				const path = `/proc/self/fd/${parent}/${name}`;
				const isLast = at === names.length - 1;
				// Changing the mode later could hit what a container has put there meanwhile.
				const umask = process.umask(0);
				try {
					mkdirSync(path, mode);
				} catch (error) {
					if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw HostError.from(step, error);
				} finally {
					process.umask(umask);
				}
				let next: number;
				try {
					next = openSync(path, O_RDONLY | O_NOFOLLOW | constants.O_NONBLOCK | (isLast ? 0 : O_DIRECTORY));
				} catch (error) {
					throw HostError.from(step, error);
				}
				closeSync(parent);
				parent = next;
			}
			const target = join(this.folder, 'subpaths', `${this.subPaths.size}`);
			mkdirSync(dirname(target), { recursive: true, mode: 0o750 });
			if (statSync(`/proc/self/fd/${parent}`).isDirectory()) mkdirSync(target);
			else writeFileSync(target, '');
			mount('--no-canonicalize', '--bind', `/proc/${process.pid}/fd/${parent}`, target);
			return target;
		} finally {
			closeSync(parent);
		}
	}
}

/** Takes a pod's folder away, with what is mounted in it. */
export function removePodFolder(folder: string): void {
	if (!existsSync(folder)) return;
	// The kernel tells mounts by their true paths: one that were overlooked would lose its files, the host's, with the folder.
	folder = realpathSync(folder);
	for (const path of mountsBelow(folder)) execFileSync('umount', ['--no-canonicalize', '--lazy', path], { stdio: 'pipe' });
	if (mountsBelow(folder).length > 0) throw new HostError(`Remove ${folder}: something is still mounted there`, 'EBUSY');
	rmSync(folder, { recursive: true, force: true });
}

/** The mount points below a folder, the innermost first. */
function mountsBelow(folder: string): string[] {
	const unescaped = (path: string): string =>
		path.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
	return readFileSync('/proc/self/mounts', 'latin1')
		.split('\n')
		.map((line) => Buffer.from(unescaped(line.split(' ')[1] ?? ''), 'latin1').toString())
		.filter((path) => path.startsWith(`${folder}/`))
		.reverse();
}

function mount(...args: string[]): void {
	try {
		execFileSync('mount', args, { stdio: 'pipe' });
	} catch (error) {
		const { stderr } = error as { stderr?: Buffer };
		throw HostError.from(`Mount a volume: ${stderr?.toString().trim() ?? ''}`, error);
	}
}

function makeHostPath(path: string, type: string): string {
	if (type === 'DirectoryOrCreate') mkdirSync(path, { recursive: true, mode: 0o755 });
	if (type === 'FileOrCreate' && !existsSync(path)) writeFileSync(path, '', { mode: 0o644 });
	if (type === '') return path;
	const stat = statSync(path, { throwIfNoEntry: false });
	const fits = {
		Directory: stat?.isDirectory(),
		DirectoryOrCreate: stat?.isDirectory(),
		File: stat?.isFile(),
		FileOrCreate: stat?.isFile(),
		Socket: stat?.isSocket(),
		CharDevice: stat?.isCharacterDevice(),
		BlockDevice: stat?.isBlockDevice(),
	}[type];
	if (fits !== true)
		throw new HostError(`Use the volume ${path}: hostPath type check failed: it is no ${type}`, stat === undefined ? 'ENOENT' : 'EINVAL');
	return path;
}

function writeData(folder: string, data: Data | undefined, items: readonly KeyToPath[] | undefined, mode: number): void {
	const files = items ?? [...(data?.keys() ?? [])].map((key): KeyToPath => ({ key, path: key }));
	for (const { key, path, mode: own = mode } of files) {
		const bytes = data?.get(key);
		if (bytes !== undefined) writeFile(join(folder, path), bytes, own);
	}
}

function writeFile(path: string, bytes: Buffer, mode: number): void {
	mkdirSync(dirname(path), { recursive: true });
	writeFileSync(path, bytes, { mode });
	chmodSync(path, mode);
}

/** fsGroup: all of a volume belongs to the group, and so will what is made in it. */
function giveToGroup(path: string, group: number): void {
	const stat = statSync(path);
	chownSync(path, stat.uid, group);
	if (!stat.isDirectory()) {
		chmodSync(path, (stat.mode & 0o7777) | 0o440);
		return;
	}
	chmodSync(path, (stat.mode & 0o7777) | 0o2770);
	for (const name of readdirSync(path)) giveToGroup(join(path, name), group);
}
