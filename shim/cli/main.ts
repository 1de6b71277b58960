import { appendFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Command, CommanderError, Option } from 'commander';
import { packageRoot } from '../../runtime/sandbox/launch.js';
import type { Handler } from '../../runtime/sandbox/sandbox.js';
import { buildImage, guestImage } from '../../runtime/vm/image.js';
import { prepareTemplate } from '../../runtime/vm/launch.js';
import { checkHost } from './check.js';
import { create, deleteContainer, type ExecOptions, exec, kill, list, ps, type RunOptions, run, spec, start, state } from './commands.js';
import { debug } from './debug.js';
import { demo } from './demo.js';
import { features } from './features.js';
import { type InstallOptions, install, uninstall } from './install.js';
import { CATALOG, isForPods } from './pods/catalog.js';
import { events, pause, resume, UPDATE_OPTIONS, type UpdateOptions, update } from './resources.js';
import { type TraceOptions, trace } from './trace.js';

const VERSION = '0.1.0';
/** Columns of the names of the commands for pods. */
const PODS_COLUMN = 14;

interface GlobalOptions {
	root: string;
	log?: string;
	logFormat: string;
	handler: Handler['name'];
	debug?: boolean;
}

const program = new Command('isopod')
	.description('Runs OCI containers in a guest kernel of their own.')
	.version(`isopod version ${VERSION}\nspec: 1.2.0`, '-v, --version')
	.option('--root <path>', "folder of the containers' state", '/run/isopod')
	.option('--log <path>', "file for the sandbox processes' log (default: the container's folder)")
	.addOption(new Option('--log-format <format>', 'format of the log').choices(['text', 'json']).default('json'))
	.addOption(
		new Option('--handler <name>', 'kind of sandbox: a guest kernel, or a virtual machine')
			.choices(['isopod', 'isopod-vm'])
			.default('isopod'),
	)
	.option('--debug', 'log more')
	.addOption(new Option('--systemd-cgroup').hideHelp())
	.enablePositionalOptions()
	.exitOverride()
	.showHelpAfterError("(add --help for the command's options)")
	.addHelpText('after', () => {
		const lines = Object.entries(CATALOG).map(([name, description]) => `  ${name.padEnd(PODS_COLUMN)}${description}\n`);
		return `\nPods and their containers, by a CRI server (isopod COMMAND --help):\n${lines.join('')}`;
	});

const root = (): string => program.opts<GlobalOptions>().root;
const log = (): string | undefined => program.opts<GlobalOptions>().log;

const handler = (): Handler['name'] => program.opts<GlobalOptions>().handler;

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
	.option('--console-socket <path>', "socket that the terminal's master is sent to")
	.addOption(new Option('--no-pivot').hideHelp())
	.addOption(new Option('--no-new-keyring').hideHelp())
	.action(async (id: string, options: { bundle: string; pidFile?: string; consoleSocket?: string }) => {
		await create({ root: root(), log: log(), handler: handler(), id, ...options });
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
	.option('-t, --tty', 'with a terminal, whatever config.json says')
	.option('--console-socket <path>', "socket that the terminal's master is sent to")
	.addOption(new Option('--no-pivot').hideHelp())
	.addOption(new Option('--no-new-keyring').hideHelp())
	.addOption(new Option('--no-subreaper').hideHelp())
	.option('--stats', 'at the end, print how its system calls were answered')
	.option('--trace <file>', 'write its trapped system calls to a file, as isopod trace does')
	.action(async (id: string, options: Omit<RunOptions, 'root' | 'log' | 'handler' | 'id'>) => {
		process.exitCode = await run({ root: root(), log: log(), handler: handler(), id, ...options });
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
	.option('--pid-file <path>', "write the host's pid of the program here; with --detach of the process that stands for it")
	.option('-t, --tty', 'with a terminal')
	.option('--console-socket <path>', "socket that the terminal's master is sent to")
	.option('--ignore-paused', 'even in a paused container: it runs when that goes on')
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
	.command('ps <id> [ps-options...]')
	.description("list the processes of a container, by the host's numbers; with options of ps(1) as it shows them")
	.addOption(new Option('-f, --format <format>').choices(['table', 'json']).default('table'))
	.passThroughOptions()
	.action((id: string, psOptions: string[], options: { format: string }) => ps(root(), id, options.format, psOptions));

program
	.command('pause <id>')
	.description('stop all processes of a container')
	.action((id: string) => pause(root(), id));

program
	.command('resume <id>')
	.description('let a paused container go on')
	.action((id: string) => resume(root(), id));

program
	.command('events <id>')
	.description("print a container's usage, and when it runs out of memory, as lines of JSON")
	.option('--interval <duration>', 'between two statistics', '5s')
	.option('--stats', 'print the statistics once')
	.action((id: string, options: { interval: string; stats?: boolean }) => events(root(), id, options));

const updateCommand = program
	.command('update <id>')
	.description("change a running container's limits")
	.option(
		'-r, --resources <path>',
		'JSON file with the `resources` object of the runtime specification, "-" for stdin; the options below are ignored',
	);
for (const { flags, description } of UPDATE_OPTIONS) updateCommand.option(flags, description);
updateCommand.action((id: string, options: UpdateOptions) => update(root(), id, options));

program
	.command('debug <id>')
	.description('show what a running container does: tasks, descriptors, mounts, queues, counts of calls, memory; it is not stopped')
	.addOption(new Option('-f, --format <format>').choices(['table', 'json']).default('table'))
	.action((id: string, options: { format: string }) => debug(root(), id, options.format));

program
	.command('trace <id>')
	.description(
		'show the system calls of a running container, as strace would, until it ends. Only those that the guest kernel answers are seen: native ones ' +
			"(memory, threads, clocks, signal handlers) never reach it, and '?' stands for a result that the host gave",
	)
	.option('-p, --pid <pid>', 'only of this process, by its number inside of the container', collect, [])
	.option('-e, --calls <names>', 'only these calls, by name, separated by commas', collect, [])
	.option('-P, --path <path>', 'only calls with an argument that begins with this', collect, [])
	.option('-o, --output <file>', 'write to a file in place of the terminal')
	.action(async (id: string, options: TraceOptions) => {
		process.exitCode = await trace(root(), id, options);
	});

program
	.command('features')
	.description('print what of the runtime specification is honoured')
	.action(() => {
		process.stdout.write(`${JSON.stringify(features(), null, 4)}\n`);
	});

program.command('demo', { hidden: true }).action(async () => {
	const rootfs = process.env['ISOPOD_ROOTFS'];
	if (rootfs === undefined) throw new Error('set ISOPOD_ROOTFS to a tree with bash, coreutils, python3 and busybox');
	process.exitCode = await demo(rootfs);
});

for (const [name, description, action] of [
	['install', "put the shim into place and the runtime into containerd's configuration", install],
	['uninstall', 'undo what install did', uninstall],
] as const) {
	program
		.command(name)
		.description(description)
		.option('--config <path>', "containerd's configuration", '/etc/containerd/config.toml')
		.option('--bin-dir <path>', 'folder in which containerd finds its shims', '/usr/local/bin')
		.option('--dry-run', 'show what would change')
		.action((options: InstallOptions) => {
			process.exitCode = action(options);
		});
}
for (const [name, description] of [
	['serve', 'serve CRI, for kubelet and crictl (isopod serve --help)'],
	['config', "check the server's configuration, or print the default one"],
] as const) {
	program
		.command(name)
		.description(description)
		.allowUnknownOption()
		.allowExcessArguments()
		.helpOption(false)
		.action(() => {
			// A bundle of its own: no other command needs gRPC.
			createRequire(import.meta.url)(join(packageRoot(), 'dist/serve-start.cjs'));
		});
}

const vm = program.command('vm').description('virtual machines');
vm.command('build-image')
	.description(
		'build what virtual machines boot, a kernel and an initramfs, and the template of those of the usual size, unless it is there',
	)
	.option('-o, --output <folder>', 'build kernel and initramfs anew, to this folder')
	.action(async ({ output }: { output?: string }) => {
		if (output !== undefined) buildImage(output);
		const built = output === undefined ? { ...guestImage(), template: await prepareTemplate() } : { folder: output };
		process.stdout.write(`${JSON.stringify(built)}\n`);
	});

program
	.command('check')
	.description('check whether this host has what is needed')
	.action(() => {
		process.exitCode = checkHost();
	});

function collect(value: string, before: string[]): string[] {
	return [...before, value];
}

/** runc says which command failed where it makes something. */
const PREFIXES: Readonly<Record<string, string>> = {
	create: 'create failed: ',
	run: 'run failed: ',
	exec: 'exec failed: ',
};
/** Exit status of a command that failed by itself: exec's is the program's, so a failure of its own is told apart as runc tells it. */
const EXIT_CODES: Readonly<Record<string, number>> = { exec: 255 };

/** Tells the user, and whoever reads `--log`, as runc does. */
function fail(error: unknown): number {
	const [command = ''] = program.args;
	const message = `${PREFIXES[command] ?? ''}${error instanceof Error ? error.message : String(error)}`;
	process.stderr.write(`isopod: ${message}\n`);
	const file = log();
	if (file !== undefined) {
		const entry = { level: 'error', msg: message, time: new Date().toISOString() };
		const text = `time="${entry.time}" level=error msg=${JSON.stringify(message)}`;
		try {
			appendFileSync(file, `${program.opts<GlobalOptions>().logFormat === 'json' ? JSON.stringify(entry) : text}\n`);
		} catch {
			// It has been said on stderr.
		}
	}
	return EXIT_CODES[command] ?? 1;
}

// Whoever reads what is printed may go away: the exit status then is that of a program that SIGPIPE ended.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 141 : 1));
process.stderr.on('error', () => {});

const args = process.argv.slice(2);
if (isForPods(args, program.opts<GlobalOptions>().root)) {
	// A bundle of its own: no other command needs gRPC and YAML.
	const pods = createRequire(import.meta.url)(join(packageRoot(), 'dist/pods-start.cjs')) as typeof import('./pods/main.js');
	void pods.main(args, program);
} else {
	program.parseAsync().catch((error: unknown) => {
		process.exitCode = error instanceof CommanderError ? error.exitCode : fail(error);
	});
}
