import { native } from '../../native.js';
import { Timer } from '../event/timers.js';
import { type Task, TaskState } from './task.js';

const FIRST_LOOK_NS = 50_000;
const LAST_LOOK_NS = 50_000_000;
/** A sender that was answered runs its tgkill within this time, however busy the host is; a stopped one may not. */
const LIMIT_NS = 10_000_000_000;

/**
 * Looks for a signal that a *continued* tgkill(2) sends to a blocked thread of the caller's own process, and ends the call that it interrupts. The host alone
 * can send it with the process's own si_pid, which C libraries ask for, and nobody tells when it has. One per thread, whoever signals it.
 */
export class SignalWatch {
	private readonly timer = new Timer((nowNs) => this.look(nowNs));
	private delayNs = 0;
	private endNs = 0;

	constructor(private readonly task: Task) {}

	/** A tgkill(2) is about to be continued. */
	start(): void {
		this.delayNs = FIRST_LOOK_NS;
		const nowNs = native.monotonicNs();
		this.endNs = nowNs + LIMIT_NS;
		this.task.kernel.timers.arm(this.timer, nowNs + this.delayNs);
	}

	private look(nowNs: number): void {
		const { task } = this;
		if (task.state === TaskState.Dead) return;
		if (task.state === TaskState.Blocked) {
			task.kernel.signals.checkPending(task);
			if ((task.state as TaskState) !== TaskState.Blocked) return;
		}
		if (nowNs >= this.endNs) return;
		this.delayNs = Math.min(this.delayNs * 2, LAST_LOOK_NS);
		task.kernel.timers.arm(this.timer, nowNs + this.delayNs);
	}
}
