import { spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';

/** How long a screen may take to show what is waited for. */
const LIMIT_MS = 20_000;
const LOOK_MS = 30;
/** A screen that was the same so many times stands still. */
const STILL_LOOKS = 3;

/** A tmux server of a test's own: terminals in which commands run, at which keys are typed and whose screens are looked at. `close` it. */
export class TmuxServer {
	private readonly name = `isopod-test-${process.pid}`;
	private count = 0;

	/** Starts a command in a window of its own, in `folder`. */
	open(argv: readonly string[], folder: string, columns = 80, rows = 24): TmuxWindow {
		const window = `w${++this.count}`;
		const size = ['-x', `${columns}`, '-y', `${rows}`];
		// A screen stays when its command has ended, and shows its exit status. (tmux's own way, remain-on-exit, loses the status now and then.)
		const script = '"$@"; echo "[status $?]"; exec sleep 1000';
		this.tmux('new-session', '-d', '-s', window, ...size, '-c', folder, '--', 'sh', '-c', script, 'sh', ...argv);
		return new TmuxWindow(this, window);
	}

	/** What a tmux command prints. Throws Error when it fails. */
	tmux(...command: readonly string[]): string {
		const { status, stdout, stderr } = spawnSync('tmux', ['-L', this.name, '-f', '/dev/null', ...command], { encoding: 'utf8' });
		if (status !== 0) throw new Error(`run tmux ${command.join(' ')}: status ${status}, ${stderr}`);
		return stdout;
	}

	close(): void {
		spawnSync('tmux', ['-L', this.name, 'kill-server'], { stdio: 'ignore' });
	}
}

/** One terminal. */
export class TmuxWindow {
	constructor(
		private readonly server: TmuxServer,
		private readonly name: string,
	) {}

	/** Presses keys, by tmux's names (`C-c`, `Enter`, `Left`); what is no name is typed as it is. */
	press(...keys: readonly string[]): void {
		this.server.tmux('send-keys', '-t', this.name, ...keys);
	}

	resize(columns: number, rows: number): void {
		this.server.tmux('resize-window', '-t', this.name, '-x', `${columns}`, '-y', `${rows}`);
	}

	/** What it shows now, without the spaces at the ends of lines, and where the cursor is. */
	screen(): string {
		const cursor = this.server.tmux('display-message', '-p', '-t', this.name, '[#{cursor_x},#{cursor_y}]').trimEnd();
		return `${this.server.tmux('capture-pane', '-p', '-t', this.name).trimEnd()}\n${cursor}`;
	}

	/** Waits until the screen stands still and `isSo`: that screen. Throws Error. */
	async shows(isSo: (screen: string) => boolean, what: string): Promise<string> {
		let before = '';
		let looks = 0;
		for (const end = Date.now() + LIMIT_MS; Date.now() < end; await sleep(LOOK_MS)) {
			const screen = this.screen();
			looks = screen === before ? looks + 1 : 0;
			if (looks >= STILL_LOOKS && isSo(screen)) return screen;
			before = screen;
		}
		throw new Error(`wait for ${what}; there is\n${before}`);
	}

	/** Waits for the end of its command: the exit status. */
	async ended(): Promise<number> {
		const status = /\n\[status (\d+)\]\n/;
		return Number(status.exec(await this.shows((screen) => status.test(screen), "the command's end"))![1]);
	}
}
