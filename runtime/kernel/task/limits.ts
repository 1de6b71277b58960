import {
	RLIMIT_CORE,
	RLIMIT_MEMLOCK,
	RLIMIT_MSGQUEUE,
	RLIMIT_NICE,
	RLIMIT_NOFILE,
	RLIMIT_NPROC,
	RLIMIT_RTPRIO,
	RLIMIT_SIGPENDING,
	RLIMIT_STACK,
} from '../abi/resource.js';

/** RLIM_INFINITY as a number; encoded as all ones. */
export const INFINITY = Number.POSITIVE_INFINITY;
/** Number of resources, getrlimit(2). */
export const RLIMITS = 16;

/** Resource limits of a thread group (getrlimit(2)): bytes, seconds or counts. `Infinity` is RLIM_INFINITY. */
export class Limits {
	readonly soft = new Float64Array(RLIMITS).fill(INFINITY);
	readonly hard = new Float64Array(RLIMITS).fill(INFINITY);

	constructor() {
		this.set(RLIMIT_STACK, 8 << 20, INFINITY);
		this.set(RLIMIT_CORE, 0, INFINITY);
		this.set(RLIMIT_NOFILE, 1024, 4096);
		this.set(RLIMIT_NPROC, 62000, 62000);
		this.set(RLIMIT_MEMLOCK, 8 << 20, 8 << 20);
		this.set(RLIMIT_SIGPENDING, 62000, 62000);
		this.set(RLIMIT_MSGQUEUE, 819200, 819200);
		this.set(RLIMIT_NICE, 0, 0);
		this.set(RLIMIT_RTPRIO, 0, 0);
	}

	set(resource: number, soft: number, hard: number): void {
		this.soft[resource] = soft;
		this.hard[resource] = hard;
	}

	copy(): Limits {
		const copy = new Limits();
		copy.soft.set(this.soft);
		copy.hard.set(this.hard);
		return copy;
	}
}
