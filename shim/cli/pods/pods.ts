import { readFileSync } from 'node:fs';
import { type Command, Option } from 'commander';
import type { Connection } from './connection.js';
import { statusOf } from './inspection.js';
import { LogPrinter } from './log-printer.js';
import type { Commands } from './main.js';
import { type Manifest, parseManifest } from './manifest.js';
import { findSandbox, listContainers, listSandboxes, podName, RUNNING, SANDBOX_READY, type Sandbox, shortId } from './names.js';
import { namespaceOf } from './pod-config.js';
import { removePod, stopPod } from './pod-end.js';
import { PodRunner } from './pod-runner.js';
import { pullImage } from './pull.js';
import { age, FORMATS, type Format, printable, printList, printValue } from './table.js';

/** Beside the folder of the server, which has records of its own. */
const DATA_FOLDER = '/var/lib/isopod-pods';
const EXAMPLES = {
	run: ['isopod pod run web.yaml', 'isopod pod run -d web.yaml', 'kubectl create --dry-run=client -o yaml -f web.yaml | isopod pod run -'],
	ls: ['isopod pod ls', 'isopod pod ls -o wide'],
	stop: ['isopod pod stop web', 'isopod pod stop --time 0 web'],
	rm: ['isopod pod rm web', 'isopod pod rm -f web db', 'isopod pod rm -f --all'],
	inspect: ['isopod pod inspect web', 'isopod pod inspect -o yaml web'],
};

export function registerPods(commands: Commands): void {
	const pod = commands.add('pod', '', []);
	commands
		.addTo(
			pod,
			'run',
			'<file>',
			'run a pod from a YAML file ("-" for stdin), with the ConfigMaps and Secrets in it. In the foreground it shows the logs, carries out probes ' +
				'and restarts, and removes the pod at the end or on Ctrl-C; a second Ctrl-C does not wait',
			EXAMPLES.run,
		)
		.option('-d, --detach', 'start it and leave it: without probes and restarts')
		.option('--replace', 'remove a pod of the same name first')
		.option('--no-prefix', "show the logs without the containers' names")
		.option('-q, --quiet', 'show nothing but the logs')
		.option('--runtime-class <name>', "in place of the pod's runtimeClassName")
		.option('--data-dir <path>', "folder of the pods' volumes and logs", DATA_FOLDER)
		.action((file: string, options: RunOptions) => commands.run((connection) => run(connection, file, options)));
	commands
		.addTo(pod, 'ls', '', 'list the pods', EXAMPLES.ls)
		.alias('list')
		.option('-a, --all', 'also those that were stopped')
		.addOption(new Option('-o, --output <format>', 'how to show them').choices(FORMATS))
		.option('-q, --quiet', 'ids only')
		.option('--no-trunc', 'whole ids')
		.action((options: ListOptions) => commands.run((connection) => list(connection, options)));
	commands
		.addTo(pod, 'stop', '<pod...>', 'stop pods, with their hooks and grace periods', EXAMPLES.stop)
		.option('-t, --time <seconds>', "grace period in place of the pod's own")
		.action((names: string[], { time }: { time?: string }) =>
			commands.run((connection) => each(names, async (name) => stopPod(connection, await findSandbox(connection, name), graceOf(time)))),
		);
	commands
		.addTo(pod, 'rm', '[pod...]', 'remove pods that were stopped', EXAMPLES.rm)
		.option('-f, --force', 'stop them first')
		.option('-a, --all', 'all pods')
		.option('-t, --time <seconds>', "with --force: grace period in place of the pod's own")
		.action((names: string[], options: RemoveOptions, command: Command) => {
			if (names.length === 0 && options.all !== true) command.error("error: missing required argument 'pod'");
			return commands.run((connection) => remove(connection, names, options));
		});
	commands
		.addTo(pod, 'inspect', '<pod...>', 'show all that is known of pods', EXAMPLES.inspect)
		.addOption(new Option('-o, --output <format>').choices(['json', 'yaml']).default('json'))
		.action((names: string[], { output }: { output: 'json' | 'yaml' }) =>
			commands.run(async (connection) => {
				const values: unknown[] = [];
				for (const name of names) values.push(await statusOf(connection, await findSandbox(connection, name)));
				printValue(values.length === 1 ? values[0] : values, output);
			}),
		);
}

/** Does the same for each name, also when one fails; the exit code. */
export async function each(names: readonly string[], action: (name: string) => Promise<void>): Promise<number> {
	let code = 0;
	for (const name of names) {
		try {
			await action(name);
			process.stdout.write(`${name}\n`);
		} catch (error) {
			process.stderr.write(`isopod: ${printable((error as Error).message)}\n`);
			code = 1;
		}
	}
	return code;
}

/** Null for what the pod itself says. Throws for what is no number of seconds. */
export function graceOf(time: string | undefined): number | null {
	if (time === undefined) return null;
	if (!/^\d{1,9}$/.test(time)) throw new Error(`--time: want seconds, got ${JSON.stringify(time)}`);
	return Number(time);
}

interface RunOptions {
	readonly detach?: boolean;
	readonly replace?: boolean;
	readonly prefix: boolean;
	readonly quiet?: boolean;
	readonly runtimeClass?: string;
	readonly dataDir: string;
}

async function run(connection: Connection, file: string, options: RunOptions): Promise<number> {
	const source = readFileSync(file === '-' ? 0 : file, 'utf8');
	const parsed = parseManifest(source, file === '-' ? 'stdin' : file);
	const manifest = options.runtimeClass === undefined ? parsed : withRuntimeClass(parsed, options.runtimeClass);
	const say = (text: string): void => {
		// Some of it is what a container has said.
		if (options.quiet !== true) process.stderr.write(`isopod: ${printable(text.replace(/\s+/g, ' '))}\n`);
	};
	for (const warning of manifest.warnings) say(`warning: ${warning}`);
	const isDetached = options.detach === true;
	if (isDetached) warnOfDetached(manifest, say);
	await makeRoom(connection, manifest, options.replace === true);
	const names = [...(manifest.pod.spec.initContainers ?? []), ...manifest.pod.spec.containers].map(({ name }) => name);
	const printer = isDetached ? null : new LogPrinter(names, options.prefix);
	const interrupt = new AbortController();
	const force = new AbortController();
	let signals = 0;
	let exitCode = 0;
	const onSignal = (_name: string, number: number): void => {
		signals++;
		exitCode = 128 + number;
		if (signals === 1) say('stopping the pod (once more to kill it)');
		(signals === 1 ? interrupt : force).abort();
	};
	for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, onSignal);
	const runner = new PodRunner(
		connection,
		manifest,
		options.dataDir,
		{
			say,
			onLog: (container, path) => printer?.follow(container, path),
			flush: (container) => printer?.flush(container),
			pull: async (image) => {
				await pullImage(connection, image, { isQuiet: options.quiet === true });
			},
		},
		interrupt.signal,
	);
	let failure: unknown = null;
	try {
		await runner.start();
		if (isDetached) {
			runner.detach();
			process.stdout.write(`${runner.id}\n`);
			return 0;
		}
		say(`pod ${runner.title} runs at ${runner.address}`);
		exitCode = await runner.supervise();
	} catch (error) {
		if (!interrupt.signal.aborted) failure = error;
	}
	try {
		force.signal.addEventListener('abort', () => void runner.kill());
		await runner.end(force.signal.aborted ? 0 : null);
	} finally {
		printer?.close();
		for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.off(signal, onSignal);
	}
	if (failure !== null) throw failure;
	return exitCode;
}

function withRuntimeClass(manifest: Manifest, runtimeClassName: string): Manifest {
	return { ...manifest, pod: { ...manifest.pod, spec: { ...manifest.pod.spec, runtimeClassName } } };
}

function warnOfDetached({ pod: { spec } }: Manifest, say: (text: string) => void): void {
	const hasProbes = spec.containers.some(
		({ livenessProbe, readinessProbe }) => livenessProbe !== undefined || readinessProbe !== undefined,
	);
	if (hasProbes) say('warning: with --detach nobody carries out the probes');
	if (spec.restartPolicy === 'Always' || spec.restartPolicy === 'OnFailure') say('warning: with --detach nobody restarts what ends');
}

/** One pod of a name in a namespace. Rejects when there is one already, unless it is to be replaced. */
async function makeRoom(connection: Connection, { pod }: Manifest, isReplaced: boolean): Promise<void> {
	const isSame = (other: Sandbox): boolean => podName(other) === pod.metadata.name && other.metadata?.namespace === namespaceOf(pod);
	for (const other of (await listSandboxes(connection.call)).filter(isSame)) {
		if (!isReplaced)
			throw new Error(
				`pods ${JSON.stringify(pod.metadata.name)} already exists: --replace removes it, "isopod pod rm -f ${pod.metadata.name}" too`,
			);
		await stopPod(connection, other, null);
		await removePod(connection, other);
	}
}

interface ListOptions {
	readonly all?: boolean;
	readonly output?: Format;
	readonly quiet?: boolean;
	readonly trunc: boolean;
}

async function list(connection: Connection, { all = false, output = 'table', quiet = false, trunc }: ListOptions): Promise<void> {
	const sandboxes = (await listSandboxes(connection.call)).filter(({ state }) => all || state === SANDBOX_READY);
	const containers = await listContainers(connection.call);
	const isListed = output === 'wide' || output === 'json' || output === 'yaml';
	const addresses = new Map<string, string>();
	if (isListed) {
		for (const { id } of sandboxes) {
			const { status } = await connection.call('PodSandboxStatus', { podSandboxId: id ?? '' }).catch(() => ({ status: null }));
			addresses.set(id ?? '', status?.network?.ip ?? '');
		}
	}
	const counts = ({ id }: Sandbox): string => {
		const own = containers.filter(({ podSandboxId }) => podSandboxId === id);
		const names = new Set(own.map(({ metadata }) => metadata?.name));
		return `${own.filter(({ state }) => state === RUNNING).length}/${names.size}`;
	};
	const stateName = ({ state }: Sandbox): string => (state === SANDBOX_READY ? 'Ready' : 'NotReady');
	const showId = (id: string | null | undefined): string => (trunc ? shortId(id) : (id ?? ''));
	printList(
		sandboxes,
		output,
		[
			{ title: 'POD ID', cell: ({ id }) => showId(id) },
			{ title: 'NAMESPACE', cell: ({ metadata }) => metadata?.namespace ?? '' },
			{ title: 'NAME', cell: podName },
			{ title: 'RUNNING', cell: counts },
			{ title: 'STATE', cell: stateName },
			{ title: 'AGE', cell: ({ createdAt }) => age(createdAt ?? 0) },
			{ title: 'IP', cell: ({ id }) => addresses.get(id ?? '') ?? '', isWide: true },
			{ title: 'RUNTIME', cell: ({ runtimeHandler }) => runtimeHandler || '(default)', isWide: true },
		],
		(pod) => ({
			id: pod.id,
			name: podName(pod),
			namespace: pod.metadata?.namespace,
			uid: pod.metadata?.uid,
			state: stateName(pod),
			createdAt: new Date((pod.createdAt ?? 0) / 1e6).toISOString(),
			ip: addresses.get(pod.id ?? ''),
			runtimeHandler: pod.runtimeHandler ?? '',
			labels: pod.labels ?? {},
		}),
		(pod) => (quiet ? showId(pod.id) : `pod/${podName(pod)}`),
		quiet,
	);
}

interface RemoveOptions {
	readonly force?: boolean;
	readonly all?: boolean;
	readonly time?: string;
}

async function remove(
	connection: Connection,
	names: readonly string[],
	{ force = false, all = false, time }: RemoveOptions,
): Promise<number> {
	const wanted = all ? (await listSandboxes(connection.call)).map(({ id }) => id ?? '') : names;
	return each(wanted, async (name) => {
		const sandbox = await findSandbox(connection, name);
		if (sandbox.state === SANDBOX_READY) {
			if (!force) throw new Error(`pod ${JSON.stringify(podName(sandbox))} is running: stop it first, or use --force`);
			await stopPod(connection, sandbox, graceOf(time));
		}
		await removePod(connection, sandbox);
	});
}
