import t from 'tap';
import { SIGINT, SIGTSTP } from '../abi/signal-numbers.js';
import { ECHO, ICANON, ISIG, IUTF8, NOFLSH, OPOST, VMIN, XTABS } from '../abi/termios.js';
import { IoVector } from '../trap/guest-memory.js';
import { ByteQueue } from './byte-queue.js';
import { LineDiscipline, type LineTerminal } from './line-discipline.js';
import { Termios } from './termios.js';

/** A terminal of which the test sees everything. */
class TestTerminal implements LineTerminal {
	readonly termios = new Termios();
	readonly discipline = new LineDiscipline(this);
	readonly input = new ByteQueue(65536);
	readonly signals: number[] = [];
	output = '';
	limit = 100_000;
	isStopped = false;
	flushes = 0;

	get room(): number {
		return this.isStopped ? 0 : this.limit - this.output.length;
	}
	put(byte: number): void {
		this.output += String.fromCharCode(byte);
	}
	signal(signal: number): void {
		this.signals.push(signal);
	}
	flushOutput(): void {
		this.output = '';
	}
	inputFlushed(): void {
		this.flushes++;
	}
	start(): void {
		this.isStopped = false;
		this.discipline.echo();
	}
	stop(): void {
		this.isStopped = true;
	}
	wakeReaders(): void {}

	type(text: string): void {
		for (const character of text) this.input.push(character.charCodeAt(0));
		this.discipline.receive(this.input);
	}

	/** What a read of `length` bytes gives; null when it would wait. */
	read(length = 10_000): string | null {
		if (!this.discipline.isReadable(false)) return null;
		const bytes = Buffer.alloc(length);
		const vector = new IoVector();
		vector.kernel(bytes, 0, length);
		const count = this.discipline.read(vector);
		this.discipline.receive(this.input);
		return bytes.latin1Slice(0, count);
	}

	takeOutput(): string {
		const { output } = this;
		this.output = '';
		return output;
	}

	set(change: (termios: Termios) => void): this {
		const { lflag } = this.termios;
		change(this.termios);
		this.discipline.settingsChanged(lflag);
		return this;
	}
}

t.test('a line is read when it is ended, one at a time', async (t) => {
	const terminal = new TestTerminal();
	terminal.type('one');
	t.equal(terminal.read(), null);
	terminal.type('\rtwo\nthree');
	t.equal(terminal.discipline.readableBytes, 8);
	t.equal(terminal.read(), 'one\n');
	t.equal(terminal.read(2), 'tw');
	t.equal(terminal.read(), 'o\n');
	t.equal(terminal.read(), null);
	t.equal(terminal.takeOutput(), 'one\r\ntwo\r\nthree');
});

t.test('keys edit the line and the screen', async (t) => {
	const edits: readonly [typed: string, line: string, screen: string][] = [
		['ab\x7fc\n', 'ac\n', 'ab\b \bc\r\n'],
		['ab\x15c\n', 'c\n', 'ab\b \b\b \bc\r\n'],
		['a bc \x17d\n', 'a d\n', 'a bc \b \b\b \b\b \bd\r\n'],
		['x\t\x7fy\n', 'xy\n', `x\t${'\b'.repeat(7)}y\r\n`],
		['\x01\x7f\n', '\n', '^A\b \b\b \b\r\n'],
		['\x16\x03\n', '\x03\n', '^\b^C\r\n'],
		['ab\x12\n', 'ab\n', 'ab^R\r\nab\r\n'],
		['\x7f\n', '\n', '\r\n'],
	];
	for (const [typed, line, screen] of edits) {
		const terminal = new TestTerminal();
		terminal.type(typed);
		t.equal(terminal.read(), line, JSON.stringify(typed));
		t.equal(terminal.takeOutput(), screen, JSON.stringify(typed));
	}
});

t.test('IUTF8 erases a character of several bytes whole', async (t) => {
	const terminal = new TestTerminal().set((termios) => {
		termios.iflag |= IUTF8;
	});
	terminal.type('\xe2\x82\xac\x7fx\n');
	t.equal(terminal.read(), 'x\n');
	t.equal(terminal.takeOutput(), '\xe2\x82\xac\b \bx\r\n');
});

t.test('end of file ends a read, empty only at the start of a line', async (t) => {
	const terminal = new TestTerminal();
	terminal.type('ab\x04\x04');
	t.equal(terminal.read(), 'ab');
	t.equal(terminal.read(), '');
	t.equal(terminal.read(), null);
	terminal.type('abc\x04');
	t.equal(terminal.read(3), 'abc');
	t.equal(terminal.read(), null, 'the end that a full buffer has reached is none of its own');
});

t.test('a line has 4095 characters and its end', async (t) => {
	const terminal = new TestTerminal().set((termios) => {
		termios.lflag &= ~ECHO;
	});
	terminal.type(`${'x'.repeat(5000)}y\n`);
	const line = terminal.read()!;
	t.equal(line.length, 4096);
	t.equal(line.at(-1), '\n');
	terminal.type('z\n');
	t.equal(terminal.read(), 'z\n');
});

t.test('raw input waits outside when there is no room', async (t) => {
	const terminal = new TestTerminal().set((termios) => {
		termios.lflag &= ~(ICANON | ECHO);
	});
	terminal.type('x'.repeat(10_000));
	t.equal(terminal.discipline.readableBytes, 4095);
	t.equal(terminal.input.size, 10_000 - 4095);
	let bytes = 0;
	for (let read = terminal.read(1000); read !== null; read = terminal.read(1000)) bytes += read.length;
	t.equal(bytes, 10_000);
});

t.test('VMIN is what poll asks for', async (t) => {
	const terminal = new TestTerminal().set((termios) => {
		termios.lflag &= ~ICANON;
		termios.cc[VMIN] = 3;
	});
	terminal.type('ab');
	t.equal(terminal.discipline.isReadable(true), false);
	t.equal(terminal.discipline.isReadable(false), true);
	terminal.type('c');
	t.equal(terminal.discipline.isReadable(true), true);
});

t.test('signal keys signal, and forget what was typed unless NOFLSH', async (t) => {
	const terminal = new TestTerminal();
	terminal.type('abc\x03\x1ad\n');
	t.same(terminal.signals, [SIGINT, SIGTSTP]);
	t.equal(terminal.read(), 'd\n');
	t.equal(terminal.takeOutput(), '^Zd\r\n');
	terminal.set((termios) => {
		termios.lflag |= NOFLSH;
	});
	terminal.type('abc\x03d\n');
	t.equal(terminal.read(), 'abcd\n');
	terminal.set((termios) => {
		termios.lflag &= ~ISIG;
	});
	terminal.type('\x03\n');
	t.equal(terminal.read(), '\x03\n');
	t.equal(terminal.signals.length, 3);
});

t.test('^S holds output and echo until ^Q', async (t) => {
	const terminal = new TestTerminal();
	terminal.type('\x13ab');
	t.equal(terminal.isStopped, true);
	t.equal(terminal.discipline.write(Buffer.from('out'), 3), 0);
	t.equal(terminal.takeOutput(), '');
	terminal.type('\x11');
	t.equal(terminal.takeOutput(), 'ab');
	for (let i = 0; i < 100; i++) terminal.type(`\x13${'e'.repeat(100)}\x15`);
	terminal.type('\x11');
	t.ok(terminal.takeOutput().length <= 4096 + 100, 'echoes that wait are bounded');
});

t.test('output is processed, and partly when there is no room', async (t) => {
	const terminal = new TestTerminal().set((termios) => {
		termios.oflag |= XTABS;
	});
	t.equal(terminal.discipline.write(Buffer.from('a\n\tb'), 4), 4);
	t.equal(terminal.takeOutput(), 'a\r\n        b');
	terminal.limit = 3;
	t.equal(terminal.discipline.write(Buffer.from('ab\n'), 3), 2, 'a newline needs room for two');
	terminal.set((termios) => {
		termios.oflag &= ~OPOST;
	});
	t.equal(terminal.discipline.write(Buffer.from('\n\n'), 2), 1);
});

t.test('what was typed raw becomes a line', async (t) => {
	const terminal = new TestTerminal().set((termios) => {
		termios.lflag &= ~ICANON;
	});
	terminal.type('abc');
	terminal.set((termios) => {
		termios.lflag |= ICANON;
	});
	t.equal(terminal.read(), 'abc');
	terminal.type('def');
	t.equal(terminal.read(), null);
	terminal.set((termios) => {
		termios.lflag &= ~ICANON;
	});
	t.equal(terminal.read(), 'def');
});
