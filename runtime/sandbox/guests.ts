import { readdirSync, readFileSync } from 'node:fs';

/** A guest's process as the host sees it. */
export interface GuestProcess {
	/** The host's pid. */
	readonly pid: number;
	/** As the sandbox process sees it. */
	readonly outsidePid: number;
	/** As its container sees it. */
	readonly insidePid: number;
	/** Its arguments, or its name in brackets. */
	readonly command: string;
}

interface Status {
	readonly pid: number;
	readonly parent: number;
	/** Its pid in each PID namespace from ours inward: NSpid of /proc/PID/status. */
	readonly ids: readonly number[];
	readonly name: string;
}

function readStatus(pid: string): Status | null {
	try {
		const text = readFileSync(`/proc/${pid}/status`, 'utf8');
		const field = (name: string): string => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(text)?.[1] ?? '';
		const isGone = /^[ZX]/.test(field('State'));
		return isGone
			? null
			: { pid: Number(pid), parent: Number(field('PPid')), ids: field('NSpid').split(/\s+/).map(Number), name: field('Name') };
	} catch {
		return null;
	}
}

/**
 * The guests of a sandbox process, in the order of their pids: its descendants that live in a PID namespace below its own (its helpers don't).
 */
export function guestProcesses(sandboxPid: number): GuestProcess[] {
	const all = readdirSync('/proc')
		.filter((name) => /^\d+$/.test(name))
		.flatMap((pid) => readStatus(pid) ?? [])
		.sort((a, b) => a.pid - b.pid);
	const depth = all.find(({ pid }) => pid === sandboxPid)?.ids.length ?? Number.POSITIVE_INFINITY;
	const family = new Set([sandboxPid]);
	// A child may have the lower pid, when numbers have wrapped around.
	for (let before = 0; before !== family.size; ) {
		before = family.size;
		for (const { pid, parent } of all) if (family.has(parent)) family.add(pid);
	}
	return all
		.filter(({ pid, ids }) => family.has(pid) && ids.length > depth)
		.map(({ pid, ids, name }) => ({ pid, outsidePid: ids[depth - 1]!, insidePid: ids.at(-1)!, command: commandLine(pid) || `[${name}]` }));
}

function commandLine(pid: number): string {
	try {
		return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replace(/\0$/, '').replaceAll('\0', ' ');
	} catch {
		return '';
	}
}
