import { appendFileSync, mkdtempSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { type LogLine, LogReader, lastLines, parseLogLine } from './log-file.js';
import { parseSince } from './logs.js';

const TIME = '2024-01-01T00:00:00.123456789Z';

t.test('parseLogLine()', async (t) => {
	t.match(parseLogLine(Buffer.from(`${TIME} stdout F some text`)), {
		time: TIME,
		stream: 'stdout',
		isPartial: false,
		text: Buffer.from('some text'),
	});
	t.match(parseLogLine(Buffer.from(`${TIME} stderr P  x`)), { stream: 'stderr', isPartial: true, text: Buffer.from(' x') });
	t.match(parseLogLine(Buffer.from(`${TIME} stdout F `)), { text: Buffer.alloc(0) });
	t.match(parseLogLine(Buffer.from(`${TIME} stdout F`)), { text: Buffer.alloc(0) });
	for (const bad of ['', 'x', `${TIME} stdin F x`]) t.equal(parseLogLine(Buffer.from(bad)), null);
});

t.test('a log that grows, is rotated and is cut', async (t) => {
	const folder = mkdtempSync(join(tmpdir(), 'isopod-log-'));
	t.teardown(() => rmSync(folder, { recursive: true }));
	const path = join(folder, '0.log');
	const reader = new LogReader(path);
	const read = (): string[] => {
		const texts: string[] = [];
		reader.read(({ text }) => texts.push(text.toString('latin1')));
		return texts;
	};
	t.same(read(), [], 'not there yet');
	writeFileSync(path, `${TIME} stdout F one\n${TIME} stdout F t`);
	t.same(read(), ['one']);
	appendFileSync(path, 'wo\n');
	t.same(read(), ['two']);
	appendFileSync(path, `${TIME} stdout F before\n`);
	renameSync(path, `${path}.old`);
	t.same(read(), ['before']);
	writeFileSync(path, `${TIME} stdout F after\n`);
	t.same(read(), ['after']);
	truncateSync(path);
	appendFileSync(path, `${TIME} stdout F x\n`);
	t.same([...read(), ...read()], ['x']);
	const large = 'y'.repeat(200_000);
	appendFileSync(path, `${TIME} stdout F ${large}\n`);
	t.same(read(), [large]);
	reader.close();
});

t.test('lastLines() counts pieces of one line once', async (t) => {
	const line = (text: string, isPartial = false): LogLine => ({ time: TIME, stream: 'stdout', text: Buffer.from(text), isPartial });
	const lines = [line('1'), line('2a', true), line('2b'), line('3')];
	const texts = (count: number): string[] => lastLines(lines, count).map(({ text }) => text.toString());
	t.same(texts(0), []);
	t.same(texts(1), ['3']);
	t.same(texts(2), ['2a', '2b', '3']);
	t.same(texts(9), ['1', '2a', '2b', '3']);
});

t.test('parseSince()', async (t) => {
	t.equal(parseSince('90s', 100_000), 10_000);
	t.equal(parseSince('1m30s', 100_000), 10_000);
	t.equal(parseSince('2024-01-01T00:00:00Z', 0), 1_704_067_200_000);
	for (const bad of ['', '5', 'm', '5m!', 'yesterday']) t.throws(() => parseSince(bad, 0), /want a duration/);
});
