import { Command, CommanderError, Option } from 'commander';
import { checkHost } from './check.js';
import { create, deleteContainer, type ExecOptions, exec, kill, list, ps, run, spec, start, state } from './commands.js';

const VERSION = '0.1.0';

interface GlobalOptions {
	root: string;
	log?: string;
	logFormat: string;
	debug?: boolean;
}

const program = new Command('isopod')
	.description('Runs OCI containers in a guest kernel of their own.')
	.version(`isopod version ${VERSION}\nspec: 1.2.0`, '-v, --version')
	.option('--root <path>', "folder of the containers' state", '/run/isopod')
	.option('--log <path>', "file for the sandbox processes' log (default: the container's folder)")
	.addOption(new Option('--log-format <format>', 'format of the log').choices(['text', 'json']).default('json'))
	.option('--debug', 'log more')
	.addOption(new Option('--systemd-cgroup').hideHelp())
	.enablePositionalOptions()
	.exitOverride()
	.showHelpAfterError("(add --help for the command's options)");

const root = (): string => program.opts<GlobalOptions>().root;
const log = (): string | undefined => program.opts<GlobalOptions>().log;

const bundleOption = (): Option => new Option('-b, --bundle <path>', 'folder with config.json').default('.');

program
	.command('spec')
	.description('write a config.json to start from')
	.addOption(bundleOption())
	.action((options: { bundle: string }) => spec(options.bundle));

program
	.command('create <id>')
	.description('make a container, without running its program')
	.addOption(bundleOption())
	.option('--pid-file <path>', "write the sandbox process's pid here")
	.option('--console-socket <path>', 'socket that a terminal would be sent to')
	.option('--no-pivot', 'taken and ignored')
	.action(async (id: string, options: { bundle: string; pidFile?: string }) => {
		await create({ root: root(), log: log(), id, ...options });
	});

program
	.command('start <id>')
	.description('run the program of a container that was created')
	.action((id: string) => start(root(), id));

program
	.command('run <id>')
	.description('create a container, run its program, wait for its end, delete it')
	.addOption(bundleOption())
	.option('--pid-file <path>', "write the sandbox process's pid here")
	.option('-d, --detach', 'do not wait')
	.option('--keep', 'do not delete it at the end')
	.option('--stats', 'at the end, print how its system calls were answered')
	.action(async (id: string, options: { bundle: string; pidFile?: string; detach?: boolean; keep?: boolean; stats?: boolean }) => {
		process.exitCode = await run({ root: root(), log: log(), id, ...options });
	});

program
	.command('exec <id> [command...]')
	.description('run one more program in a running container')
	.option('-p, --process <path>', 'file with the `process` object')
	.option('--cwd <path>', 'working directory')
	.option('-e, --env <variable>', 'environment variable, NAME=VALUE', collect, [])
	.option('-u, --user <uid[:gid]>', 'user, and group')
	.option('-g, --additional-gids <gid>', 'supplementary group', collect, [])
	.option('-c, --cap <capability>', 'capability to have', collect, [])
	.option('--no-new-privs', 'set no_new_privs')
	.option('-d, --detach', 'do not wait')
	.option('--pid-file <path>', 'write the pid here')
	.passThroughOptions()
	.action(async (id: string, command: string[], options: Omit<ExecOptions, 'command'>) => {
		process.exitCode = await exec(root(), id, { ...options, command });
	});

program
	.command('state <id>')
	.description('print the state of a container')
	.action((id: string) => state(root(), id));

program
	.command('list')
	.alias('ls')
	.description('list the containers')
	.addOption(new Option('-f, --format <format>').choices(['table', 'json']).default('table'))
	.option('-q, --quiet', 'ids only')
	.action((options: { format: string; quiet?: boolean }) => list(root(), options));

program
	.command('kill <id> [signal]')
	.description("send a signal to a container's first process")
	.option('-a, --all', 'to all of its processes')
	.action((id: string, signal: string | undefined, options: { all?: boolean }) => kill(root(), id, signal ?? 'TERM', options.all ?? false));

program
	.command('delete <id>')
	.alias('rm')
	.description('remove what is left of a container that has ended')
	.option('-f, --force', 'kill it first if it runs; no error if it does not exist')
	.action((id: string, options: { force?: boolean }) => deleteContainer(root(), id, options.force ?? false));

program
	.command('ps <id>')
	.description('list the processes of a container')
	.addOption(new Option('-f, --format <format>').choices(['table', 'json']).default('table'))
	.action((id: string, options: { format: string }) => ps(root(), id, options.format));

program
	.command('check')
	.description('check whether this host has what is needed')
	.action(() => {
		process.exitCode = checkHost();
	});

function collect(value: string, before: string[]): string[] {
	return [...before, value];
}

try {
	await program.parseAsync();
} catch (error) {
	if (error instanceof CommanderError) {
		process.exitCode = error.exitCode;
	} else {
		process.stderr.write(`isopod: ${error instanceof Error ? error.message : String(error)}\n`);
		process.exitCode = 1;
	}
}
