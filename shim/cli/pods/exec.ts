import { runCommand } from '../../cri/streaming/client.js';
import type { TerminalSize } from '../../cri/streaming/session.js';
import type { Connection } from './connection.js';
import type { Commands } from './main.js';
import { findContainer } from './names.js';

interface ExecOptions {
	readonly stdin?: boolean;
	readonly tty?: boolean;
	readonly container?: string;
	readonly quiet?: boolean;
}

export function registerExec(commands: Commands): void {
	commands
		.add('exec', '<name> [command...]', [
			'isopod exec -it web -- sh',
			'isopod exec web/nginx -- nginx -t',
			'tar -c . | isopod exec -i web -c nginx -- tar -x -C /srv',
		])
		.option('-i, --stdin', 'pass what is typed')
		.option('-t, --tty', 'with a terminal')
		.option('-c, --container <name>', 'container of the pod')
		.passThroughOptions(!commands.hasSeparator)
		.action((name: string, command: string[], options: ExecOptions) =>
			commands.run((connection) => exec(connection, name, command[0] === '--' ? command.slice(1) : command, options)),
		);
	commands
		.add('attach', '<name>', ['isopod attach web', 'isopod attach -it web/shell'])
		.option('-i, --stdin', 'pass what is typed')
		.option('-t, --tty', 'the container has a terminal')
		.option('-c, --container <name>', 'container of the pod')
		.action((name: string, options: ExecOptions) => commands.run((connection) => attach(connection, name, options)));
}

async function exec(connection: Connection, name: string, command: readonly string[], options: ExecOptions): Promise<number> {
	if (command.length === 0) throw new Error('you must specify at least one command for the container');
	const { id } = await findContainer(connection, name, { container: options.container, mustRun: true });
	const isTerminal = wantsTerminal(options);
	const hasStdin = options.stdin ?? false;
	const fields = { containerId: id ?? '', cmd: [...command], tty: isTerminal, stdin: hasStdin, stdout: true, stderr: !isTerminal };
	const { url } = await connection.call('Exec', fields);
	return runOnTerminal(url, hasStdin, isTerminal);
}

async function attach(connection: Connection, name: string, options: ExecOptions): Promise<number> {
	const { id } = await findContainer(connection, name, { container: options.container, mustRun: true });
	const isTerminal = wantsTerminal(options);
	const hasStdin = options.stdin ?? false;
	const fields = { containerId: id ?? '', tty: isTerminal, stdin: hasStdin, stdout: true, stderr: !isTerminal };
	const { url } = await connection.call('Attach', fields);
	return runOnTerminal(url, hasStdin, isTerminal);
}

function wantsTerminal({ tty = false, stdin = false }: ExecOptions): boolean {
	if (tty && stdin && process.stdin.isTTY !== true) {
		process.stderr.write('Unable to use a TTY - input is not a terminal or the right kind of file\n');
		return false;
	}
	return tty;
}

/** Connects a command with this program's own streams; its terminal is raw meanwhile. */
async function runOnTerminal(url: string, hasStdin: boolean, isTerminal: boolean): Promise<number> {
	const { stdin, stdout, stderr } = process;
	const isRaw = isTerminal && hasStdin && stdin.isTTY === true;
	const restore = (): void => {
		if (isRaw) stdin.setRawMode(false);
	};
	const watchSize = (listener: (size: TerminalSize) => void): (() => void) => {
		const tell = (): void => {
			if (stdout.isTTY === true) listener({ columns: stdout.columns, rows: stdout.rows });
		};
		tell();
		stdout.on('resize', tell);
		return () => stdout.off('resize', tell);
	};
	if (isRaw) stdin.setRawMode(true);
	process.on('exit', restore);
	try {
		return await runCommand(url, {
			stdin: hasStdin ? stdin : null,
			stdout,
			stderr: isTerminal ? null : stderr,
			...(isTerminal ? { watchSize } : {}),
		});
	} finally {
		restore();
		process.off('exit', restore);
		// What is typed from now on is the shell's; an input that never ends must not keep this program.
		if (hasStdin) stdin.destroy();
	}
}
