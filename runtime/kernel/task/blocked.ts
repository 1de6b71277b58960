/**
 * What a handler returns when its call can't be answered yet: the task stands on wait queues, or has a deadline, and the call runs again when
 * one of them wakes it. Not a number that any system call returns.
 */
export const BLOCKED = -0x1000_0000;

/** The trap was ended, or will be ended, by other means (continued, lent and continued): nothing is to be answered. */
export const ANSWERED = -0x1000_0001;

/** Let the host run the call: safe for every value of its arguments (invariant 2). */
export const CONTINUE = -0x1000_0002;
