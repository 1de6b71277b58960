/**
 * What the loader and the guest kernel say to each other at exec: native/plan.h, which states the meaning of each field.
 */
export const NR_PLAN = 0x1505;
/** The instruction pointer behind the loader's mapping gate: ISOPOD_GATE_IP. */
export const GATE_IP = 0x68000001000a;
export const PLAN_VERSION = 1;
export const MAX_SEGMENTS = 32;
export const MAX_STRINGS = 8192;
export const PLAN_STACK_EXECUTABLE = 1;
export const OBJECT_PROGRAM = 0;
export const OBJECT_INTERPRETER = 1;

const OBJECTS = 8;
const OBJECT_BYTES = 5 * 8;
const SEGMENT_COUNT = OBJECTS + 2 * OBJECT_BYTES;
const SEGMENTS = SEGMENT_COUNT + 8;
const SEGMENT_BYTES = 8 * 8;
const TAIL = SEGMENTS + MAX_SEGMENTS * SEGMENT_BYTES;
const STRINGS = TAIL + 12 * 8;
export const PLAN_BYTES = STRINGS + MAX_STRINGS;

export interface PlanObject {
	readonly spanAddress: number;
	/** Bytes; 0: there is no such object. */
	readonly spanLength: number;
	readonly isFixed: boolean;
	readonly entry: number;
	readonly base: number;
}

export interface PlanSegment {
	readonly address: number;
	readonly fileLength: number;
	readonly fileOffset: number;
	readonly memoryLength: number;
	readonly prot: number;
	readonly zeroFrom: number;
	readonly zeroLength: number;
	readonly object: number;
}

export interface Plan {
	readonly program: PlanObject;
	readonly interpreter: PlanObject | null;
	readonly segments: readonly PlanSegment[];
	readonly phdr: number;
	readonly phnum: number;
	readonly uid: number;
	readonly euid: number;
	readonly gid: number;
	readonly egid: number;
	readonly isSecure: boolean;
	readonly flags: number;
	/** How many of the caller's arguments `strings` stand in for. */
	readonly dropArguments: number;
	readonly strings: readonly string[];
	/** Which string is AT_EXECFN, counted from 1; 0 keeps the caller's path. */
	readonly execfnString: number;
}

/** How many bytes a plan takes: more than PLAN_BYTES when its strings don't fit. */
export function planLength(plan: Plan): number {
	let length = STRINGS;
	for (const text of plan.strings) length += text.length + 1;
	return length;
}

/** Encodes a plan that fits into `out`, which has PLAN_BYTES, and returns its length. */
export function encodePlan(plan: Plan, out: Buffer): number {
	const length = planLength(plan);
	let at = 0;
	const put = (value: number): void => {
		const low = value >>> 0;
		out.writeUInt32LE(low, at);
		out.writeUInt32LE((value - low) / 0x1_0000_0000, at + 4);
		at += 8;
	};
	out.fill(0, 0, length);
	put(PLAN_VERSION);
	for (const object of [plan.program, plan.interpreter]) {
		if (object === null) at += OBJECT_BYTES;
		else for (const value of [object.spanAddress, object.spanLength, object.isFixed ? 1 : 0, object.entry, object.base]) put(value);
	}
	put(plan.segments.length);
	for (const segment of plan.segments) {
		put(segment.address);
		put(segment.fileLength);
		put(segment.fileOffset);
		put(segment.memoryLength);
		put(segment.prot);
		put(segment.zeroFrom);
		put(segment.zeroLength);
		put(segment.object);
	}
	at = TAIL;
	for (const value of [plan.phdr, plan.phnum, plan.uid, plan.euid, plan.gid, plan.egid, plan.isSecure ? 1 : 0, plan.flags]) put(value);
	for (const value of [plan.dropArguments, plan.strings.length, length - STRINGS, plan.execfnString]) put(value);
	for (const text of plan.strings) {
		out.latin1Write(text, at);
		at += text.length + 1;
	}
	return length;
}
