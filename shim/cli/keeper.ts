import { spawn } from 'node:child_process';
import { closeSync, writeSync } from 'node:fs';

/** The keeper's end of the pipe on which it says that its program runs. */
const READY_FD = 3;
const MARK = 'ISOPOD_KEEPER';

/**
 * `exec --detach` leaves a keeper behind: a process of the host that stands for the program, which is none of the caller's children. It has the
 * program's exit status, passes signals on to it, and its pid is what the pid file holds, as with runsc.
 */
export function isKeeper(): boolean {
	return process.env[MARK] !== undefined;
}

/** The keeper's program runs: whoever started the keeper may go. */
export function tellStarted(): void {
	writeSync(READY_FD, '\n');
	closeSync(READY_FD);
}

/** Starts this command again as a keeper. Its pid once its program runs; its exit code if that failed, of which it has told the user. */
export async function startKeeper(): Promise<{ readonly pid: number } | { readonly exitCode: number }> {
	const keeper = spawn(process.execPath, process.argv.slice(1), {
		detached: true,
		stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
		env: { ...process.env, [MARK]: '1' },
	});
	const ready = keeper.stdio[READY_FD] as NodeJS.ReadableStream;
	return new Promise((resolve, reject) => {
		keeper.once('error', reject);
		keeper.once('exit', (code) => resolve({ exitCode: code ?? 255 }));
		ready.once('data', () => {
			keeper.unref();
			resolve({ pid: keeper.pid! });
		});
	});
}
