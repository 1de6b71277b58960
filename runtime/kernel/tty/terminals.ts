import { native } from '../../native.js';
import { SIGCONT, SIGHUP } from '../abi/signal-numbers.js';
import type { Kernel } from '../kernel.js';
import type { Task } from '../task/task.js';
import type { ThreadGroup } from '../task/thread-group.js';
import type { Terminal } from './terminal.js';

/** Which session has which controlling terminal. Sessions are the host's, by the numbers that the sandbox process sees. */
export class Terminals {
	private readonly bySession = new Map<number, Terminal>();
	/** Foreground groups of sessions whose terminal was hung up: they hear of their leader's end (Linux: tty_old_pgrp). */
	private readonly formerForeground = new Map<number, number>();
	/** Processes that gave their session's terminal up alone (TIOCNOTTY). */
	private readonly without = new WeakSet<ThreadGroup>();
	/** Terminals there are. */
	count = 0;

	constructor(private readonly kernel: Kernel) {}

	/** The controlling terminal of a task's process, or null. */
	of({ group }: Task): Terminal | null {
		return this.ofGroup(group);
	}

	ofGroup(group: ThreadGroup): Terminal | null {
		if (this.bySession.size === 0 || this.without.has(group)) return null;
		return this.bySession.get(native.getsid(group.pid)) ?? null;
	}

	attach(session: number, terminal: Terminal): void {
		this.bySession.set(session, terminal);
	}
	detach(session: number): void {
		this.bySession.delete(session);
	}
	rememberForeground(session: number, processGroup: number): void {
		if (processGroup > 0) this.formerForeground.set(session, processGroup);
	}

	/** TIOCNOTTY of a process that leads no session. */
	giveUp(group: ThreadGroup): void {
		this.without.add(group);
	}

	/** A process has ended: if it led a session, that loses its terminal (Linux: disassociate_ctty). */
	ended(group: ThreadGroup): void {
		this.bySession.get(group.pid)?.leaderEnded();
		const former = this.formerForeground.get(group.pid);
		if (former === undefined) return;
		this.formerForeground.delete(group.pid);
		this.kernel.signals.sendToProcessGroup(former, SIGHUP);
		this.kernel.signals.sendToProcessGroup(former, SIGCONT);
	}
}
