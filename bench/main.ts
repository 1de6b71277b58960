// `npm run bench`: the host, gVisor and Isopod side by side, as ratios. `--json`, `--only NAME`, `--rounds N`.

import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { WORKLOADS, type Workload } from './budgets.js';
import { PodStarts, type Start } from './pod-start.js';
import { type Row, report } from './report.js';
import { makeSides, removeScratch, type Side } from './sides.js';

const { values: options } = parseArgs({
	options: { json: { type: 'boolean' }, only: { type: 'string', multiple: true }, rounds: { type: 'string', default: '3' } },
});
const roundCount = Number(options.rounds);
if (!Number.isInteger(roundCount) || roundCount < 1) throw new Error(`--rounds ${options.rounds}: a whole number above 0 was wanted`);
for (const name of options.only ?? []) {
	if (WORKLOADS.some((workload) => workload.name === name)) continue;
	throw new Error(`--only ${name}: there are ${WORKLOADS.map((workload) => workload.name).join(', ')}`);
}

/** The package's root: bench/ is compiled to dist/bench/. */
const packageRoot = ((folder: string): string => {
	while (!existsSync(join(folder, 'binding.gyp'))) folder = dirname(folder);
	return folder;
})(import.meta.dirname);

const scratch = mkdtempSync(join(tmpdir(), 'isopod-bench-'));
process.once('exit', () => removeScratch(scratch));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

const sides = makeSides(makeTree(join(scratch, 'tree')), scratch, packageRoot);
const isWanted = ({ name }: Workload): boolean =>
	options.only === undefined || options.only.includes(name) || (name === 'notify' && options.only.some(needsNotify));
const rows: Row[] = [];
const pods: { value?: PodStarts } = {};
for (const workload of WORKLOADS.filter(isWanted)) {
	process.stderr.write(`${workload.title} ...\n`);
	rows.push(workload.kind === 'pod' ? await measurePod(workload) : await measure(workload));
}
await pods.value?.close();
process.stdout.write(options.json ? `${JSON.stringify(rows, undefined, '\t')}\n` : report(rows));

function needsNotify(name: string): boolean {
	return WORKLOADS.some((workload) => workload.name === name && workload.budget?.of === 'notify');
}

/** A machine's processor is the host's, or an emulated one: only what a machine itself costs is measured. */
function isOfNoUse({ kind }: Workload, { name }: Side): boolean {
	if (name === 'host') return kind === 'memory';
	return kind === 'floor' || ((name === 'clone' || name === 'boot') && kind === undefined);
}

/** Rounds go through the sides in turn, so that whatever else the machine does falls on all of them. */
async function measure(workload: Workload): Promise<Row> {
	const row: Row = { workload, medians: {}, failures: {} };
	const samples = new Map<Side, number[]>(sides.map((side) => [side, []]));
	for (let round = 0; round < roundCount; round++) {
		for (const side of sides) {
			const isLeftOut = isOfNoUse(workload, side);
			if (isLeftOut || row.failures[side.name] !== undefined) continue;
			const sample = await measureOnce(workload, side);
			if (typeof sample === 'string') row.failures[side.name] = sample;
			else samples.get(side)?.push(sample);
		}
	}
	for (const [side, numbers] of samples) {
		const middle = numbers.sort((a, b) => a - b)[numbers.length >> 1];
		if (middle !== undefined && row.failures[side.name] === undefined) row.medians[side.name] = middle;
	}
	return row;
}

/** As `measure`, step by step. */
async function measurePod(workload: Workload): Promise<Row> {
	const row: Row = { workload, medians: {}, failures: { ...workload.without }, starts: {} };
	pods.value ??= await PodStarts.open();
	const samples = new Map<Side, Start[]>(sides.map((side) => [side, []]));
	for (let round = 0; round < roundCount; round++) {
		for (const side of sides) {
			if (side.name === 'boot' || row.failures[side.name] !== undefined) continue;
			const sample = await pods.value.measure(workload.name, side.name);
			if (typeof sample === 'string') row.failures[side.name] = sample;
			else samples.get(side)?.push(sample);
		}
	}
	const sum = ({ steps }: Start): number => Object.values(steps).reduce((total, ms) => total + ms, 0);
	for (const [{ name }, all] of samples) {
		const middle = all.sort((a, b) => sum(a) - sum(b))[all.length >> 1];
		if (middle === undefined || row.failures[name] !== undefined) continue;
		row.medians[name] = sum(middle) * 1e6;
		if (Object.keys(middle.steps).length > 1) row.starts![name] = middle;
	}
	return row;
}

/** Nanoseconds for one operation, or bytes; or why there is no number. */
async function measureOnce({ name, kind, count, gvisorCount }: Workload, side: Side): Promise<number | string> {
	if (kind === 'memory') return side.memory();
	const result = side.run([name, String(side.name === 'gvisor' ? gvisorCount : count)]);
	if ('failure' in result) return result.failure;
	const number = kind === 'start' ? result.ms * 1e6 : Number.parseFloat(result.text);
	return Number.isFinite(number) ? number : `it printed ${JSON.stringify(result.text)}`;
}

/** A tree with the static program as /bench and a file of 64 KiB. */
function makeTree(tree: string): string {
	for (const folder of ['data', 'proc', 'dev', 'sys', 'tmp']) mkdirSync(join(tree, folder), { recursive: true });
	writeFileSync(join(tree, 'data/file'), Buffer.alloc(65536));
	const source = join(packageRoot, 'bench/workloads/workloads.c');
	const program = join(scratch, 'workloads');
	execFileSync('cc', ['-O2', '-Wall', '-Wextra', '-Werror', '-static', '-pthread', '-o', program, source], { stdio: 'inherit' });
	copyFileSync(program, join(tree, 'bench'));
	return tree;
}
