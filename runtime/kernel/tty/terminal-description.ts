import { native } from '../../native.js';
import { CAP_SYS_ADMIN } from '../abi/capability-numbers.js';
import { EAGAIN, EBUSY, EFAULT, EIO, ENOTTY, ENXIO } from '../abi/errno.js';
import { O_ACCMODE, O_NOCTTY, O_WRONLY } from '../abi/fcntl.js';
import { POLLERR, POLLHUP } from '../abi/poll-constants.js';
import { SIGTTIN, SIGTTOU } from '../abi/signal-numbers.js';
import { TIOCSPGRP, TOSTOP, VMIN, VTIME } from '../abi/termios.js';
import { hasCapability } from '../task/credentials.js';
import type { Task } from '../task/task.js';
import type { IoVector } from '../trap/guest-memory.js';
import { FileDescription } from '../vfs/file-description.js';
import type { Inode } from '../vfs/inode.js';
import type { Path } from '../vfs/path.js';
import { checkForeground } from './job-control.js';
import { READABLE, type Terminal, WRITABLE } from './terminal.js';
import { terminalIoctl } from './terminal-ioctl.js';

/** VTIME counts tenths of a second. */
const TENTH_NS = 1e8;
const CHUNK_BYTES = 2048;
const chunk = new Uint8Array(CHUNK_BYTES);

/** An open terminal: a pty's slave, a container's console, /dev/tty. tty_ioctl(4), termios(3). */
export class TerminalDescription extends FileDescription {
	/** The terminal's when it was opened: another one now means that it was hung up. */
	private readonly generation: number;

	constructor(
		readonly terminal: Terminal,
		path: Path,
		inode: Inode,
		flags: number,
	) {
		super(path, inode, flags & ~O_NOCTTY, terminal.waiters);
		this.generation = terminal.generation;
		terminal.acquire();
	}

	protected override close(): void {
		this.terminal.drop(this.generation);
	}

	private get isHungUp(): boolean {
		return this.generation !== this.terminal.generation;
	}

	override read(task: Task, vector: IoVector): number {
		const { terminal } = this;
		const { trap } = task;
		const { discipline, termios } = terminal;
		if (this.isHungUp) return trap.isFirstRun ? 0 : trap.progress || (terminal.isMasterClosed ? -EIO : 0);
		if (trap.isFirstRun) {
			const denied = checkForeground(task, terminal, SIGTTIN);
			if (denied < 0) return denied;
		}
		vector.skip(trap.progress);
		const { isCanonical } = discipline;
		const minimum = isCanonical ? 1 : termios.cc[VMIN]!;
		const timeNs = isCanonical ? 0 : termios.cc[VTIME]! * TENTH_NS;
		while (vector.remaining > 0) {
			if (!discipline.isReadable(false)) {
				if (terminal.isMasterClosed) return trap.progress || -EIO;
				const hasTimer = minimum === 0 || (timeNs > 0 && trap.progress > 0);
				if ((minimum === 0 && timeNs === 0) || (hasTimer && trap.hasTimedOut)) return trap.progress;
				if (this.isNonBlocking) return trap.progress || -EAGAIN;
				if (hasTimer) task.setDeadline(native.monotonicNs() + timeNs);
				return task.blockOn(this.waiters, READABLE | POLLHUP, true);
			}
			const copied = discipline.read(vector);
			if (copied < 0) return trap.progress || copied;
			trap.progress += copied;
			trap.deadlineNs = -1;
			trap.hasTimedOut = false;
			terminal.receive();
			if (isCanonical || trap.progress >= minimum) break;
		}
		// The wake-up came to this reader alone: what it has left is the next one's.
		if (!trap.isFirstRun && discipline.isReadable(false)) this.waiters.wake(READABLE);
		return trap.progress;
	}

	override write(task: Task, vector: IoVector): number {
		const { terminal } = this;
		const { trap } = task;
		if (this.isHungUp || terminal.isMasterClosed) return trap.progress || -EIO;
		if (trap.isFirstRun && (terminal.termios.lflag & TOSTOP) !== 0) {
			const denied = checkForeground(task, terminal, SIGTTOU);
			if (denied < 0) return denied;
		}
		vector.skip(trap.progress);
		while (vector.remaining > 0) {
			const wanted = Math.min(vector.remaining, CHUNK_BYTES);
			const copied = vector.copyIn(chunk, 0, wanted);
			if (copied <= 0) return trap.progress || -EFAULT;
			const done = terminal.discipline.write(chunk, copied);
			trap.progress += done;
			terminal.driver.flush();
			if (done < copied) {
				if (this.isNonBlocking) return trap.progress || -EAGAIN;
				return task.blockOn(this.waiters, WRITABLE | POLLHUP, true);
			}
			if (copied < wanted) break;
		}
		if (!trap.isFirstRun && terminal.room > 0) this.waiters.wake(WRITABLE);
		return trap.progress;
	}

	override poll(): number {
		const { terminal } = this;
		if (this.isHungUp) return READABLE | WRITABLE | POLLHUP | POLLERR;
		let events = 0;
		if (terminal.discipline.isReadable(true)) events |= READABLE;
		if (terminal.isMasterClosed) events |= POLLHUP;
		if (terminal.room > 0) events |= WRITABLE;
		return events;
	}

	override ioctl(task: Task, request: number, argument: number): number {
		if (this.isHungUp) return request === TIOCSPGRP ? -ENOTTY : -EIO;
		return terminalIoctl(task, this.terminal, this, request, argument);
	}
}

/**
 * Opens a terminal. Without O_NOCTTY it becomes the controlling terminal of a session leader that has none (tty_open_proc_set_tty).
 * Errors: EBUSY (TIOCEXCL).
 */
export function openTerminal(terminal: Terminal, path: Path, inode: Inode, flags: number, task: Task): TerminalDescription | number {
	if (terminal.isExclusive && !hasCapability(task.credentials, CAP_SYS_ADMIN)) return -EBUSY;
	const description = new TerminalDescription(terminal, path, inode, flags);
	if ((flags & O_NOCTTY) === 0 && (flags & O_ACCMODE) !== O_WRONLY && terminal.session === 0) {
		const { pid } = task.group;
		if (native.getsid(pid) === pid && task.kernel.terminals.of(task) === null) terminal.control(pid, native.getpgid(pid));
	}
	return description;
}

/** /dev/tty, tty(4). Errors: ENXIO without a controlling terminal. */
export function openControllingTerminal(path: Path, inode: Inode, flags: number, task: Task): TerminalDescription | number {
	const terminal = task.kernel.terminals.of(task);
	return terminal === null ? -ENXIO : openTerminal(terminal, path, inode, flags | O_NOCTTY, task);
}
