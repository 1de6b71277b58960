// Containers at a terminal: each test types at a pty of the host's, whose slave is the terminal of the `isopod` command.

import { spawn } from 'node:child_process';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { ReadStream } from 'node:tty';
import t, { type Test } from 'tap';
import { native } from '../../runtime/native.js';
import { rootfsPath } from '../../runtime/testing/container.js';
import { PROGRAM, until, Workbench } from './testing.js';

const TIOCSWINSZ = 0x5414;
const TCGETS = 0x5401;
const LIMIT_MS = 15_000;

/** A user at a terminal: what is typed, and what appears. */
class User {
	private readonly stream: ReadStream;
	private text = '';
	/** Up to where `sees` has looked. */
	private seen = 0;

	constructor(readonly master: number) {
		this.stream = new ReadStream(master);
		this.stream.on('data', (bytes) => {
			this.text += bytes.toString('latin1');
		});
		this.stream.on('error', () => {});
	}

	type(text: string): void {
		this.stream.write(Buffer.from(text, 'latin1'));
	}

	/** Waits until the screen shows `text`, behind what was looked for before; what came up to it. */
	async sees(text: string): Promise<string> {
		for (const end = Date.now() + LIMIT_MS; ; ) {
			const at = this.text.indexOf(text, this.seen);
			if (at >= 0) {
				const before = this.text.slice(this.seen, at + text.length);
				this.seen = at + text.length;
				return before;
			}
			if (Date.now() > end) throw new Error(`wait for ${JSON.stringify(text)}: there is ${JSON.stringify(this.text.slice(this.seen))}`);
			await new Promise((then) => setTimeout(then, 10));
		}
	}

	/** Types a command and sees what it prints, up to the next prompt. */
	async does(command: string, expected: string): Promise<void> {
		this.type(`${command}\r`);
		await this.sees('\r\n');
		await this.sees(expected);
		await this.sees('$ ');
	}

	resize(rows: number, columns: number): void {
		native.ioctl(this.master, TIOCSWINSZ, new Uint8Array(Uint16Array.of(rows, columns, 0, 0).buffer));
	}

	close(): void {
		this.stream.destroy();
	}
}

/** A terminal, and commands that run at it, in a session of their own. */
class Seat {
	readonly user: User;
	private readonly slave: number;

	constructor(private readonly bench: Workbench) {
		const fds = new Int32Array(2);
		native.openPty(fds);
		this.slave = fds[1]!;
		this.user = new User(fds[0]!);
		this.user.resize(24, 80);
	}

	/** Starts a command: its exit status. */
	run(...args: string[]): Promise<number> {
		const command = ['--ctty', '--wait', process.execPath, PROGRAM, '--root', this.bench.root, ...args];
		const child = spawn('setsid', command, { cwd: this.bench.bundle, stdio: [this.slave, this.slave, this.slave] });
		return new Promise((then) => child.on('close', (code, signal) => then(code ?? (signal === null ? -1 : 128))));
	}

	get settings(): string {
		const bytes = Buffer.alloc(36);
		native.ioctl(this.slave, TCGETS, bytes);
		return bytes.toString('hex');
	}

	close(): void {
		native.close(this.slave);
		this.user.close();
	}
}

function test(name: string, run: (t: Test, bench: Workbench, seat: Seat) => Promise<void>): void {
	t.test(name, async (t) => {
		const bench = new Workbench();
		const seat = new Seat(bench);
		t.teardown(() => {
			seat.close();
			bench.clean();
		});
		await run(t, bench, seat);
	});
}

const TMP = { destination: '/tmp', type: 'tmpfs', source: 'tmpfs', options: ['size=16m'] };
const BASH = ['/bin/bash', '--norc', '--noediting'];

function configureFull(bench: Workbench, args: readonly string[], terminal = true): void {
	const process = { terminal, cwd: '/tmp', env: ['PATH=/usr/bin:/bin', 'TERM=xterm', 'PS1=$ ', 'HOME=/tmp'] };
	bench.configure(args, { root: { path: rootfsPath('full') }, process, mounts: [TMP] });
}

test('bash at a terminal: signals, jobs, size, status; the user’s terminal is given back', async (t, bench, seat) => {
	const { user } = seat;
	configureFull(bench, BASH);
	const before = seat.settings;
	const ended = seat.run('run', 'c1');
	await user.sees('$ ');
	await user.does('tty; stty size', '/dev/pts/0\r\n24 80\r\n');
	user.type('sleep 100\r');
	await user.sees('\r\n');
	user.type('\x03');
	await user.sees('^C\r\n$ ');
	user.type('echo wrong\x15echo ri\x7fight\r');
	await user.sees('\r\nright\r\n$ ');
	user.type('sleep 100; echo never\r');
	await user.sees('\r\n');
	user.type('\x1a');
	await user.sees('Stopped');
	await user.sees('$ ');
	await user.does('jobs', 'Stopped');
	await user.does('bg', 'sleep 100');
	user.type('fg\r');
	await user.sees('sleep 100');
	user.type('\x03');
	await user.sees('$ ');
	await user.does("trap 'echo WINCH' WINCH", '');
	user.resize(33, 99);
	user.type('wait\r');
	await until(() => bench.state('c1').status === 'running');
	user.type('\r');
	await user.sees('WINCH');
	await user.sees('$ ');
	await user.does('stty size', '33 99\r\n');
	await user.does('cat & sleep 0.2; jobs', 'Stopped');
	await user.does('kill -9 %1', '');
	await user.does('python3 -c "import pty; pty.spawn([\'tty\'])"', '/dev/pts/1');
	user.type('exit 7\r');
	t.equal(await ended, 7);
	t.equal(seat.settings, before, 'the settings are restored');
	t.strictSame(bench.leftovers, []);
});

test('exec --tty has a terminal of its own', async (t, bench, seat) => {
	configureFull(bench, ['sleep', '1000'], false);
	t.equal(bench.leave(['run', '--detach', 'c1']), 0);
	const ended = seat.run('exec', '--tty', 'c1', ...BASH);
	await seat.user.sees('$ ');
	await seat.user.does('tty; stty size', '/dev/pts/0\r\n24 80\r\n');
	seat.user.type('printf "%s\\n" on its way; sleep 100\r');
	await seat.user.sees('way\r\n');
	seat.user.type('\x03');
	await seat.user.sees('$ ');
	await seat.user.does("trap 'stty size; exit 3' WINCH", '');
	seat.user.type('while :; do read -t 0.1 x; done\r');
	seat.user.resize(12, 34);
	await seat.user.sees('12 34\r\n');
	t.equal(await ended, 3);
});

/** Listens at a console socket: waits for the terminal that is sent there. */
function consoleSocket(path: string): () => Promise<number> {
	const listener = native.listenUnix(path);
	return async () => {
		let connection = -1;
		await until(() => {
			connection = native.acceptUnix(listener);
			return connection >= 0;
		});
		const fds = new Int32Array(4);
		const count = new Int32Array(1);
		let bytes = 0;
		await until(() => {
			bytes = native.receiveMessage(connection, new Uint8Array(64), 0, 64, fds, count);
			return bytes > 0;
		});
		native.close(connection);
		native.close(listener);
		return fds[0]!;
	};
}

test('a console socket gets the terminal, as from runc', async (t, bench) => {
	let path = join(bench.folder, 'console.sock');
	let receive = consoleSocket(path);
	bench.configure(['sh', '-c', 'trap "exit 5" HUP; trap "echo WINCH; stty size" WINCH; while :; do read x; echo "got $x"; done'], {
		process: { terminal: true, consoleSize: { height: 7, width: 8 } },
	});
	symlinkSync('busybox', join(bench.rootfs, 'bin/stty'));
	symlinkSync('busybox', join(bench.rootfs, 'bin/tty'));
	t.match(bench.isopod(['create', 'c1']), { code: 1, stderr: /cannot allocate tty if isopod will detach without setting console socket/ });
	t.match(bench.isopod(['run', '--console-socket', path, 'c1']), {
		code: 1,
		stderr: /cannot use console socket if isopod will not detach/,
	});
	t.equal(bench.leave(['create', '--console-socket', path, 'c1']), 0);
	const user = new User(await receive());
	t.equal(bench.leave(['start', 'c1']), 0);
	user.type('line\r');
	await user.sees('line\r\ngot line\r\n');
	user.resize(9, 10);
	await user.sees('WINCH\r\n9 10\r\n');
	path = join(bench.folder, 'another.sock');
	receive = consoleSocket(path);
	t.equal(bench.leave(['exec', '--detach', '--tty', '--console-socket', path, 'c1', 'sh', '-c', 'tty; read x; echo "[$x]"']), 0);
	const other = new User(await receive());
	await other.sees('/dev/pts/1\r\n');
	other.type('abc\r');
	await other.sees('[abc]\r\n');
	other.close();
	user.close();
	// Whose terminal is gone gets SIGHUP.
	await until(() => bench.state('c1').status === 'stopped');
});
