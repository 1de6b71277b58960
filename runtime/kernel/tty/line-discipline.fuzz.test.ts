import fc from 'fast-check';
import t from 'tap';
import { IoVector } from '../trap/guest-memory.js';
import { ByteQueue } from './byte-queue.js';
import { LineDiscipline, type LineTerminal } from './line-discipline.js';
import { Termios } from './termios.js';

const RUNS = 3000;
const ERASE = '\x7f';
const KILL = '\x15';
const WORD_ERASE = '\x17';
const LITERAL_NEXT = '\x16';
const END_OF_FILE = '\x04';

/** A terminal that swallows what is echoed; what it shows never exceeds what it said it has room for. */
function makeTerminal(room: () => number): { type(text: string): void; read(length: number): string | null; waiting(): number } {
	const input = new ByteQueue(65536);
	const terminal: LineTerminal = {
		termios: new Termios(),
		get room() {
			return room();
		},
		isStopped: false,
		put: () => {},
		signal: () => {},
		flushOutput: () => {},
		inputFlushed: () => {},
		start: () => {},
		stop: () => {},
		wakeReaders: () => {},
	};
	const discipline = new LineDiscipline(terminal);
	return {
		type: (text) => {
			for (const character of text) input.push(character.charCodeAt(0));
			discipline.receive(input);
		},
		read: (length) => {
			if (!discipline.isReadable(false)) return null;
			const bytes = Buffer.alloc(length);
			const vector = new IoVector();
			vector.kernel(bytes, 0, length);
			const count = discipline.read(vector);
			discipline.receive(input);
			return bytes.latin1Slice(0, count);
		},
		waiting: () => discipline.readableBytes,
	};
}

const key = fc.constantFrom('a', 'b', ' ', '\t', '\n', '\r', ERASE, ERASE, KILL, LITERAL_NEXT, END_OF_FILE);
const typed = fc.array(key, { minLength: 1, maxLength: 12 }).map((keys) => ({ text: keys.join(''), length: 0 }));
const read = fc.integer({ min: 1, max: 8 }).map((length) => ({ text: '', length }));

t.test('a canonical terminal gives the lines that a list of characters gives', async (t) => {
	fc.assert(
		fc.property(fc.array(fc.oneof(typed, read), { maxLength: 30 }), (steps) => {
			const terminal = makeTerminal(() => 1_000_000);
			/** Ended lines, with their ends ('' for an end of file alone), and the one that is edited. */
			const lines: { text: string; isEndOfFile: boolean }[] = [];
			let line: string[] = [];
			let isLiteral = false;
			for (const { text, length } of steps) {
				for (const character of text) {
					if (isLiteral) {
						line.push(character);
						isLiteral = false;
					} else if (character === ERASE) line.pop();
					else if (character === KILL) line = [];
					else if (character === LITERAL_NEXT) isLiteral = true;
					else if (character === END_OF_FILE) {
						lines.push({ text: line.join(''), isEndOfFile: true });
						line = [];
					} else if (character === '\n' || character === '\r') {
						lines.push({ text: `${line.join('')}\n`, isEndOfFile: false });
						line = [];
					} else line.push(character);
				}
				if (text !== '') {
					terminal.type(text);
					continue;
				}
				const got = terminal.read(length);
				const first = lines[0];
				if (first === undefined) {
					if (got !== null) return false;
					continue;
				}
				if (got !== first.text.slice(0, length)) return false;
				first.text = first.text.slice(length);
				if (first.text === '') lines.shift();
			}
			return true;
		}),
		{ numRuns: RUNS },
	);
	t.pass('every run agreed');
});

const anything = fc.string({ unit: 'binary-ascii', maxLength: 300 }).map((text) => ({ text: `${text}${WORD_ERASE}`, length: 0 }));

t.test('whatever is typed, a read gives at most what it asked for, and no more waits than a line and its buffer hold', async (t) => {
	fc.assert(
		fc.property(fc.array(fc.oneof(anything, read), { maxLength: 60 }), fc.nat(200), (steps, room) => {
			const terminal = makeTerminal(() => room);
			return steps.every(({ text, length }) => {
				if (text !== '') terminal.type(text);
				else if ((terminal.read(length)?.length ?? 0) > length) return false;
				return terminal.waiting() <= 4096;
			});
		}),
		{ numRuns: RUNS / 10 },
	);
	t.pass('every run agreed');
});
