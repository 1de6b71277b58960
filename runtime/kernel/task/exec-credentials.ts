import { S_ISGID, S_ISUID } from '../abi/stat-constants.js';
import type { Inode } from '../vfs/inode.js';
import { CapabilitySet, type Credentials } from './credentials.js';

/** SECBIT_NOROOT: uid 0 gets no capabilities by exec (capabilities(7)). */
const SECBIT_NOROOT = 1;
const S_IXGRP = 0o010;

/**
 * Credentials after an exec of `inode`: set-id bits, then the capability rules of capabilities(7), "Transformation of capabilities during execve()".
 * File capabilities (security.capability) are not honoured: they count as none.
 */
export function execCredentials(old: Credentials, inode: Inode, isSetIdAllowed: boolean): Credentials {
	let euid = old.euid;
	let egid = old.egid;
	if (isSetIdAllowed && !old.noNewPrivs) {
		if ((inode.mode & S_ISUID) !== 0) euid = inode.uid;
		// Without group execute the set-group-id bit marks mandatory locking.
		if ((inode.mode & (S_ISGID | S_IXGRP)) === (S_ISGID | S_IXGRP)) egid = inode.gid;
	}
	const isSetId = euid !== old.euid || egid !== old.egid;
	const isRoot = (old.securebits & SECBIT_NOROOT) === 0 && (old.uid === 0 || euid === 0);
	const ambient = isSetId ? CapabilitySet.empty : old.ambient;
	const filePermitted = isRoot ? CapabilitySet.full : CapabilitySet.empty;
	const fileInheritable = filePermitted;
	let permitted = old.inheritable.and(fileInheritable).or(filePermitted.and(old.bounding)).or(ambient);
	if (old.noNewPrivs) permitted = permitted.and(old.permitted.or(ambient));
	const effective = (old.securebits & SECBIT_NOROOT) === 0 && euid === 0 ? permitted : ambient;
	return { ...old, euid, suid: euid, fsuid: euid, egid, sgid: egid, fsgid: egid, permitted, effective, ambient };
}

/** AT_SECURE: the program must not trust its environment. */
export function isSecureExec(old: Credentials, next: Credentials): boolean {
	return next.uid !== next.euid || next.gid !== next.egid || (next.uid !== 0 && !next.permitted.isSubsetOf(old.permitted.or(next.ambient)));
}
