import { ConfigError, type Section } from './section.js';

/** Policies by number, sched(7). Those that take the processor from others (real time, deadlines) are refused: a guest could starve its own guest kernel. */
const POLICIES: ReadonlyMap<string, number> = new Map([
	['SCHED_OTHER', 0],
	['SCHED_BATCH', 3],
	['SCHED_IDLE', 5],
]);
const SCHED_FLAG_RESET_ON_FORK = 0x01;
const MIN_NICE = -20;
const MAX_NICE = 19;

/** ioprio_set(2): the class is above 13 bits of level. */
const IOPRIO_CLASS_SHIFT = 13;
const IO_CLASSES: ReadonlyMap<string, number> = new Map([
	['IOPRIO_CLASS_BE', 2],
	['IOPRIO_CLASS_IDLE', 3],
]);
const MAX_IO_LEVEL = 7;

/** `process.scheduler`, sched_setattr(2). */
export interface SchedulerConfig {
	/** SCHED_* number. */
	readonly policy: number;
	/** From 0 to 19: more than others get takes a privilege that sandboxes don't have. */
	readonly nice: number;
	/** SCHED_FLAG_* bits. */
	readonly flags: number;
}

/** Checks a `scheduler` object whole; absent is null. Throws ConfigError naming the field: malformed, or nothing that a sandbox may have. */
export function parseScheduler(scheduler: Section | null): SchedulerConfig | null {
	if (scheduler === null) return null;
	const name = scheduler.string('policy');
	const policy = POLICIES.get(name);
	if (policy === undefined)
		throw new ConfigError(scheduler.name('policy'), `${name} is not honoured: want ${[...POLICIES.keys()].join(', ')}`);
	const nice = scheduler.signed('nice', 0, MIN_NICE, MAX_NICE);
	if (nice < 0)
		throw new ConfigError(scheduler.name('nice'), `${nice} is not honoured: a sandbox may not come before the host's own processes`);
	let flags = 0;
	for (const flag of scheduler.list('flags')) {
		if (flag !== 'SCHED_FLAG_RESET_ON_FORK') throw new ConfigError(scheduler.name('flags'), `${flag} is not honoured`);
		flags |= SCHED_FLAG_RESET_ON_FORK;
	}
	for (const field of ['priority', 'runtime', 'deadline', 'period']) {
		if (scheduler.signed(field, 0, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER) !== 0)
			throw new ConfigError(scheduler.name(field), `${name} has none`);
	}
	scheduler.end();
	return { policy, nice, flags };
}

/** Checks an `ioPriority` object whole: what ioprio_set(2) takes, or null when absent. Throws ConfigError naming the field. */
export function parseIoPriority(ioPriority: Section | null): number | null {
	if (ioPriority === null) return null;
	const name = ioPriority.string('class');
	const number = IO_CLASSES.get(name);
	if (number === undefined)
		throw new ConfigError(ioPriority.name('class'), `${name} is not honoured: want ${[...IO_CLASSES.keys()].join(', ')}`);
	const level = ioPriority.integer('priority', 0, MAX_IO_LEVEL);
	ioPriority.end();
	return (number << IOPRIO_CLASS_SHIFT) | level;
}
