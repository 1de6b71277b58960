/** What the addon's tests share: the addon itself, and small C programs as guests. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

type Addon = typeof import('../native.js');

/** The package's root: the nearest folder above that has the build's configuration. */
export const packageRoot = ((): string => {
	const require = createRequire(import.meta.url);
	for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
		try {
			return dirname(require.resolve(join(folder, 'binding.gyp')));
		} catch (error) {
			if (folder === dirname(folder)) throw error;
		}
	}
})();

export const addonPath = join(packageRoot, 'build/Release/isopod.node');
export const addon = createRequire(import.meta.url)(addonPath) as Addon;

// The declarations' enums have no object at run time.
export const TRAP = 1;
export const READY = 2;
export const ENDED = 3;
export const LENT = 4;
export const LISTENER_GONE = 5;
export const INTERRUPTED = 6;

export const NATIVE = 0;
export const TRAPPED = 1;
/** An action that is an errno. */
export const errnoAction = (errno: number): number => errno * 0x10000 + 2;

/** The private numbers that the guests of testdata/ trap with. */
export const TRAP_A = 0x1500;
export const TRAP_B = 0x1501;
export const TRAP_C = 0x1502;
export const NR_EXECVE = 59;
export const NR_PPOLL = 271;

const O_DIRECTORY_PATH = 0o10200000;
const AT_FDCWD = -100;
const RECORDS = 256;

export const batch = new Int32Array(RECORDS * addon.RECORD_WORDS);
addon.setBatch(batch);

/** One record of the batch, copied out of it. */
export interface Event {
	readonly kind: number;
	/** The listener's key for a trap, else the event's key. */
	readonly key: number;
	/** EPOLL bits or a result, for events that have one. */
	readonly value: number;
	readonly idLow: number;
	readonly idHigh: number;
	readonly tid: number;
	readonly number: number;
	readonly args: readonly number[];
}

const word = (index: number): number => batch[index] ?? 0;

/** Waits once, at most two seconds, and returns what came. */
export function waitEvents(timeoutNs = 2e9): Event[] {
	const count = addon.wait(timeoutNs);
	if (count < 0) throw new Error(`wait: ${count}`);
	return Array.from({ length: count }, (_, record) => {
		const base = record * addon.RECORD_WORDS;
		return {
			kind: word(base),
			key: word(base + 1),
			value: word(base + 2),
			idLow: word(base + 2),
			idHigh: word(base + 3),
			tid: word(base + 4),
			number: word(base + 5),
			args: Array.from({ length: 6 }, (__, index) => (word(base + 8 + 2 * index) >>> 0) + word(base + 9 + 2 * index) * 2 ** 32),
		};
	});
}

/** Waits until an event of that kind comes, and gives all others to `other`. */
export function waitFor(kind: number, other: (event: Event) => void = () => undefined): Event {
	for (let tries = 0; tries < 50; tries++) {
		let found: Event | undefined;
		for (const event of waitEvents()) {
			if (found === undefined && event.kind === kind) found = event;
			else other(event);
		}
		if (found !== undefined) return found;
	}
	throw new Error(`no event of kind ${kind} in time`);
}

const folder = mkdtempSync(join(tmpdir(), 'isopod-addon-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

/** A native root folder with the guest program of testdata/ as `/x`; returns an O_PATH descriptor of it. */
export function buildGuest(program: string): number {
	const root = mkdtempSync(join(folder, `${program}-`));
	const source = join(packageRoot, 'native/addon/testdata', `${program}.c`);
	execFileSync('gcc', ['-O1', '-Wall', '-Wextra', '-Werror', '-static', '-o', join(root, 'x'), source]);
	const rootFd = addon.openat2(AT_FDCWD, root, O_DIRECTORY_PATH, 0, 0);
	if (rootFd < 0) throw new Error(`open the guest's root: ${rootFd}`);
	return rootFd;
}

/** A filter that traps the given numbers (the private ones and execve if none are given) and leaves the rest native. */
export function trapping(...numbers: number[]): Uint8Array {
	const trapped = numbers.length > 0 ? numbers : [TRAP_A, TRAP_B, TRAP_C, NR_EXECVE];
	const filter = addon.compileFilter(Uint32Array.from(trapped.flatMap((number) => [number, TRAPPED, 0])), NATIVE);
	if (typeof filter === 'number') throw new Error(`compile the filter: ${filter}`);
	return filter;
}

let lastListener = 0;

export interface Guest {
	readonly pid: number;
	readonly listener: number;
}

/** Starts a guest, without letting its execve go on. */
export function startGuest(rootFd: number, options: Partial<Parameters<Addon['spawn']>[0]> = {}): Guest {
	const listener = ++lastListener;
	const { pid, failedStep } = addon.spawn({
		listener,
		filter: trapping(),
		rootFd,
		cwd: '/',
		path: '/x',
		argv: ['x'],
		envp: [],
		insideUid: 0,
		insideGid: 0,
		limits: [],
		joinPid: 0,
		netnsFd: -1,
		cookie: 0,
		...options,
	});
	if (failedStep !== null) throw new Error(`spawn: ${failedStep}: ${pid}`);
	return { pid, listener };
}

/** Starts a guest and continues its execve. */
export function runGuest(program: string, options: Partial<Parameters<Addon['spawn']>[0]> = {}): Guest {
	const rootFd = buildGuest(program);
	const guest = startGuest(rootFd, options);
	addon.close(rootFd);
	const exec = waitFor(TRAP);
	if (exec.number !== NR_EXECVE) throw new Error(`expected execve, got ${exec.number}`);
	addon.continueTrap(guest.listener, exec.idLow, exec.idHigh);
	return guest;
}

export const answer = (trap: Event, value: number): number => addon.answer(trap.key, trap.idLow, trap.idHigh, value);

/** Waits until a direct child has ended: its wait status. */
export function reapWhenDone(pid: number): number {
	for (let tries = 0; tries < 2000; tries++) {
		const status = addon.reap(pid);
		if (status !== -11) return status;
		// Not by waiting for events: those are the test's.
		Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
	}
	throw new Error(`process ${pid} doesn't end`);
}
