/**
 * The signal mask that ppoll(2), pselect(2) and epoll_pwait(2) wait under; kept in `trap.signalMask` while the call is blocked, so that
 * signals know which of them end it.
 */
export class SignalMaskArgument {
	constructor(
		/** Signals 1–32 and 33–64 that the call blocks. */
		readonly low: number,
		readonly high: number,
		/** Where the mask lies in guest memory. */
		readonly address: number,
	) {}
}
