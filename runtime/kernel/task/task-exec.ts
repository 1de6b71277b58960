import { randomInt } from 'node:crypto';
import { native } from '../../native.js';
import { E2BIG, EACCES, EIO, ELIBBAD, ELOOP, ENOEXEC, ENOSYS, ETXTBSY } from '../abi/errno.js';
import {
	encodePlan,
	NR_PLAN,
	OBJECT_INTERPRETER,
	OBJECT_PROGRAM,
	PLAN_BYTES,
	PLAN_STACK_EXECUTABLE,
	type Plan,
	planLength,
} from '../abi/exec-plan.js';
import { O_CLOEXEC, O_RDONLY } from '../abi/fcntl.js';
import { SIGKILL } from '../abi/signal-numbers.js';
import { copyOutBytes } from '../trap/guest-memory.js';
import { EVENT_LENT, LEND_ANSWER } from '../trap/records.js';
import { MS_NOEXEC, MS_NOSUID } from '../vfs/mount.js';
import type { Path } from '../vfs/path.js';
import { pathWalk, WALK_FOLLOW } from '../vfs/path-walk.js';
import { checkPermission, MAY_EXEC } from '../vfs/permission.js';
import { ANSWERED, CONTINUE } from './blocked.js';
import type { Credentials } from './credentials.js';
import { type ElfImage, planObject, readElf } from './elf.js';
import { execCredentials, isSecureExec } from './exec-credentials.js';
import { removeTask } from './identify.js';
import { isBeingWritten, RunningProgram } from './running-programs.js';
import { type Continued, type Task, TaskState, THREAD_ENDED } from './task.js';

/** Interpreters of interpreters at most (fs/exec.c). */
const MAX_INTERPRETERS = 5;
/** Bytes of a file that decide how it runs (BINPRM_BUF_SIZE). */
const HEAD_BYTES = 256;
/** Where Linux puts position-independent programs (ELF_ET_DYN_BASE), and how far it randomizes them (28 bits of pages). */
const PIE_BASE = 0x555555554000;
const PIE_RANDOM_PAGES = 2 ** 28;
const PAGE = 4096;

const head = Buffer.alloc(HEAD_BYTES);
const planBuffer = Buffer.alloc(PLAN_BYTES);

/**
 * One exec between its check and the loader's plan trap: everything is decided from what was read here; what the path's string says later
 * doesn't matter. Owns its descriptors.
 */
export class ExecPlan implements Continued {
	constructor(
		private readonly task: Task,
		/** Owned. */
		private readonly running: RunningProgram,
		readonly credentials: Credentials,
		private readonly plan: Plan,
		private readonly programFd: number,
		private readonly interpreterFd: number,
	) {}

	/** The thread trapped again. Unless it is the loader that asks, the exec has failed. */
	settle(task: Task, nextCall: number): void {
		if (task.group.pendingExec !== this) return;
		const leader = task.group.tasks.get(task.group.pid);
		if (nextCall === NR_PLAN) {
			task.continued = this;
		} else if (nextCall === THREAD_ENDED && leader !== undefined && leader !== task) {
			// Only its own exec, or the whole group's end, takes a thread from its group like this: the loader goes on under the leader's id.
			leader.settleContinued(nextCall);
			leader.continued = this;
		} else {
			this.drop();
		}
	}

	/** Ends the exec: descriptors are closed, waiting execs of the group go on. */
	drop(): void {
		const group = this.task.group;
		if (group.pendingExec !== this) return;
		group.pendingExec = null;
		this.close();
		group.execQueue.wake();
	}

	close(): void {
		this.running.release();
		native.close(this.programFd);
		if (this.interpreterFd >= 0) native.close(this.interpreterFd);
	}

	/** The loader asks, in the new program's address space: commits the exec and lends the files. */
	commit(task: Task, address: number, size: number): number {
		const group = task.group;
		const length = encodePlan(this.plan, planBuffer);
		if (size < length || copyOutBytes(task.tid, address, planBuffer, length) < 0) return this.fail(task);
		group.pendingExec = null;
		for (const other of [...group.tasks.values()]) {
			if (other === task) continue;
			if (other.pidfd >= 0) native.unwatchEnd(other.pidfd);
			removeTask(task.kernel, other);
		}
		if (group.files.isShared) {
			const own = group.files.copy();
			group.files.release(task);
			group.files = own;
		}
		group.destroyAio();
		group.posixTimers?.deleteAll();
		group.memoryPolicies = null;
		group.files.exec(task);
		group.container.ipc.detachAll(group);
		group.incarnation++;
		group.setExecutable(this.running.path);
		group.isDumpable = !this.plan.isSecure;
		group.keepCapabilities = false;
		group.isChildSignalInterrupting = false;
		group.scriptArguments = this.plan.strings.length > 0 ? this.plan : null;
		group.credentials = this.credentials;
		task.credentials = this.credentials;
		this.lend(task, length);
		this.close();
		group.execQueue.wake();
		return ANSWERED;
	}

	private lend(task: Task, answer: number): void {
		const { kernel, trap } = task;
		const pairs = this.interpreterFd < 0 ? Int32Array.of(this.programFd, 0) : Int32Array.of(this.programFd, 0, this.interpreterFd, 1);
		const key = kernel.endpoints.add({
			onEvent: (kind, result) => {
				if (kind !== EVENT_LENT) return;
				kernel.endpoints.remove(key);
				if (task.state === TaskState.InTrap) task.state = TaskState.Running;
				if (result < 0) kernel.log('warn', `Lend a program to process ${task.group.pid}: errno ${-result}`, { tid: task.tid });
			},
		});
		task.group.container.counts.lent += pairs.length / 2;
		native.lend(key, trap.listener, trap.idLow, trap.idHigh, pairs, LEND_ANSWER, answer);
	}

	/** Past the point of no return: Linux kills. */
	private fail(task: Task): number {
		this.drop();
		native.sendSignal(task.group.pid, -1, SIGKILL);
		return -EIO;
	}
}

/** execve(2): checks the program, fixes the plan, and lets the host run the loader in its place. */
export function exec(task: Task, start: Path, pathname: string, walkFlags: number): number {
	const group = task.group;
	if (group.pendingExec !== null) return task.blockOn(group.execQueue);
	const error = pathWalk.walk(task, start, pathname, walkFlags);
	if (error < 0) return error;
	return execPath(task, pathWalk.path, pathname);
}

/** What `exec` does once the program is found. `pathname` is what the host's execve names, and what a script sees as its own path. */
export function execPath(task: Task, program: Path, pathname: string): number {
	const plan = prepare(task, program, pathname);
	if (typeof plan === 'number') return plan;
	const error = task.kernel.nativeRoot.ensure(pathname);
	if (error < 0) {
		plan.close();
		return error;
	}
	task.group.pendingExec = plan;
	task.continued = plan;
	return CONTINUE;
}

/** The loader's trap. Anyone can make it: it counts only when the host has really replaced the program, which nothing a guest does can feign. */
export function sysPlan(task: Task, trap: Task['trap']): number {
	const group = task.group;
	const plan = group.pendingExec;
	if (plan === null || task.tid !== group.pid) return -ENOSYS;
	const stack = stackStart(group.pid);
	if (stack === '' || stack === group.stackStart) {
		plan.drop();
		return -ENOSYS;
	}
	// The old program's leader may have made this trap just before another thread's exec ended it and put a new stack under its number. Whoever still
	// waits here after the new stack was seen is the new program.
	if (native.isTrapValid(trap.listener, trap.idLow, trap.idHigh) < 0) return -ENOSYS;
	group.stackStart = stack;
	task.continued = null;
	return plan.commit(task, trap.size(0), trap.size(1));
}

const statBuffer = Buffer.alloc(2048);

/**
 * Where the host put the program's arguments and stack: fields 28 and 48–51 of /proc/PID/stat. A failed exec leaves them as they were and a guest
 * can't move them (PR_SET_MM is never native); a new program has them elsewhere, as the host randomizes stacks (`isopod check` asks for that).
 */
function stackStart(pid: number): string {
	const length = native.readProcFile(`${pid}/stat`, statBuffer);
	if (length <= 0) return '';
	const fields = statBuffer.latin1Slice(statBuffer.lastIndexOf(')', length) + 2, length).split(' ');
	return `${fields[25]} ${fields[45]} ${fields[48]}`;
}

/** The first trap of a spawned process: its execve, which the sandbox process itself asked for. */
export function recordStack(task: Task): void {
	task.group.stackStart = stackStart(task.group.pid);
}

interface OpenProgram {
	readonly fd: number;
	readonly path: Path;
}

/** Opens a file for execution, as do_open_execat: regular, executable, on a mount that allows it, written by nobody. */
function openProgram(task: Task, path: Path): OpenProgram | number {
	const inode = path.dentry.inode!;
	if (!inode.isRegular) return -EACCES;
	if ((path.mount.flags & MS_NOEXEC) !== 0) return -EACCES;
	const denied = checkPermission(inode, MAY_EXEC, task.credentials);
	if (denied < 0) return denied;
	if (isBeingWritten(inode)) return -ETXTBSY;
	const fd = inode.openForMapping(O_RDONLY | O_CLOEXEC, false);
	return fd < 0 ? fd : { fd, path };
}

/** Follows `#!` to a binary and its interpreter, and decides all that the loader has to know. */
function prepare(task: Task, program: Path, pathname: string): ExecPlan | number {
	let opened = openProgram(task, program);
	if (typeof opened === 'number') return opened;
	let name = pathname;
	const strings: string[] = [];
	for (let depth = 0; ; depth++) {
		const length = native.pread(opened.fd, head, 0, HEAD_BYTES, 0);
		const script = length >= 2 && head[0] === 0x23 && head[1] === 0x21 ? parseShebang(head.latin1Slice(0, length), length) : null;
		if (script === null) break;
		native.close(opened.fd);
		if (typeof script === 'number') return script;
		if (depth === MAX_INTERPRETERS) return -ELOOP;
		// The script's path takes argv[0]'s place; the interpreter and its argument go before it.
		strings.splice(0, depth === 0 ? 0 : 1, script.interpreter, ...(script.argument === null ? [] : [script.argument]), name);
		name = script.interpreter;
		const error = pathWalk.walk(task, task.fs.cwd, name, WALK_FOLLOW);
		if (error < 0) return error;
		const next = openProgram(task, pathWalk.path);
		if (typeof next === 'number') return next;
		opened = next;
	}
	const image = readElf(opened.fd, OBJECT_PROGRAM);
	if (typeof image === 'number') {
		native.close(opened.fd);
		return image;
	}
	return finishPlan(task, opened, image, strings);
}

function finishPlan(task: Task, opened: OpenProgram, image: ElfImage, strings: string[]): ExecPlan | number {
	let interpreter: ElfImage | null = null;
	let interpreterFd = -1;
	if (image.interpreter !== null) {
		const error = pathWalk.walk(task, task.fs.cwd, image.interpreter, WALK_FOLLOW);
		const found = error < 0 ? error : openProgram(task, pathWalk.path);
		if (typeof found === 'number') {
			native.close(opened.fd);
			return found;
		}
		interpreterFd = found.fd;
		const read = readElf(interpreterFd, OBJECT_INTERPRETER);
		if (typeof read === 'number') {
			native.close(opened.fd);
			native.close(interpreterFd);
			return read === -ENOEXEC ? -ELIBBAD : read;
		}
		interpreter = read;
	}
	const place = PIE_BASE + randomInt(PIE_RANDOM_PAGES) * PAGE;
	const bias = place - (place % image.alignment);
	const isSetIdAllowed = (opened.path.mount.flags & MS_NOSUID) === 0;
	const credentials = execCredentials(task.credentials, opened.path.dentry.inode!, isSetIdAllowed);
	if (typeof credentials === 'number') {
		native.close(opened.fd);
		if (interpreterFd >= 0) native.close(interpreterFd);
		return credentials;
	}
	rememberName(task, opened.path);
	if (interpreter !== null) rememberName(task, pathWalk.path);
	const plan: Plan = {
		program: planObject(image, bias),
		interpreter: interpreter === null ? null : planObject(interpreter, null),
		segments: interpreter === null ? image.segments : [...image.segments, ...interpreter.segments],
		phdr: image.phdr,
		phnum: image.phnum,
		uid: credentials.uid,
		euid: credentials.euid,
		gid: credentials.gid,
		egid: credentials.egid,
		isSecure: isSecureExec(task.credentials, credentials),
		flags: image.isStackExecutable ? PLAN_STACK_EXECUTABLE : 0,
		dropArguments: strings.length > 0 ? 1 : 0,
		strings,
		execfnString: 0,
	};
	if (planLength(plan) > PLAN_BYTES) {
		native.close(opened.fd);
		if (interpreterFd >= 0) native.close(interpreterFd);
		return -E2BIG;
	}
	return new ExecPlan(task, new RunningProgram(opened.path), credentials, plan, opened.fd, interpreterFd);
}

/** So that /proc/PID/maps can name the mapping. */
function rememberName(task: Task, path: Path): void {
	task.group.container.rememberMapping(path);
}

interface Shebang {
	readonly interpreter: string;
	readonly argument: string | null;
}

/** The `#!` line, as fs/binfmt_script.c reads it: -ENOEXEC when the interpreter's path is cut off by the end of what is looked at. */
function parseShebang(text: string, length: number): Shebang | number {
	const newline = text.indexOf('\n');
	let line = newline < 0 ? text.slice(2) : text.slice(2, newline);
	const nul = line.indexOf('\0');
	if (nul >= 0) line = line.slice(0, nul);
	if (newline < 0 && length === HEAD_BYTES && !/^[ \t]*[^ \t]+[ \t]/.test(line)) return -ENOEXEC;
	const match = /^[ \t]*([^ \t]+)(?:[ \t]+(.*?))?[ \t]*$/s.exec(line);
	if (match === null) return -ENOEXEC;
	const argument = match[2];
	return { interpreter: match[1]!, argument: argument === undefined || argument === '' ? null : argument };
}
