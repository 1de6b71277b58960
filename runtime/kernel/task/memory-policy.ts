import { ENOMEM } from '../abi/errno.js';
import { bounds } from '../bounds.js';

/** Where memory comes from (Linux: struct mempolicy). There is one node, so it changes nothing but what get_mempolicy(2) answers. */
export interface MemoryPolicy {
	/** MPOL_*, without flags. */
	readonly mode: number;
	/** MPOL_F_*_NODES and MPOL_F_NUMA_BALANCING. */
	readonly flags: number;
	/** The node is in its set. */
	readonly hasNode: boolean;
}

interface Range {
	readonly start: number;
	readonly end: number;
	readonly policy: MemoryPolicy;
}

/** Policies of parts of an address space, mbind(2). They stay when the memory is unmapped. */
export class MemoryPolicies {
	private ranges: readonly Range[] = [];

	/** The policy of an address; null: the task's own. */
	at(address: number): MemoryPolicy | null {
		return this.ranges.find(({ start, end }) => start <= address && address < end)?.policy ?? null;
	}

	/** Sets the policy of a range, or takes it away with null. Errors: ENOMEM. */
	set(start: number, end: number, policy: MemoryPolicy | null): number {
		const next: Range[] = [];
		for (const range of this.ranges) {
			if (range.end <= start || range.start >= end) {
				next.push(range);
				continue;
			}
			if (range.start < start) next.push({ ...range, end: start });
			if (range.end > end) next.push({ ...range, start: end });
		}
		if (policy !== null) next.push({ start, end, policy });
		if (next.length > bounds.memoryPolicyRanges) return -ENOMEM;
		this.ranges = next;
		return 0;
	}

	/** What a forked process gets. */
	copy(): MemoryPolicies {
		const copy = new MemoryPolicies();
		copy.ranges = this.ranges;
		return copy;
	}
}
