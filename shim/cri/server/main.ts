import { existsSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import pino from 'pino';
import { DEFAULT_FILE, DEFAULT_TEXT, loadConfig, metricsAddress, parseServerConfig, type ServerConfig, socketPath } from './config.js';
import { CriRuntime } from './serve.js';
import { Supervisor } from './supervisor.js';

const VERSION = '0.1.0';

/** Of the command line: what is not given is the configuration's to say. */
interface Options {
	readonly config?: string;
	readonly listen?: string;
	readonly root?: string;
	readonly state?: string;
	readonly handler?: string;
	readonly cniConfDir?: string;
	readonly cniBinDir?: readonly string[];
	readonly streamHost?: string;
	readonly streamPort?: string;
	readonly metrics?: string;
	readonly logLevel?: string;
}

const program = new Command('isopod').exitOverride();

program
	.command('serve')
	.description('Serves CRI v1 on a unix socket: what kubelet and crictl want of a container runtime.')
	.option('--config <path>', `configuration (${DEFAULT_FILE} if there is one)`)
	.option('--listen <address>', 'unix socket (unix:///run/isopod/isopod.sock)')
	.option('--root <path>', 'folder of images and records (/var/lib/isopod)')
	.option('--state <path>', 'folder of what a reboot ends (/run/isopod/cri)')
	.option('--handler <name>', 'handler of pods that name none (isopod)')
	.option('--cni-conf-dir <path>', "folder of CNI's configuration (/etc/cni/net.d)")
	.option('--cni-bin-dir <path...>', "folders of CNI's plugins (/opt/cni/bin /usr/lib/cni)")
	.option('--stream-host <address>', 'where clients of exec, attach and port-forward connect (127.0.0.1)')
	.option('--stream-port <port>', '0 takes any (0)')
	.option('--metrics <address>', 'where Prometheus and health checks ask, HOST:PORT or unix:///PATH (nowhere)')
	.option('--log-level <level>', 'debug, info, warn or error (info)')
	.addHelpText('after', '\nExample:\n  isopod serve & crictl --runtime-endpoint unix:///run/isopod/isopod.sock info')
	.action((options: Options) => serve(options));

const configuration = program.command('config').description(`The configuration of isopod serve, ${DEFAULT_FILE}.`);
configuration
	.command('default')
	.description('print a configuration that says what is so without one')
	.action(() => {
		process.stdout.write(DEFAULT_TEXT);
	});
configuration
	.command('check [file]')
	.description('read a configuration, and say what is wrong with it')
	.action((file = DEFAULT_FILE) => {
		loadConfig(file);
		process.stdout.write(`${file}: fine\n`);
	});

/** The configuration, with what the command line says in its place. Throws an Error for the user. */
function configOf(options: Options): ServerConfig {
	const file = options.config ?? (existsSync(DEFAULT_FILE) ? DEFAULT_FILE : null);
	const config = file === null ? parseServerConfig('', DEFAULT_FILE) : loadConfig(file);
	const { network, streaming } = config;
	const { handler = config.defaultHandler, streamPort = `${streaming.port}` } = options;
	if (!config.handlers.includes(handler)) throw new Error(`--handler ${handler}: want one of ${config.handlers.join(', ')}`);
	if (!/^\d{1,5}$/.test(streamPort)) throw new Error(`--stream-port ${streamPort}: want a number`);
	return {
		...config,
		...(options.listen !== undefined && { listen: socketPath(options.listen) }),
		root: options.root ?? config.root,
		state: options.state ?? config.state,
		logLevel: options.logLevel ?? config.logLevel,
		defaultHandler: handler,
		network: { configFolder: options.cniConfDir ?? network.configFolder, pluginFolders: options.cniBinDir ?? network.pluginFolders },
		streaming: { ...streaming, host: options.streamHost ?? streaming.host, port: Number(streamPort) },
		...(options.metrics !== undefined && { metrics: metricsAddress(options.metrics) }),
	};
}

async function serve(options: Options): Promise<void> {
	const config = configOf(options);
	const log = pino({ name: 'isopod-serve', level: config.logLevel }, pino.destination({ dest: 2, sync: true }));
	// One mistake must not end the server of all pods.
	process.on('uncaughtException', (error) => log.error({ err: error }, 'A mistake of the server'));
	process.on('unhandledRejection', (error) => log.error({ err: error }, 'A mistake of the server'));
	const supervisor = new Supervisor();
	const server = await CriRuntime.start(config, VERSION, log, supervisor);
	log.info({ listen: supervisor.listener ?? config.listen }, 'Serving CRI');
	let isStopping = false;
	for (const signal of ['SIGTERM', 'SIGINT'] as const)
		process.on(signal, () => {
			if (isStopping) process.exit(1);
			isStopping = true;
			log.info(`${signal}: stopping; pods live on`);
			server.close().then(() => process.exit(0));
		});
}

const at = process.argv.findIndex((word) => word === 'serve' || word === 'config');
program.parseAsync(process.argv.slice(at), { from: 'user' }).catch((error: unknown) => {
	if (error instanceof CommanderError) process.exit(error.exitCode);
	process.stderr.write(`isopod: ${error instanceof Error ? error.message : String(error)}\n`);
	process.exit(1);
});
