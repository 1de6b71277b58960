/** The batch's layout, as native/native.d.ts describes it. */
export const RECORD_WORDS = 20;

export const EVENT_TRAP = 1;
export const EVENT_READY = 2;
export const EVENT_ENDED = 3;
export const EVENT_LENT = 4;
export const EVENT_LISTENER_GONE = 5;
export const EVENT_INTERRUPTED = 6;

/** Word offsets of a trap record. */
export const TRAP_LISTENER = 1;
export const TRAP_ID_LOW = 2;
export const TRAP_ID_HIGH = 3;
export const TRAP_TID = 4;
export const TRAP_NUMBER = 5;
export const TRAP_ARGS = 8;

/** How `lend` ends the trap. */
export const LEND_CONTINUE = 0;
export const LEND_ANSWER = 1;
export const LEND_LEAVE = 2;
