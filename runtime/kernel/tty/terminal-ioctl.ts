import { native } from '../../native.js';
import { CAP_SYS_ADMIN } from '../abi/capability-numbers.js';
import { EINVAL, EIO, ENOTTY, EPERM, ESRCH } from '../abi/errno.js';
import { SIGCONT, SIGHUP, SIGTTOU } from '../abi/signal-numbers.js';
import {
	CLOCAL,
	FIONREAD,
	TCFLSH,
	TCGETA,
	TCGETS,
	TCGETS2,
	TCIFLUSH,
	TCIOFF,
	TCIOFLUSH,
	TCION,
	TCOFLUSH,
	TCOOFF,
	TCOON,
	TCSBRK,
	TCSBRKP,
	TCSETA,
	TCSETAF,
	TCSETAW,
	TCSETS,
	TCSETS2,
	TCSETSF,
	TCSETSF2,
	TCSETSW,
	TCSETSW2,
	TCXONC,
	TERMIO_BYTES,
	TERMIOS_BYTES,
	TERMIOS2_BYTES,
	TIOCCBRK,
	TIOCCONS,
	TIOCEXCL,
	TIOCGDEV,
	TIOCGETD,
	TIOCGEXCL,
	TIOCGPGRP,
	TIOCGPTPEER,
	TIOCGSID,
	TIOCGSOFTCAR,
	TIOCGWINSZ,
	TIOCNOTTY,
	TIOCNXCL,
	TIOCOUTQ,
	TIOCSBRK,
	TIOCSCTTY,
	TIOCSETD,
	TIOCSPGRP,
	TIOCSSOFTCAR,
	TIOCSTI,
	TIOCSWINSZ,
	TIOCVHANGUP,
	VSTART,
	VSTOP,
	WINSIZE_BYTES,
} from '../abi/termios.js';
import { hasCapability } from '../task/credentials.js';
import type { Task } from '../task/task.js';
import { copyIn, copyOut, copyOutInt, scratchView } from '../trap/guest-memory.js';
import type { FileDescription } from '../vfs/file-description.js';
import { checkForeground } from './job-control.js';
import type { Terminal } from './terminal.js';
import { Termios } from './termios.js';

/** What is about to be set. */
const wanted = new Termios();

/** Bytes of the structure that a request sets the settings from, 0 for other requests. */
function settingsBytes(request: number): number {
	switch (request) {
		case TCSETA:
		case TCSETAW:
		case TCSETAF:
			return TERMIO_BYTES;
		case TCSETS:
		case TCSETSW:
		case TCSETSF:
			return TERMIOS_BYTES;
		case TCSETS2:
		case TCSETSW2:
		case TCSETSF2:
			return TERMIOS2_BYTES;
		default:
			return 0;
	}
}

/**
 * ioctl_tty(2) of a terminal, through itself or (what is about the terminal) through its master. `description` is the one that was used: a master's is not
 * the terminal's own.
 */
export function terminalIoctl(task: Task, terminal: Terminal, description: FileDescription, request: number, argument: number): number {
	const bytes = settingsBytes(request);
	if (bytes > 0) return setSettings(task, terminal, request, argument, bytes);
	switch (request) {
		case TCGETS:
			terminal.termios.encode(scratchView, false);
			return copyOut(task.tid, argument, TERMIOS_BYTES);
		case TCGETS2:
			terminal.termios.encode(scratchView, true);
			return copyOut(task.tid, argument, TERMIOS2_BYTES);
		case TCGETA:
			terminal.termios.encodeOld(scratchView);
			return copyOut(task.tid, argument, TERMIO_BYTES);
		case TIOCGWINSZ:
			terminal.driver.refreshSize();
			for (let i = 0; i < 4; i++) scratchView.setUint16(i * 2, terminal.size[i]!, true);
			return copyOut(task.tid, argument, WINSIZE_BYTES);
		case TIOCSWINSZ: {
			const error = copyIn(task.tid, argument, WINSIZE_BYTES);
			if (error < 0) return error;
			const field = (index: number): number => scratchView.getUint16(index * 2, true);
			terminal.resize([field(0), field(1), field(2), field(3)]);
			terminal.driver.resized();
			return 0;
		}
		case TIOCGSOFTCAR:
			return copyOutInt(task.tid, argument, (terminal.termios.cflag & CLOCAL) !== 0 ? 1 : 0);
		case TIOCSSOFTCAR: {
			const error = copyIn(task.tid, argument, 4);
			if (error < 0) return error;
			const { termios } = terminal;
			termios.cflag = scratchView.getInt32(0, true) !== 0 ? termios.cflag | CLOCAL : termios.cflag & ~CLOCAL;
			return 0;
		}
		case FIONREAD:
			return copyOutInt(task.tid, argument, terminal.discipline.readableBytes);
		case TIOCOUTQ:
			return copyOutInt(task.tid, argument, 0);
		case TIOCGETD:
			return copyOutInt(task.tid, argument, 0);
		case TIOCGDEV:
			return copyOutInt(task.tid, argument, terminal.deviceNumber);
		case TIOCSETD: {
			const error = copyIn(task.tid, argument, 4);
			// N_TTY is the only one.
			return error < 0 ? error : scratchView.getInt32(0, true) === 0 ? 0 : -EINVAL;
		}
		case TCSBRK:
		case TCSBRKP:
		case TIOCSBRK:
			return changing(task, terminal);
		case TIOCCBRK:
			return 0;
		case TCFLSH:
			return changing(task, terminal) || flush(terminal, argument);
		case TCXONC:
			return changing(task, terminal) || flow(terminal, argument);
		// Typing in another's name is what legacy_tiocsti=0 refuses, and capabilities make no difference here.
		case TIOCSTI:
			return -EIO;
		case TIOCCONS:
			return description.waiters === terminal.waiters ? -EPERM : -EINVAL;
		// Masters answer it themselves.
		case TIOCGPTPEER:
			return -EIO;
		case TIOCEXCL:
			terminal.isExclusive = true;
			return 0;
		case TIOCNXCL:
			terminal.isExclusive = false;
			return 0;
		case TIOCGEXCL:
			return copyOutInt(task.tid, argument, terminal.isExclusive ? 1 : 0);
		case TIOCVHANGUP:
			if (!hasCapability(task.credentials, CAP_SYS_ADMIN)) return -EPERM;
			terminal.hangUp();
			return 0;
		case TIOCSCTTY:
			return takeControl(task, terminal, description, argument);
		case TIOCNOTTY:
			return giveUpControl(task, terminal);
		case TIOCGPGRP:
			if (!isOwnOrMaster(task, terminal, description)) return -ENOTTY;
			return copyOutInt(task.tid, argument, terminal.processGroup > 0 ? task.group.container.insideId(terminal.processGroup) : 0);
		case TIOCSPGRP:
			return setForeground(task, terminal, argument);
		case TIOCGSID:
			if (!isOwnOrMaster(task, terminal, description) || terminal.session === 0) return -ENOTTY;
			return copyOutInt(task.tid, argument, task.group.container.insideId(terminal.session));
		default:
			return -ENOTTY;
	}
}

/** A background process is stopped before it changes anything: 0, or what the call returns. */
function changing(task: Task, terminal: Terminal): number {
	return checkForeground(task, terminal, SIGTTOU);
}

function setSettings(task: Task, terminal: Terminal, request: number, argument: number, bytes: number): number {
	const denied = changing(task, terminal);
	if (denied < 0) return denied;
	const error = copyIn(task.tid, argument, bytes);
	if (error < 0) return error;
	wanted.copyFrom(terminal.termios);
	if (bytes === TERMIO_BYTES) wanted.decodeOld(scratchView);
	else wanted.decode(scratchView, bytes === TERMIOS2_BYTES);
	if (request === TCSETSF || request === TCSETSF2 || request === TCSETAF) flushInput(terminal);
	terminal.configure(wanted);
	return 0;
}

function flushInput(terminal: Terminal): void {
	terminal.input.clear();
	terminal.discipline.flush();
}

/** TCFLSH, tcflush(3). */
function flush(terminal: Terminal, queue: number): number {
	if (queue !== TCIFLUSH && queue !== TCOFLUSH && queue !== TCIOFLUSH) return -EINVAL;
	if (queue !== TCOFLUSH) flushInput(terminal);
	if (queue !== TCIFLUSH) terminal.driver.discard();
	return 0;
}

/** TCXONC, tcflow(3). */
function flow(terminal: Terminal, action: number): number {
	switch (action) {
		case TCOOFF:
			terminal.isHeld = true;
			terminal.stop();
			return 0;
		case TCOON:
			terminal.isHeld = false;
			terminal.start();
			return 0;
		case TCIOFF:
		case TCION: {
			const byte = terminal.termios.cc[action === TCIOFF ? VSTOP : VSTART]!;
			if (byte !== 0 && terminal.driver.room > 0) terminal.put(byte);
			terminal.driver.flush();
			return 0;
		}
		default:
			return -EINVAL;
	}
}

/** The caller's own terminal, or asked through its master. */
function isOwnOrMaster(task: Task, terminal: Terminal, description: FileDescription): boolean {
	return description.waiters !== terminal.waiters || task.kernel.terminals.of(task) === terminal;
}

/** TIOCSCTTY. Errors: EPERM (leads no session, or has a terminal; the terminal has a session, and it isn't taken by force). */
function takeControl(task: Task, terminal: Terminal, description: FileDescription, argument: number): number {
	const { pid } = task.group;
	const isLeader = native.getsid(pid) === pid;
	if (isLeader && terminal.session === pid) return 0;
	if (!isLeader || task.kernel.terminals.of(task) !== null) return -EPERM;
	const isAdministrator = hasCapability(task.credentials, CAP_SYS_ADMIN);
	if (terminal.session !== 0 && (argument !== 1 || !isAdministrator)) return -EPERM;
	if (!description.isReadable && !isAdministrator) return -EPERM;
	terminal.control(pid, native.getpgid(pid));
	return 0;
}

/** TIOCNOTTY: a session leader gives it up for all, and the foreground group hears of it. Errors: ENOTTY. */
function giveUpControl(task: Task, terminal: Terminal): number {
	const { kernel, group } = task;
	if (kernel.terminals.of(task) !== terminal) return -ENOTTY;
	if (terminal.session !== group.pid) {
		kernel.terminals.giveUp(group);
		return 0;
	}
	const { processGroup } = terminal;
	terminal.release();
	if (processGroup > 0) {
		kernel.signals.sendToProcessGroup(processGroup, SIGHUP);
		kernel.signals.sendToProcessGroup(processGroup, SIGCONT);
	}
	return 0;
}

/** TIOCSPGRP, tcsetpgrp(3). Errors: ENOTTY, EFAULT, EINVAL, ESRCH, EPERM (a group of another session). */
function setForeground(task: Task, terminal: Terminal, argument: number): number {
	const denied = changing(task, terminal);
	if (denied < 0) return denied === -EIO ? -ENOTTY : denied;
	const { kernel, group } = task;
	const session = native.getsid(group.pid);
	if (kernel.terminals.of(task) !== terminal || terminal.session !== session) return -ENOTTY;
	const error = copyIn(task.tid, argument, 4);
	if (error < 0) return error;
	const inside = scratchView.getInt32(0, true);
	if (inside < 0) return -EINVAL;
	const processGroup = outsideGroup(task, inside);
	if (processGroup <= 0) return -ESRCH;
	if (sessionOf(task, processGroup) !== session) return -EPERM;
	terminal.processGroup = processGroup;
	return 0;
}

/** The host's number of a process group, which may have lost its leader: the guest's number is then known by its members alone. */
function outsideGroup({ group: { container } }: Task, inside: number): number {
	const outside = container.outsideId(inside);
	if (outside > 0) return outside;
	for (const group of container.pids.groups.values()) {
		const processGroup = native.getpgid(group.pid);
		if (processGroup > 0 && container.insideId(processGroup) === inside) return processGroup;
	}
	return 0;
}

/** The session of a process group; 0 for one without members. */
function sessionOf({ kernel, group: { container } }: Task, processGroup: number): number {
	if (native.getpgid(processGroup) === processGroup) return native.getsid(processGroup);
	if (kernel.forks.hasOver) kernel.forks.settle();
	for (const group of container.pids.groups.values()) if (native.getpgid(group.pid) === processGroup) return native.getsid(group.pid);
	return 0;
}
