import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { HostError } from '../../../runtime/host-error.js';
import { native } from '../../../runtime/native.js';

const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;
const NAME = /^[a-zA-Z0-9][\w.-]{0,127}$/;
const run = promisify(execFile);

/** Network namespaces of pods, each pinned by a bind mount `folder/NAME`, so that it lives without a process in it. */
export class NetworkNamespaces {
	constructor(private readonly folder: string) {}

	/** Where a namespace is, or would be. Throws EINVAL. */
	path(name: string): string {
		if (!NAME.test(name))
			throw new HostError(`Name a network namespace ${JSON.stringify(name)}: want letters, digits, "_", "." and "-"`, 'EINVAL');
		return join(this.folder, name);
	}

	/** Makes a namespace with its loopback device up. Throws EEXIST; leaves nothing behind when it fails. */
	async create(name: string): Promise<string> {
		const path = this.path(name);
		const step = `Make the network namespace ${path}`;
		await mkdir(this.folder, { recursive: true, mode: 0o755 });
		try {
			await writeFile(path, '', { flag: 'wx', mode: 0o444 });
		} catch (error) {
			throw HostError.from(step, error);
		}
		try {
			// unshare(1) makes the bind mount from outside of the new namespace.
			await run('unshare', [`--net=${path}`, '--', 'ip', 'link', 'set', 'lo', 'up']);
			return path;
		} catch (error) {
			await this.remove(name);
			const { stderr } = error as { stderr?: string };
			throw new HostError(`${step}: ${stderr?.trim() || (error instanceof Error ? error.message : error)}`, 'EIO', { cause: error });
		}
	}

	/** Removes a namespace; one that is not there is removed already. Devices in it go when its last process does. */
	async remove(name: string): Promise<void> {
		const path = this.path(name);
		// A start that was killed may have mounted it twice.
		while (existsSync(path) && native.umount(path, MNT_DETACH | UMOUNT_NOFOLLOW) === 0);
		await rm(path, { force: true });
	}

	async list(): Promise<string[]> {
		return existsSync(this.folder) ? (await readdir(this.folder)).filter((name) => NAME.test(name)) : [];
	}
}
