import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { HostError } from '../host-error.js';
import { packageRoot } from '../sandbox/launch.js';
import { emptySlotTable } from './acpi-table.js';
import { type CpioEntry, cpioArchive } from './cpio.js';
import { unpackKernel } from './kernel-image.js';

/** What a machine boots. */
export interface GuestImage {
	/** Path of the kernel, an ELF file. */
	readonly kernel: string;
	readonly initramfs: string;
	/** That of a machine that is saved as a template: its kernel is told of places for devices that only clones have. */
	readonly templateInitramfs: string;
	/** Of all of them, for whatever is derived from them. */
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
	'drivers/virtio/virtio_balloon',
];

/** Those that a template's machine has beside them: a clone's share is on its PCI bus. */
const TEMPLATE_MODULES = ['drivers/virtio/virtio_pci_modern_dev', 'drivers/virtio/virtio_pci_legacy_dev', 'drivers/virtio/virtio_pci'];

/** Where images are kept. */
export function imageFolder(): string {
	const cache = process.env['ISOPOD_CACHE'] || join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'isopod');
	return join(cache, 'vm');
}

/** The image of this package's agent: that of the cache, or one that is built now. Throws HostError. */
export function guestImage(): GuestImage {
	const agent = readFileSync(join(packageRoot(), 'native/build/isopod-agent'));
	const kernel = kernelFolder();
	const hash = createHash('sha256')
		.update(agent)
		.update(kernel)
		.update([...MODULES, ...TEMPLATE_MODULES].join(' '))
		.update(emptySlotTable())
		.digest('hex')
		.slice(0, 16);
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
	const [kernelFile, initramfs, templateInitramfs] = FILES.map((name) => join(folder, name)) as [string, string, string];
	return { kernel: kernelFile, initramfs, templateInitramfs, hash };
}

const FILES = ['vmlinux', 'initramfs', 'initramfs.template'] as const;

/** Builds this package's image in a folder. The same kernel package and agent give the same bytes. Throws an Error with what failed. */
export function buildImage(folder: string): void {
	mkdirSync(folder, { recursive: true });
	writeImage(kernelFolder(), readFileSync(join(packageRoot(), 'native/build/isopod-agent')), folder);
}

/** Writes vmlinux and initramfs to `folder`. */
function writeImage(kernel: string, agent: Uint8Array, folder: string): void {
	const [version = ''] = readdirSync(join(kernel, 'lib/modules'));
	const moduleEntries = (names: readonly string[]): CpioEntry[] =>
		names.map((name) => ({
			...{ kind: 'file', path: `modules/${baseName(name)}.ko`, mode: 0o644 },
			bytes: readFileSync(join(kernel, 'lib/modules', version, 'kernel', `${name}.ko`)),
		}));
	const order = (names: readonly string[]): CpioEntry => ({
		...{ kind: 'file', path: 'modules/order', mode: 0o644 },
		bytes: Buffer.from(names.map((name) => `${baseName(name)}.ko`).join('\n')),
	});
	const entries: CpioEntry[] = [
		{ kind: 'folder', path: 'dev', mode: 0o755 },
		{ kind: 'device', path: 'dev/console', mode: 0o600, major: 5, minor: 1 },
		{ kind: 'folder', path: 'root', mode: 0o755 },
		{ kind: 'folder', path: 'modules', mode: 0o755 },
		order(MODULES),
		...moduleEntries(MODULES),
		{ kind: 'file', path: 'init', mode: 0o755, bytes: agent },
	];
	const [kernelName, initramfsName, templateName] = FILES;
	const archive = cpioArchive(entries);
	const forTemplate = [order([...MODULES, ...TEMPLATE_MODULES]), ...moduleEntries(TEMPLATE_MODULES)];
	writeFileSync(join(folder, initramfsName), archive);
	writeFileSync(join(folder, templateName), Buffer.concat([cpioArchive(tableEntries()), archive, cpioArchive(forTemplate)]));
	writeFileSync(join(folder, kernelName), unpackKernel(readFileSync(join(kernel, `boot/vmlinuz-${version}`))));
}

function baseName(path: string): string {
	return path.slice(path.lastIndexOf('/') + 1);
}

/** Where a kernel looks for tables of its own (Documentation/admin-guide/acpi/initrd_table_override.rst). */
function tableEntries(): CpioEntry[] {
	const folders = ['kernel', 'kernel/firmware', 'kernel/firmware/acpi'];
	return [
		...folders.map((path) => ({ kind: 'folder', path, mode: 0o755 }) as const),
		{ kind: 'file', path: 'kernel/firmware/acpi/slots.aml', mode: 0o644, bytes: emptySlotTable() },
	];
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
