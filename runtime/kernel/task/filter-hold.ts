import { bounds } from '../bounds.js';
import type { Kernel } from '../kernel.js';

/** One installed filter: it exists as long as a process has it. */
interface InstalledFilter {
	readonly instructions: number;
	holders: number;
}

/** The seccomp filters of a process, which its children share. */
export class FilterHold {
	private readonly filters: InstalledFilter[] = [];

	constructor(private readonly kernel: Kernel) {}

	/** Counts one more of `instructions`: false, if that is too much. */
	add(instructions: number): boolean {
		if (this.kernel.filterInstructions + instructions > bounds.filterInstructions) return false;
		this.kernel.filterInstructions += instructions;
		this.filters.push({ instructions, holders: 1 });
		return true;
	}

	/** The last one `add`ed with that many was not installed after all. */
	cancel(instructions: number): void {
		const at = this.filters.findLastIndex((filter) => filter.instructions === instructions && filter.holders === 1);
		if (at >= 0) this.drop(this.filters.splice(at, 1)[0]!);
	}

	/** What a forked process has. */
	copy(): FilterHold {
		const copy = new FilterHold(this.kernel);
		for (const filter of this.filters) {
			filter.holders++;
			copy.filters.push(filter);
		}
		return copy;
	}

	/** The process has ended. */
	release(): void {
		for (const filter of this.filters.splice(0)) this.drop(filter);
	}

	private drop(filter: InstalledFilter): void {
		if (--filter.holders === 0) this.kernel.filterInstructions -= filter.instructions;
	}
}
