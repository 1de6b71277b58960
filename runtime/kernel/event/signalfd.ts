import { EAGAIN, EFAULT, EINVAL } from '../abi/errno.js';
import { O_RDWR } from '../abi/fcntl.js';
import { POLLIN } from '../abi/poll-constants.js';
import { SI_QUEUE, SI_TIMER, SIGCHLD } from '../abi/signal-numbers.js';
import type { Kernel } from '../kernel.js';
import { isInSet, type SignalInfo } from '../task/kept-signals.js';
import type { Task } from '../task/task.js';
import type { IoVector } from '../trap/guest-memory.js';
import { sharedAnonymousInode } from '../vfs/anonymous-inode.js';
import { FileDescription } from '../vfs/file-description.js';

/** struct signalfd_siginfo. */
const INFO_BYTES = 128;
const AT_SIGNO = 0;
const AT_CODE = 8;
const AT_PID = 12;
const AT_UID = 16;
const AT_TID = 24;
const AT_OVERRUN = 32;
const AT_STATUS = 40;
const AT_INT = 44;
const AT_PTR = 48;
const AT_UTIME = 56;
const AT_STIME = 64;

const bytes = new Uint8Array(INFO_BYTES);
const view = new DataView(bytes.buffer);

/** Open ones, of all processes: while there are none, nobody looks for them. */
let openCount = 0;

/** Does any process have a signalfd? */
export function hasSignalFds(): boolean {
	return openCount > 0;
}

/** Signals as a file, signalfd(2). It belongs to nobody: who reads it gets his own signals, as far as the guest kernel keeps them for him. */
export class SignalFd extends FileDescription {
	constructor(
		private readonly kernel: Kernel,
		/** Signals 1–32 and 33–64 that it shows. */
		public low: number,
		public high: number,
		statusFlags: number,
	) {
		super(null, sharedAnonymousInode, O_RDWR | statusFlags);
		openCount++;
	}

	override get anonymousText(): string {
		return 'anon_inode:[signalfd]';
	}

	/** Does it show `signal`? */
	has(signal: number): boolean {
		return isInSet(this.low, this.high, signal);
	}

	override flush(task: Task): void {
		super.flush(task);
		this.kernel.signals.release(task.group);
	}

	protected override close(): void {
		openCount--;
	}

	override read(task: Task, vector: IoVector): number {
		let left = Math.floor(vector.length / INFO_BYTES);
		if (left === 0) return -EINVAL;
		for (; left > 0; left--) {
			const info = task.kept?.take(this.low, this.high) ?? task.group.kept?.take(this.low, this.high) ?? null;
			if (info === null) break;
			encode(info);
			if (vector.copyOut(bytes, 0, INFO_BYTES) !== INFO_BYTES)
				return vector.moved >= INFO_BYTES ? vector.moved - (vector.moved % INFO_BYTES) : -EFAULT;
		}
		if (vector.moved > 0) return vector.moved;
		return this.isNonBlocking ? -EAGAIN : task.blockOn(this.waiters, POLLIN);
	}

	/** Of whoever asks. */
	override poll(): number {
		const task = this.kernel.current;
		if (task === null) return 0;
		const { kept } = task.group;
		const low = (task.kept?.low ?? 0) | (kept?.low ?? 0);
		const high = (task.kept?.high ?? 0) | (kept?.high ?? 0);
		return (low & this.low) !== 0 || (high & this.high) !== 0 ? POLLIN : 0;
	}

	/** As for eventfds (noop_llseek). */
	override seek(): number {
		return 0;
	}

	override get infoText(): string {
		const word = (value: number): string => (value >>> 0).toString(16).padStart(8, '0');
		return `sigmask:\t${word(this.high)}${word(this.low)}\n`;
	}
}

function encode(info: SignalInfo): void {
	bytes.fill(0);
	view.setUint32(AT_SIGNO, info.signal, true);
	view.setInt32(AT_CODE, info.code, true);
	if (info.code === SI_TIMER) {
		view.setInt32(AT_TID, info.timerId, true);
		view.setInt32(AT_OVERRUN, info.overrun, true);
	} else {
		view.setUint32(AT_PID, info.pid, true);
		view.setUint32(AT_UID, info.uid, true);
	}
	if (info.signal === SIGCHLD && info.code > 0) {
		view.setInt32(AT_STATUS, info.status, true);
		view.setUint32(AT_UTIME, info.userTicks, true);
		view.setUint32(AT_STIME, info.systemTicks, true);
	} else if (info.code === SI_QUEUE || info.code === SI_TIMER) {
		view.setInt32(AT_INT, info.valueLow, true);
		view.setInt32(AT_PTR, info.valueLow, true);
		view.setInt32(AT_PTR + 4, info.valueHigh, true);
	}
}
