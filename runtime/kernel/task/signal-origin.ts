import { SI_TIMER } from '../abi/signal-numbers.js';
import type { SignalInfo } from './kept-signals.js';

/** siginfo_t on amd64. */
export const SIGINFO_BYTES = 128;
export const SIGINFO_SIGNO = 0;
export const SIGINFO_CODE = 8;
/** si_pid, or a timer's id. */
const SIGINFO_PID = 16;
/** si_uid, or how often a timer has expired beyond the one. */
const SIGINFO_UID = 20;
export const SIGINFO_VALUE = 24;

const bytes = new Uint8Array(SIGINFO_BYTES);
const view = new DataView(bytes.buffer);

/** The siginfo_t of a signal that carries a value: a timer's, or sigqueue(3)'s. Valid until the next one is made. */
export function encodeOrigin(info: SignalInfo): Uint8Array {
	bytes.fill(0);
	view.setInt32(SIGINFO_SIGNO, info.signal, true);
	view.setInt32(SIGINFO_CODE, info.code, true);
	const isTimer = info.code === SI_TIMER;
	view.setInt32(SIGINFO_PID, isTimer ? info.timerId : info.pid, true);
	view.setInt32(SIGINFO_UID, isTimer ? info.overrun : info.uid, true);
	view.setInt32(SIGINFO_VALUE, info.valueLow, true);
	view.setInt32(SIGINFO_VALUE + 4, info.valueHigh, true);
	return bytes;
}
