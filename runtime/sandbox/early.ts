import { closeSync, readSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { HostError } from '../host-error.js';
import { native } from '../native.js';
import { processStart, SLOTS, type StateStore } from '../oci/state.js';
import type { Launched } from './launch.js';

/** A sandbox process that the front (native/front) started beside this one; see there. */
interface Early {
	readonly launcherPid: number;
	readonly reportFd: number;
	readonly lifeFd: number;
	readonly idSlot: number;
	/** Holds its control socket and its log; the slot's owner on disk until it is adopted. */
	readonly folder: string;
	/** The path of the network namespace that it is in; null for one of its own. */
	readonly networkNamespace: string | null;
}

let early = parse(process.env['ISOPOD_EARLY']);
delete process.env['ISOPOD_EARLY'];
delete process.env['ISOPOD_EARLY_NETNS'];
if (early !== null) process.once('exit', discardEarly);

function parse(text: string | undefined): Early | null {
	const match = /^(\d+):(\d+):(\d+):(\d+):(.+)$/.exec(text ?? '');
	if (match === null) return null;
	const [launcherPid, reportFd, lifeFd, idSlot] = match.slice(1, 5).map(Number) as [number, number, number, number];
	native.setCloseOnExec(reportFd, true);
	native.setCloseOnExec(lifeFd, true);
	return { launcherPid, reportFd, lifeFd, idSlot, folder: match[5]!, networkNamespace: process.env['ISOPOD_EARLY_NETNS'] || null };
}

/** Takes the early sandbox process over, if there is one in that network namespace: its socket and its log move to their places. Its life line stays cut with this process. */
export function adoptEarly(
	store: StateStore,
	id: string,
	networkNamespace: string | null,
): (Launched & { readonly idSlot: number }) | null {
	if (early !== null && early.networkNamespace !== networkNamespace) discardEarly();
	if (early === null) return null;
	const { idSlot, folder } = early;
	const pid = awaitReport(early);
	if (pid <= 0) {
		discard(early, pid);
		return null;
	}
	try {
		renameSync(join(folder, 'control.sock'), store.socket(id));
		renameSync(join(folder, 'sandbox.log'), join(store.folder(id), 'sandbox.log'));
		store.giveSlot(idSlot, id);
		rmSync(folder, { recursive: true });
	} catch (error) {
		discard(early, pid);
		throw HostError.from(`Take the sandbox process at ${folder} over`, error);
	}
	early = null;
	return { pid, pidStart: processStart(pid), idSlot };
}

/** Ends the early sandbox process that nobody needs. */
export function discardEarly(): void {
	if (early === null) return;
	discard(early, awaitReport(early));
}

function discard({ lifeFd, folder, idSlot }: Early, pid: number): void {
	early = null;
	if (pid > 0) {
		process.kill(pid, 'SIGKILL');
		native.reap(pid);
	}
	// One that failed half-way is reported by its negative pid: dead, and ours to reap.
	if (pid < 0) native.reap(-pid);
	closeSync(lifeFd);
	rmSync(join(dirname(folder), SLOTS, `${idSlot}`), { force: true });
	rmSync(folder, { recursive: true, force: true });
}

const REPORT_BYTES = 32;

/** The sandbox process's pid, which the launcher reports when it has done its work; 0 or less when it has failed. */
function awaitReport({ reportFd, launcherPid }: Early): number {
	const buffer = Buffer.alloc(REPORT_BYTES);
	let length = 0;
	for (let bytes = -1; bytes !== 0 && length < REPORT_BYTES; length += bytes)
		bytes = readSync(reportFd, buffer, length, REPORT_BYTES - length, null);
	closeSync(reportFd);
	native.reap(launcherPid);
	return Number.parseInt(buffer.latin1Slice(0, length), 10) || 0;
}
