import { existsSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import type { Connection } from './connection.js';
import { type LogLine, LogReader, lastLines } from './log-file.js';
import type { Commands } from './main.js';
import { findContainer, RUNNING } from './names.js';

const POLL_MS = 200;
/** How often it is asked whether the container still runs. */
const POLLS_PER_LOOK = 3;
/** Lines that are gathered for --tail before those that are too old are dropped. */
const SPARE_LINES = 10_000;

export function registerLogs(commands: Commands): void {
	commands
		.add('logs', '<name>', [
			'isopod logs web  # of the pod web, which has one container',
			'isopod logs -f --tail 20 web/nginx',
			'isopod logs --since 10m --timestamps 4f1c',
			'isopod logs -p web/nginx  # before its last restart',
		])
		.option('-c, --container <name>', 'container of the pod')
		.option('-f, --follow', 'go on while the container runs')
		.option('--tail <lines>', 'only the last lines')
		.option('--since <time>', 'only what is newer than a duration (5m, 1h30m) or an RFC 3339 time')
		.option('-t, --timestamps', 'with the time of each line')
		.option('-p, --previous', 'of the instance before the last restart')
		.action((name: string, options: LogOptions) => commands.run((connection) => logs(connection, name, options)));
}

interface LogOptions {
	readonly container?: string;
	readonly follow?: boolean;
	readonly tail?: string;
	readonly since?: string;
	readonly timestamps?: boolean;
	readonly previous?: boolean;
}

/** The time in milliseconds that `--since` means. Throws for what is neither a duration nor a time. */
export function parseSince(text: string, nowMs: number): number {
	const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
	const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)];
	if (parts.length > 0 && parts.map(([whole]) => whole).join('') === text)
		return nowMs - parts.reduce((sum, [, count, unit]) => sum + Number(count) * units[unit!]!, 0);
	const time = /^\d{4}-/.test(text) ? Date.parse(text) : Number.NaN;
	if (Number.isNaN(time)) throw new Error(`--since: want a duration such as 5m, or an RFC 3339 time, got ${JSON.stringify(text)}`);
	return time;
}

async function logs(connection: Connection, name: string, options: LogOptions): Promise<void> {
	const { follow = false, timestamps = false, previous = false, tail, since, container } = options;
	if (tail !== undefined && !/^(-1|\d{1,9})$/.test(tail)) throw new Error(`--tail: want a number of lines, got ${JSON.stringify(tail)}`);
	const sinceMs = since === undefined ? 0 : parseSince(since, Date.now());
	const found = await findContainer(connection, name, { container, previous: previous ? 1 : 0 });
	const containerId = found.id ?? '';
	const { status } = await connection.call('ContainerStatus', { containerId });
	const path = status?.logPath ?? '';
	if (!isAbsolute(path)) throw new Error(`container ${JSON.stringify(name)} has no log: its pod was made without a log folder`);
	const reader = new LogReader(path);
	const isRecent = ({ time }: LogLine): boolean => sinceMs === 0 || Date.parse(time.replace(/(\.\d{3})\d+/, '$1')) >= sinceMs;
	const print = ({ stream, time, text, isPartial }: LogLine): void => {
		const output = stream === 'stderr' ? process.stderr : process.stdout;
		output.write(Buffer.concat([Buffer.from(timestamps ? `${time} ` : ''), text, Buffer.from(isPartial ? '' : '\n')]));
	};
	const count = tail === undefined || tail === '-1' ? null : Number(tail);
	let kept: LogLine[] = [];
	reader.read((line) => {
		if (!isRecent(line)) return;
		if (count === null) {
			print(line);
			return;
		}
		kept.push(line);
		if (kept.length > 2 * count + SPARE_LINES) kept = [...lastLines(kept, count)];
	});
	for (const line of lastLines(kept, count ?? 0)) print(line);
	if (!follow && !existsSync(path)) throw new Error(`the log ${path} is not on this host`);
	const isRunning = async (): Promise<boolean> => (await connection.call('ContainerStatus', { containerId })).status?.state === RUNNING;
	for (let turn = 1; follow; turn++) {
		const isLast = turn % POLLS_PER_LOOK === 0 && !(await isRunning());
		// The last lines may be written a moment after the end is known.
		await new Promise((resolve) => setTimeout(resolve, POLL_MS));
		reader.read((line) => isRecent(line) && print(line));
		if (isLast) break;
	}
	reader.close();
}
