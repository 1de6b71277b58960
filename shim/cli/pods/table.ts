// How lists are shown.

import { stringify } from 'yaml';

export type Row = readonly string[];

/** Columns of text, each as wide as its widest cell, with three spaces between, as kubectl shows them. */
export function table(header: Row, rows: readonly Row[]): string {
	const clean = [header, ...rows.map((row) => row.map(printable))];
	const widths = header.map((_, at) => Math.max(...clean.map((row) => row[at]?.length ?? 0)));
	return clean.map((row) => `${row.map((cell, at) => (at === row.length - 1 ? cell : cell.padEnd(widths[at]!))).join('   ')}\n`).join('');
}

/** Names come from whoever made the container: nothing of them may speak to the user's terminal. */
export function printable(text: string): string {
	// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
	return text.replace(/[\x00-\x1f\x7f-\x9f]/g, '?');
}

export type Format = 'table' | 'wide' | 'json' | 'yaml' | 'name';
export const FORMATS = ['wide', 'json', 'yaml', 'name'] as const;

export interface Column<T> {
	readonly title: string;
	readonly cell: (item: T) => string;
	/** Only with `-o wide`. */
	readonly isWide?: boolean;
}

/** Prints a list in the way that the user wants. `plain` is what JSON and YAML show of an item, `name` what scripts take. */
export function printList<T>(
	items: readonly T[],
	format: Format,
	columns: readonly Column<T>[],
	plain: (item: T) => object,
	name: (item: T) => string,
	isQuiet = false,
): void {
	if (isQuiet || format === 'name') process.stdout.write(items.map((item) => `${printable(name(item))}\n`).join(''));
	else if (format === 'json' || format === 'yaml') printValue(items.map(plain), format);
	else {
		const shown = columns.filter(({ isWide }) => isWide !== true || format === 'wide');
		process.stdout.write(
			table(
				shown.map(({ title }) => title),
				items.map((item) => shown.map(({ cell }) => cell(item))),
			),
		);
	}
}

export function printValue(value: unknown, format: 'json' | 'yaml'): void {
	process.stdout.write(format === 'json' ? `${JSON.stringify(value, null, 4)}\n` : stringify(value));
}

const UNITS = [
	[86_400, 'd'],
	[3600, 'h'],
	[60, 'm'],
] as const;

/** How long ago a time in nanoseconds was, as kubectl tells it: 5s, 3m20s, 2h, 4d. */
export function age(timeNs: number, nowMs = Date.now()): string {
	if (timeNs <= 0) return '<unknown>';
	return duration(Math.max(0, Math.floor(nowMs / 1000 - timeNs / 1e9)));
}

export function duration(seconds: number): string {
	for (const [at, [unit, letter]] of UNITS.entries()) {
		// Two units while the first one says little.
		if (seconds < unit * (at === 2 ? 2 : 1)) continue;
		const whole = Math.floor(seconds / unit);
		const [smaller, small] = UNITS[at + 1] ?? [1, 's'];
		const rest = Math.floor((seconds % unit) / smaller);
		return rest > 0 && whole < 10 ? `${whole}${letter}${rest}${small}` : `${whole}${letter}`;
	}
	return `${seconds}s`;
}

/** A number of bytes with three digits: 1.21MiB. */
export function bytes(count: number): string {
	let unit = 0;
	while (count >= 1000 && unit < 6) {
		count /= 1024;
		unit++;
	}
	const digits = unit === 0 || count >= 100 ? 0 : count >= 10 ? 1 : 2;
	return `${count.toFixed(digits)}${['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'][unit]}`;
}
