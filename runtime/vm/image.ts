import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { HostError } from '../host-error.js';
import { packageRoot } from '../sandbox/launch.js';
import { type CpioEntry, cpioArchive } from './cpio.js';
import { unpackKernel } from './kernel-image.js';

/** What a machine boots. */
export interface GuestImage {
	/** Path of the kernel, an ELF file. */
	readonly kernel: string;
	readonly initramfs: string;
	/** Of both, for whatever is derived from them. */
	readonly hash: string;
}

/** Debian's name for its newest kernel for virtual machines. */
const KERNEL_PACKAGE = 'linux-image-cloud-amd64';

/** The kernel's modules that the agent loads, in this order. */
const MODULES = [
	'drivers/virtio/virtio_ring',
	'drivers/virtio/virtio',
	'drivers/virtio/virtio_mmio',
	'drivers/char/virtio_console',
	'fs/fuse/fuse',
	'fs/fuse/virtiofs',
	'net/core/failover',
	'drivers/net/net_failover',
	'drivers/net/virtio_net',
];

/** Where images are kept. */
export function imageFolder(): string {
	const cache = process.env['ISOPOD_CACHE'] || join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'isopod');
	return join(cache, 'vm');
}

/** The image of this package's agent: that of the cache, or one that is built now. Throws HostError. */
export function guestImage(): GuestImage {
	const agent = readFileSync(join(packageRoot(), 'native/build/isopod-agent'));
	const kernel = kernelFolder();
	const hash = createHash('sha256').update(agent).update(kernel).update(MODULES.join(' ')).digest('hex').slice(0, 16);
	const folder = join(imageFolder(), `image-${hash}`);
	if (!existsSync(folder)) {
		const partial = mkdtempSync(join(imageFolder(), 'partial-'));
		try {
			writeImage(kernel, agent, partial);
			renameSync(partial, folder);
		} catch (error) {
			rmSync(partial, { recursive: true, force: true });
			// Another start has built the same.
			if (!existsSync(folder)) throw HostError.from(`Build the guest image ${folder}`, error);
		}
	}
	return { kernel: join(folder, 'vmlinux'), initramfs: join(folder, 'initramfs'), hash };
}

/** Builds this package's image in a folder. The same kernel package and agent give the same bytes. Throws an Error with what failed. */
export function buildImage(folder: string): void {
	mkdirSync(folder, { recursive: true });
	writeImage(kernelFolder(), readFileSync(join(packageRoot(), 'native/build/isopod-agent')), folder);
}

/** Writes vmlinux and initramfs to `folder`. */
function writeImage(kernel: string, agent: Uint8Array, folder: string): void {
	const [version = ''] = readdirSync(join(kernel, 'lib/modules'));
	const modules = MODULES.map((name) => join(kernel, 'lib/modules', version, 'kernel', `${name}.ko`));
	const name = (path: string): string => path.slice(path.lastIndexOf('/') + 1);
	const entries: CpioEntry[] = [
		{ kind: 'folder', path: 'dev', mode: 0o755 },
		{ kind: 'device', path: 'dev/console', mode: 0o600, major: 5, minor: 1 },
		{ kind: 'folder', path: 'root', mode: 0o755 },
		{ kind: 'folder', path: 'modules', mode: 0o755 },
		{ kind: 'file', path: 'modules/order', mode: 0o644, bytes: Buffer.from(modules.map(name).join('\n')) },
		...modules.map((path) => ({ kind: 'file', path: `modules/${name(path)}`, mode: 0o644, bytes: readFileSync(path) }) as const),
		{ kind: 'file', path: 'init', mode: 0o755, bytes: agent },
	];
	writeFileSync(join(folder, 'initramfs'), cpioArchive(entries));
	writeFileSync(join(folder, 'vmlinux'), unpackKernel(readFileSync(join(kernel, `boot/vmlinuz-${version}`))));
}

/** The unpacked kernel package: that of the cache, or the newest of Debian's, downloaded now. */
function kernelFolder(): string {
	mkdirSync(imageFolder(), { recursive: true, mode: 0o755 });
	const [cached] = readdirSync(imageFolder())
		.filter((name) => name.startsWith('kernel-'))
		.sort()
		.reverse();
	if (cached !== undefined) return join(imageFolder(), cached);
	const depends = execFileSync('apt-cache', ['depends', '--no-recommends', '--no-suggests', KERNEL_PACKAGE], { encoding: 'utf8' });
	const name = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
	if (name === undefined) throw new Error(`Find the kernel: apt knows no ${KERNEL_PACKAGE} (apt-get update?)`);
	const partial = mkdtempSync(join(imageFolder(), 'partial-'));
	try {
		execFileSync('apt-get', ['-o', 'APT::Sandbox::User=root', 'download', name], { cwd: partial, stdio: ['ignore', 'ignore', 'pipe'] });
		const [archive = ''] = readdirSync(partial);
		const tree = join(partial, 'tree');
		execFileSync('dpkg-deb', ['-x', join(partial, archive), tree]);
		const target = join(imageFolder(), `kernel-${archive.replace(/\.deb$/, '').replace(/^linux-image-/, '')}`);
		if (!existsSync(target)) renameSync(tree, target);
		return target;
	} finally {
		rmSync(partial, { recursive: true, force: true });
	}
}
