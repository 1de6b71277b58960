import { CAP_LAST } from '../abi/capability-sets.js';

/** A set of capabilities as two 32-bit words (capabilities 0–31, 32–63), so that it needs no BigInt. Immutable. */
export class CapabilitySet {
	constructor(
		readonly low: number,
		readonly high: number,
	) {}

	static readonly empty = new CapabilitySet(0, 0);
	static readonly full = CapabilitySet.of(Array.from({ length: CAP_LAST + 1 }, (_, capability) => capability));

	static of(capabilities: Iterable<number>): CapabilitySet {
		let low = 0;
		let high = 0;
		for (const capability of capabilities) {
			if (capability < 32) low |= 1 << capability;
			else high |= 1 << (capability - 32);
		}
		return new CapabilitySet(low, high);
	}

	has(capability: number): boolean {
		return capability < 32 ? (this.low & (1 << capability)) !== 0 : (this.high & (1 << (capability - 32))) !== 0;
	}
	and(other: CapabilitySet): CapabilitySet {
		return new CapabilitySet(this.low & other.low, this.high & other.high);
	}
	or(other: CapabilitySet): CapabilitySet {
		return new CapabilitySet(this.low | other.low, this.high | other.high);
	}
	without(other: CapabilitySet): CapabilitySet {
		return new CapabilitySet(this.low & ~other.low, this.high & ~other.high);
	}
	isSubsetOf(other: CapabilitySet): boolean {
		return (this.low & ~other.low) === 0 && (this.high & ~other.high) === 0;
	}
	get isEmpty(): boolean {
		return this.low === 0 && this.high === 0;
	}
	/** As /proc/PID/status shows it: 16 hexadecimal digits. */
	toString(): string {
		return (this.high >>> 0).toString(16).padStart(8, '0') + (this.low >>> 0).toString(16).padStart(8, '0');
	}
}

/** Who a task acts as (Linux: struct cred; credentials(7), capabilities(7)). Immutable: a change makes a new one. Virtual: the host never sees them. */
export interface Credentials {
	readonly uid: number;
	readonly euid: number;
	readonly suid: number;
	readonly fsuid: number;
	readonly gid: number;
	readonly egid: number;
	readonly sgid: number;
	readonly fsgid: number;
	/** Supplementary groups. */
	readonly groups: readonly number[];
	readonly permitted: CapabilitySet;
	readonly effective: CapabilitySet;
	readonly inheritable: CapabilitySet;
	readonly bounding: CapabilitySet;
	readonly ambient: CapabilitySet;
	readonly noNewPrivs: boolean;
	/** SECBIT_* (capabilities(7)). */
	readonly securebits: number;
}

export function hasCapability(credentials: Credentials, capability: number): boolean {
	return credentials.effective.has(capability);
}

export function isInGroup(credentials: Credentials, gid: number): boolean {
	return credentials.fsgid === gid || credentials.groups.includes(gid);
}

/** Credentials of a container's first process before any set-uid program ran. */
export function initialCredentials(
	uid: number,
	gid: number,
	groups: readonly number[],
	capabilities: {
		permitted: CapabilitySet;
		effective: CapabilitySet;
		inheritable: CapabilitySet;
		bounding: CapabilitySet;
		ambient: CapabilitySet;
	},
	noNewPrivs: boolean,
): Credentials {
	return {
		uid,
		euid: uid,
		suid: uid,
		fsuid: uid,
		gid,
		egid: gid,
		sgid: gid,
		fsgid: gid,
		groups,
		...capabilities,
		noNewPrivs,
		securebits: 0,
	};
}
