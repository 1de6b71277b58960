// Progress and child processes for the commands of package.json. Plain JavaScript with nothing but Node's own modules: it runs before
// the npm packages are there.

import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The package's root folder. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** What these commands keep in a checkout, beside what they build: logs, links to the root filesystems. */
export const stateFolder = join(root, '.isopod');

const [majorVersion, minorVersion] = process.versions.node.split('.').map(Number);
if (majorVersion < 20 || (majorVersion === 20 && minorVersion < 11)) {
	process.stderr.write(`Isopod needs Node 20.11 or newer; this is Node ${process.versions.node}.\n`);
	process.exit(1);
}

/** A step that failed: `message` says what was wanted and what came, `output` is what the failing program printed. */
export class StepError extends Error {
	constructor(message, { output = '', cause } = {}) {
		super(message, { cause });
		this.name = 'StepError';
		this.output = output;
	}
}

// Whoever read our output may have seen enough (`npm test | head`); the work goes on.
process.stdout.on('error', (error) => {
	if (error.code !== 'EPIPE') throw error;
});

const isTerminal = process.stdout.isTTY === true;
/** Children that run now; each leads a process group of its own, so that what it started ends with it. */
const children = new Set();
/** Children that talk to the user; they are in our own process group. */
const shown = new Set();
/** What must not be left behind when a signal ends us; each is called once. */
const cleanUps = new Set();

/** Registers `action` (synchronous) for the case that a signal ends this process. Returns the function that takes it back. */
export function onInterrupt(action) {
	cleanUps.add(action);
	return () => cleanUps.delete(action);
}

for (const [signal, number] of [
	['SIGINT', 2],
	['SIGTERM', 15],
	['SIGHUP', 1],
]) {
	process.once(signal, () => void interrupted(signal, 128 + number));
}

async function interrupted(signal, status) {
	const running = [...children];
	const ended = [...running, ...shown].map((child) => new Promise((resolve) => child.once('exit', resolve)));
	for (const child of running) killGroup(child, signal);
	// A terminal's Ctrl-C has reached those of our own group already; twice could mean something else to them.
	const hasTerminalSent = signal === 'SIGINT' && process.stdin.isTTY;
	if (!hasTerminalSent) for (const child of shown) child.kill(signal);
	const deadline = setTimeout(() => {
		for (const child of running) killGroup(child, 'SIGKILL');
		for (const child of shown) child.kill('SIGKILL');
	}, 5000);
	await Promise.all(ended);
	clearTimeout(deadline);
	for (const child of running) killGroup(child, 'SIGKILL');
	for (const action of cleanUps) action();
	process.stdout.write(`\nStopped by ${signal}.\n`);
	process.exit(status);
}

function killGroup(child, signal) {
	try {
		process.kill(-child.pid, signal);
	} catch {
		// It has ended.
	}
}

/** A numbered list of steps, shown as they run, with all output of their programs in one log file. */
export class Steps {
	/** @param {string} name names the log file, `.isopod/log/NAME.log` */
	constructor(name, count) {
		this.count = count;
		this.number = 0;
		this.logPath = join(stateFolder, 'log', `${name}.log`);
		try {
			mkdirSync(dirname(this.logPath), { recursive: true });
			this.log = openSync(this.logPath, 'w');
		} catch (cause) {
			process.stderr.write(`Write ${this.logPath}: ${cause.message}. Run this as the user that this folder belongs to.\n`);
			process.exit(1);
		}
		this.title = '';
	}

	/**
	 * Runs one step and shows its title and how long it took. `action` gets this object; when it returns a string, that is shown
	 * instead of the time (`already there`).
	 */
	async step(title, action) {
		this.number++;
		this.title = `[${this.number}/${this.count}] ${title} …`;
		writeSync(this.log, `\n${this.title}\n`);
		process.stdout.write(isTerminal ? this.title : `${this.title} `);
		const start = performance.now();
		try {
			const note = await action(this);
			this.#finish(typeof note === 'string' ? note : formatTime(performance.now() - start));
		} catch (error) {
			this.#finish(`failed after ${formatTime(performance.now() - start)}`);
			throw error;
		}
	}

	#finish(text) {
		process.stdout.write(isTerminal ? `\r\x1b[K${this.title} ${text}\n` : `${text}\n`);
	}

	/** Shows `line` beside the running step's title, on a terminal only. */
	show(line) {
		if (!isTerminal) return;
		const width = (process.stdout.columns ?? 80) - this.title.length - 2;
		// biome-ignore lint/suspicious/noControlCharactersInRegex: a program's colours would outlive its line
		const plain = line.replace(/\x1b\[[0-9;]*[A-Za-z]/g, '').trim();
		if (width > 10) process.stdout.write(`\r\x1b[K${this.title} ${plain.slice(0, width)}`);
	}

	/**
	 * Runs a program to its end, logs its output and shows the last line of it.
	 * @param {{cwd?: string, env?: object, input?: string, allowFailure?: boolean}} [options]
	 * @returns {Promise<{status: number, stdout: string, output: string}>} `output` is standard output and standard error as they came
	 */
	run(command, args, { cwd = root, env, input, allowFailure = false } = {}) {
		writeSync(this.log, `$ ${command} ${args.join(' ')}\n`);
		return new Promise((resolve, reject) => {
			const child = spawn(command, args, {
				cwd,
				detached: true,
				env: { ...process.env, ...env },
				stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
			});
			let stdout = '';
			let output = '';
			const take = (text) => {
				output += text;
				writeSync(this.log, text);
				const line = text.trimEnd().split('\n').at(-1);
				if (line) this.show(line);
			};
			child.stdout.setEncoding('utf8').on('data', (text) => {
				stdout += text;
				take(text);
			});
			child.stderr.setEncoding('utf8').on('data', take);
			child.on('spawn', () => children.add(child));
			child.stdin?.on('error', () => {}).end(input);
			child.on('error', (cause) => reject(new StepError(`Run ${command}: ${cause.message}`, { cause })));
			child.on('close', (code, signal) => {
				children.delete(child);
				const status = code ?? 255;
				if (status === 0 || allowFailure) resolve({ status, stdout, output });
				else reject(new StepError(`Run ${command} ${args.join(' ')}: ended with ${signal ?? `status ${status}`}`, { output }));
			});
		});
	}

	/** Says what the running step is about to do, on a line that stays. */
	note(text) {
		writeSync(this.log, `${text}\n`);
		process.stdout.write(isTerminal ? `\r\x1b[K${this.title} ${text}\n${this.title}` : `${text} … `);
	}

	/**
	 * Runs a program that talks to the user itself, in our own process group, where a terminal's Ctrl-C reaches it.
	 * @returns {Promise<number>} its exit status, as a shell would tell it
	 */
	runShown(command, args, { env } = {}) {
		return new Promise((resolve, reject) => {
			const child = spawn(command, args, { cwd: root, env: { ...process.env, ...env }, stdio: 'inherit' });
			shown.add(child);
			child.on('error', (cause) => reject(new StepError(`Run ${command}: ${cause.message}`, { cause })));
			child.on('exit', (code, signal) => {
				shown.delete(child);
				resolve(code ?? 128 + constants.signals[signal]);
			});
		});
	}

	/**
	 * Holds a lock on `folder` while `action` runs, so that two commands don't write the same files at once. The lock is flock(2)'s, held
	 * by a child whose standard input is ours: however we end, it ends too.
	 */
	async locked(folder, action) {
		const holder = spawn('flock', [folder, 'sh', '-c', 'echo held; exec cat'], { detached: true, stdio: ['pipe', 'pipe', 'ignore'] });
		const waiting = setTimeout(() => this.show('waiting for another command that is at work here'), 500);
		await new Promise((resolve, reject) => {
			holder.stdout.once('data', resolve);
			holder.once('error', (cause) => reject(new StepError(`Run flock: ${cause.message}`, { cause })));
			holder.once('exit', () => reject(new StepError(`Lock ${folder}: flock failed`)));
		}).finally(() => clearTimeout(waiting));
		try {
			return await action();
		} finally {
			holder.stdin.end();
			holder.unref();
		}
	}

	close() {
		closeSync(this.log);
	}
}

/**
 * Runs a command's steps and ends the process: status 0, or 1 with the failing program's output and the log file's name.
 * @param {(steps: Steps) => Promise<number | void>} action its number, when it returns one, is the exit status
 */
export async function main(name, count, action) {
	const steps = new Steps(name, count);
	try {
		process.exitCode = (await action(steps)) ?? 0;
	} catch (error) {
		if (!(error instanceof StepError)) throw error;
		showFailure(error);
		if (error.output) process.stdout.write(`The whole output: ${relative(process.cwd(), steps.logPath)}\n`);
		process.exitCode = 1;
	} finally {
		steps.close();
	}
}

/** Shows a failed step: the end of its output, then what failed. */
export function showFailure(error) {
	const output = error.output.trimEnd();
	if (output) process.stdout.write(`\n${output.split('\n').slice(-200).join('\n')}\n`);
	process.stdout.write(`\n${error.message}\n`);
}

export function formatTime(ms) {
	return ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}
