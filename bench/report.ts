import type { Workload } from './budgets.js';
import type { Start, Steps } from './pod-start.js';
import type { SideName } from './sides.js';

/** What came out for one workload. A side is in `medians` (nanoseconds, or bytes), or in `failures` (why not), or wasn't asked. */
export interface Row {
	readonly workload: Workload;
	readonly medians: Partial<Record<SideName, number>>;
	readonly failures: Partial<Record<SideName, string>>;
	/** Where the time goes, for what is made of several steps: those of the sample in the middle. */
	readonly starts?: Partial<Record<SideName, Start>>;
}

/** The table for a reader, with each budget and whether it is met. */
export function report(rows: readonly Row[]): string {
	const notify = rows.find(({ workload }) => workload.name === 'notify')?.medians.host;
	const lines = [['', 'host', 'gVisor', 'Isopod', '× host', '× gVisor', 'budget', '', 'VM', 'VM, cold']];
	const notes: string[] = [];
	for (const { workload, medians, failures, starts } of rows) {
		const cell = (side: SideName): string => (failures[side] === undefined ? amount(medians[side], workload) : 'failed');
		for (const [side, reason] of Object.entries(failures)) notes.push(`${workload.title}: ${side} failed: ${reason}`);
		for (const [side, { steps, shim }] of Object.entries(starts ?? {})) {
			notes.push(`${workload.title}: ${side}: ${listed(steps)}`);
			if (Object.keys(shim).length > 0) notes.push(`${workload.title}: ${side}'s shim of that: ${listed(shim)}`);
		}
		const { isopod, host, gvisor } = medians;
		const of = { host, gvisor, notify };
		const allowed = workload.budget && of[workload.budget.of];
		lines.push([
			workload.title,
			cell('host'),
			cell('gvisor'),
			cell('isopod'),
			ratio(isopod, host),
			ratio(isopod, gvisor),
			workload.budget ? `≤ ${workload.budget.factor} × ${workload.budget.of}` : '',
			verdict(workload, isopod, allowed),
			cell('clone'),
			cell('boot'),
		]);
	}
	const widths = lines[0]?.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0))) ?? [];
	const text = lines.map((line) =>
		line
			.map((value, column) => (column === 0 ? value.padEnd(widths[column] ?? 0) : value.padStart(widths[column] ?? 0)))
			.join('  ')
			.trimEnd(),
	);
	return `${[...text, '', ...notes].join('\n').trimEnd()}\n`;
}

/** Each step with its milliseconds. */
function listed(steps: Steps): string {
	return Object.entries(steps)
		.map(([name, ms]) => `${name} ${ms.toFixed(0)} ms`)
		.join(', ');
}

function verdict({ budget }: Workload, isopod: number | undefined, allowed: number | undefined): string {
	if (budget === undefined) return '';
	if (isopod === undefined || allowed === undefined) return 'not compared';
	return isopod <= allowed * budget.factor ? 'met' : `missed: ${(isopod / allowed).toFixed(2)}`;
}

function ratio(a: number | undefined, b: number | undefined): string {
	return a === undefined || b === undefined || b === 0 ? '' : (a / b).toFixed(2);
}

function amount(value: number | undefined, { kind }: Workload): string {
	if (value === undefined) return '';
	if (kind === 'memory') return `${(value / 2 ** 20).toFixed(1)} MiB`;
	if (value >= 1e6) return `${(value / 1e6).toFixed(1)} ms`;
	return value >= 1e4 ? `${(value / 1e3).toFixed(1)} µs` : `${value.toFixed(0)} ns`;
}
