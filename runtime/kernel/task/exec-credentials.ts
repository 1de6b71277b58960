import { EPERM } from '../abi/errno.js';
import { S_ISGID, S_ISUID } from '../abi/stat-constants.js';
import type { Inode } from '../vfs/inode.js';
import { CapabilitySet, type Credentials } from './credentials.js';
import { fileCapabilities } from './file-capabilities.js';

/** SECBIT_NOROOT: uid 0 gets no capabilities by exec (capabilities(7)). */
const SECBIT_NOROOT = 1;
const S_IXGRP = 0o010;

/**
 * Credentials after an exec of `inode`: set-id bits, then the capability rules of capabilities(7), "Transformation of capabilities during execve()".
 * `isSetIdAllowed`: not from a nosuid mount. Errors: EPERM, the file's capabilities are to be effective and can't all be had.
 */
export function execCredentials(old: Credentials, inode: Inode, isSetIdAllowed: boolean): Credentials | number {
	let euid = old.euid;
	let egid = old.egid;
	if (isSetIdAllowed && !old.noNewPrivs) {
		if ((inode.mode & S_ISUID) !== 0) euid = inode.uid;
		// Without group execute the set-group-id bit marks mandatory locking.
		if ((inode.mode & (S_ISGID | S_IXGRP)) === (S_ISGID | S_IXGRP)) egid = inode.gid;
	}
	const file = isSetIdAllowed ? fileCapabilities(inode) : null;
	let given = CapabilitySet.empty;
	if (file !== null) {
		given = old.bounding.and(file.permitted).or(old.inheritable.and(file.inheritable));
		if (file.isEffective && !file.permitted.isSubsetOf(given)) return -EPERM;
	}
	let isEffective = file?.isEffective ?? false;
	// A set-user-id root program whose file has capabilities gets those, and not root's.
	const isRootPrivileged = (old.securebits & SECBIT_NOROOT) === 0 && !(file !== null && euid === 0 && old.uid !== 0);
	if (isRootPrivileged && (old.uid === 0 || euid === 0)) given = old.bounding.or(old.inheritable);
	if (isRootPrivileged && euid === 0) isEffective = true;
	if (old.noNewPrivs) given = given.and(old.permitted);
	const isSetId = euid !== old.euid || egid !== old.egid;
	const ambient = isSetId || file !== null ? CapabilitySet.empty : old.ambient;
	const permitted = given.or(ambient);
	const effective = isEffective ? permitted : ambient;
	return { ...old, euid, suid: euid, fsuid: euid, egid, sgid: egid, fsgid: egid, permitted, effective, ambient };
}

/** AT_SECURE: the program must not trust its environment. */
export function isSecureExec(old: Credentials, next: Credentials): boolean {
	return next.uid !== next.euid || next.gid !== next.egid || (next.uid !== 0 && !next.permitted.isSubsetOf(old.permitted.or(next.ambient)));
}
