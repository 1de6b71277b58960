import type { Container } from '../../container.js';
import type { FileDescription } from '../../vfs/file-description.js';
import { allFileLocks, recordLockText, wholeLockText } from '../../vfs/file-locks.js';
import type { Inode } from '../../vfs/inode.js';
import { deviceMajor, deviceMinor } from './device-number.js';

/** Locks shown at most. */
const MAX_LINES = 65536;

const hex = (value: number) => value.toString(16).padStart(2, '0');

function fileText({ fs, ino }: Inode): string {
	return `${hex(deviceMajor(fs.dev))}:${hex(deviceMinor(fs.dev))}:${ino}`;
}

/** /proc/locks, proc_locks(5): the locks of the container's own processes. */
export function locksText(container: Container): string {
	const lines: string[] = [];
	for (const locks of allFileLocks()) {
		const file = fileText(locks.inode);
		for (const lock of locks.wholeLocks) {
			const pid = container.insideId(lock.pid);
			if (pid > 0) lines.push(wholeLockText(lock, pid, file));
		}
		for (const lock of locks.recordLocks) {
			const pid = container.insideId(lock.pid);
			if (pid > 0) lines.push(recordLockText(lock, pid, file));
		}
		if (lines.length >= MAX_LINES) break;
	}
	return lines.map((line, index) => `${index + 1}: ${line}`).join('');
}

/** The locks of one descriptor, proc_pid_fdinfo(5): flock(2) locks, open file description locks, and `owner`'s POSIX locks on the file. */
export function descriptorLocksText(container: Container, description: FileDescription, owner: object): string {
	const { locks } = description.inode;
	if (locks === null) return '';
	const file = fileText(locks.inode);
	const lines: string[] = [];
	const whole = locks.wholeLockOf(description);
	if (whole !== undefined) lines.push(wholeLockText(whole, container.insideId(whole.pid), file));
	for (const lock of locks.recordLocks)
		if (lock.owner === description || lock.owner === owner) lines.push(recordLockText(lock, container.insideId(lock.pid), file));
	return lines.map((line, index) => `lock:\t${index + 1}: ${line}`).join('');
}
