// The commands for people: they speak CRI to a server, isopod's own or another, such as containerd's.

import { Command, CommanderError } from 'commander';
import { CATALOG, type CommandName } from './catalog.js';
import { registerCompletion } from './completion.js';
import { Connection, DEFAULT_ENDPOINT } from './connection.js';
import { registerContainers } from './containers.js';
import { registerCopy } from './copy.js';
import { registerEvents } from './events.js';
import { registerExec } from './exec.js';
import { registerImages } from './images.js';
import { registerLogs } from './logs.js';
import { registerPods } from './pods.js';
import { registerPortForward } from './port-forward.js';
import { registerStats } from './stats.js';
import { printable } from './table.js';
import { registerTop } from './top.js';

const DEFAULT_TIMEOUT = 10;

/** What the files of the commands make them with. */
export interface Commands {
	/** Whether the command line has `--`: options may then stand up to there, as with kubectl. */
	readonly hasSeparator: boolean;
	/** A command with the options that all have, and its examples in its help. */
	add(name: CommandName, operands: string, examples: readonly string[]): Command;
	/** A subcommand of `parent`. */
	addTo(parent: Command, name: string, operands: string, description: string, examples: readonly string[]): Command;
	/** Runs an action with a connection to the server that the command line names; a number that it resolves with is the exit code. */
	run(action: (connection: Connection) => Promise<unknown>): Promise<void>;
}

/** Runs a command line, without the program's name. `oci` has the other commands, for completion. */
export async function main(args: readonly string[], oci: Command): Promise<void> {
	const program = makeProgram(args.includes('--'), oci);
	try {
		await program.parseAsync(args, { from: 'user' });
	} catch (error) {
		if (error instanceof CommanderError) process.exitCode = error.exitCode;
		else {
			const message = error instanceof Error ? error.message : String(error);
			// Some of it is what a container has said.
			process.stderr.write(`isopod: ${message.split('\n').map(printable).join('\n')}\n`);
			process.exitCode = 1;
		}
	}
}

function makeProgram(hasSeparator: boolean, oci: Command): Command {
	const program = new Command('isopod')
		.enablePositionalOptions()
		.exitOverride()
		.showHelpAfterError("(add --help for the command's options)");
	withConnection(program);
	const finish = (command: Command, examples: readonly string[]): Command => {
		withConnection(command.exitOverride());
		if (examples.length > 0) command.addHelpText('after', `\nExamples:\n${examples.map((example) => `  ${example}\n`).join('')}`);
		return command;
	};
	let current: Command = program;
	program.hook('preAction', (_, command) => {
		current = command;
	});
	const commands: Commands = {
		hasSeparator,
		add: (name, operands, examples) => finish(program.command(`${name} ${operands}`.trim()).description(CATALOG[name]), examples),
		addTo: (parent, name, operands, description, examples) =>
			finish(parent.command(`${name} ${operands}`.trim()).description(description), examples),
		run: async (action) => {
			const { runtimeEndpoint, timeout } = current.optsWithGlobals<{ runtimeEndpoint?: string; timeout?: string }>();
			const seconds = Number(timeout ?? DEFAULT_TIMEOUT);
			if (!(seconds > 0)) throw new Error(`--timeout: want seconds, got ${JSON.stringify(timeout)}`);
			const endpoint = runtimeEndpoint ?? (process.env['CONTAINER_RUNTIME_ENDPOINT'] || DEFAULT_ENDPOINT);
			const connection = new Connection(endpoint, seconds * 1000);
			try {
				const code = await action(connection);
				process.exitCode = typeof code === 'number' ? code : 0;
			} finally {
				connection.close();
			}
		},
	};
	for (const register of [
		registerPods,
		registerContainers,
		registerLogs,
		registerExec,
		registerCopy,
		registerPortForward,
		registerStats,
		registerTop,
		registerEvents,
		registerImages,
	])
		register(commands);
	registerCompletion(commands, program, oci);
	return program;
}

function withConnection(command: Command): Command {
	return command
		.option('-r, --runtime-endpoint <socket>', `socket of the CRI server (default: $CONTAINER_RUNTIME_ENDPOINT or ${DEFAULT_ENDPOINT})`)
		.option('--timeout <seconds>', `how long a quick call may take (default: ${DEFAULT_TIMEOUT})`);
}
