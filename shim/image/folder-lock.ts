import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { HostError } from '../../runtime/host-error.js';
import { native } from '../../runtime/native.js';

/** The right to change a folder, which one process has at a time. It ends with the process, however that ends; the file `lock` holds its pid. */
export class FolderLock {
	private constructor(private fd: number) {}

	/** Throws HostError: EBUSY, with the holder's pid, when another process has it (or this one has it already). */
	static take(folder: string): FolderLock {
		const path = join(folder, 'lock');
		const step = `Lock the folder ${folder}`;
		let fd: number;
		try {
			fd = openSync(path, 'a+', 0o644);
		} catch (error) {
			throw HostError.from(step, error);
		}
		const error = native.tryLockExclusive(fd);
		if (error < 0) {
			closeSync(fd);
			if (error !== -constants.errno.EAGAIN) throw HostError.errno(step, -error);
			throw new HostError(`${step}: ${holderOf(path)} uses it`, 'EBUSY');
		}
		try {
			ftruncateSync(fd);
			writeSync(fd, `${process.pid}\n`);
		} catch {
			// A full disk must not keep images from being removed.
		}
		return new FolderLock(fd);
	}

	release(): void {
		if (this.fd >= 0) closeSync(this.fd);
		this.fd = -1;
	}
}

/** Who has written its pid there; it may be about to. */
function holderOf(path: string): string {
	const pid = Number.parseInt(readFileSync(path, 'utf8'), 10);
	return pid > 0 ? `process ${pid}` : 'another process';
}
