import { Command } from 'commander';
import pino from 'pino';
import { CriRuntime } from './serve.js';

const VERSION = '0.1.0';
const DEFAULT_LISTEN = 'unix:///run/isopod/isopod.sock';

interface Options {
	listen: string;
	root: string;
	state: string;
	handler: string;
	cniConfDir: string;
	cniBinDir: string[];
	streamHost: string;
	streamPort: string;
	logLevel: string;
}

const program = new Command('isopod serve')
	.description('Serves CRI v1 on a unix socket: what kubelet and crictl want of a container runtime.')
	.option('--listen <address>', 'unix socket', DEFAULT_LISTEN)
	.option('--root <path>', 'folder of images and records', '/var/lib/isopod')
	.option('--state <path>', 'folder of what a reboot ends', '/run/isopod/cri')
	.option('--handler <name>', 'handler of pods that name none', 'isopod')
	.option('--cni-conf-dir <path>', "folder of CNI's configuration", '/etc/cni/net.d')
	.option('--cni-bin-dir <path...>', "folders of CNI's plugins", ['/opt/cni/bin', '/usr/lib/cni'])
	.option('--stream-host <address>', 'where clients of exec, attach and port-forward connect', '127.0.0.1')
	.option('--stream-port <port>', '0 takes any', '0')
	.option('--log-level <level>', 'debug, info, warn or error', 'info')
	.addHelpText('after', '\nExample:\n  isopod serve & crictl --runtime-endpoint unix:///run/isopod/isopod.sock info');

async function main(options: Options): Promise<void> {
	const log = pino({ name: 'isopod-serve', level: options.logLevel }, pino.destination({ dest: 2, sync: true }));
	const listen = /^unix:(?:\/\/)?(\/.+)$/.exec(options.listen)?.[1] ?? (options.listen.startsWith('/') ? options.listen : null);
	if (listen === null) throw new Error(`--listen ${options.listen}: want unix:///PATH`);
	const server = await CriRuntime.start(
		{
			...{ listen, root: options.root, state: options.state },
			...{ defaultHandler: options.handler, handlers: ['isopod', 'isopod-vm'] },
			...{ cniConfigFolder: options.cniConfDir, cniPluginFolders: options.cniBinDir },
			streaming: { host: options.streamHost, port: Number(options.streamPort) },
		},
		VERSION,
		log,
	);
	log.info({ listen }, 'Serving CRI');
	let isStopping = false;
	for (const signal of ['SIGTERM', 'SIGINT'] as const)
		process.on(signal, () => {
			if (isStopping) process.exit(1);
			isStopping = true;
			log.info(`${signal}: stopping; pods live on`);
			server.close().then(() => process.exit(0));
		});
	// One mistake must not end the server of all pods.
	process.on('uncaughtException', (error) => log.error({ err: error }, 'A mistake of the server'));
	process.on('unhandledRejection', (error) => log.error({ err: error }, 'A mistake of the server'));
}

const arguments_ = process.argv.slice(process.argv.indexOf('serve') + 1);
main(program.parse(arguments_, { from: 'user' }).opts<Options>()).catch((error: unknown) => {
	process.stderr.write(`isopod: ${error instanceof Error ? error.message : String(error)}\n`);
	process.exit(1);
});
