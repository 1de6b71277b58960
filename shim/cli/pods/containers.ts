import { type Command, Option } from 'commander';
import type { Connection } from './connection.js';
import { containerStatusOf, imageStatusOf, statusOf } from './inspection.js';
import type { Commands } from './main.js';
import {
	type ContainerItem,
	findContainer,
	findSandbox,
	listContainers,
	listSandboxes,
	podOf,
	RUNNING,
	readPod,
	type Sandbox,
	shortId,
	stateOf,
} from './names.js';
import { LABELS } from './pod-config.js';
import { stopContainer } from './pod-end.js';
import { each, graceOf } from './pods.js';
import { age, FORMATS, type Format, printList, printValue } from './table.js';

const DEFAULT_GRACE_SECONDS = 10;

export function registerContainers(commands: Commands): void {
	commands
		.add('ps', '', [
			'isopod ps',
			'isopod ps -a -o wide',
			'isopod ps -q | xargs isopod stop',
			'isopod ps ID  # the processes of an OCI container',
		])
		.option('-a, --all', 'also those that have ended')
		.addOption(new Option('-o, --output <format>', 'how to show them').choices(FORMATS))
		.option('--no-trunc', 'whole ids')
		.option('-q, --quiet', 'ids only')
		.option('-p, --pod <pod>', 'only those of one pod')
		.action((options: PsOptions) => commands.run((connection) => ps(connection, options)));
	commands
		.add('stop', '<container...>', ['isopod stop web/nginx', 'isopod stop -t 0 4f1c'])
		.option('-t, --time <seconds>', `how long it may take to end by itself (default: ${DEFAULT_GRACE_SECONDS})`)
		.action((names: string[], { time }: { time?: string }) =>
			commands.run((connection) => each(names, (name) => stop(connection, name, graceOf(time) ?? DEFAULT_GRACE_SECONDS))),
		);
	commands
		.add('rm', '[container...]', ['isopod rm 4f1c', 'isopod rm -f web/nginx', 'isopod rm --all  # all that have ended'])
		.option('-f, --force', 'stop them first')
		.option('-a, --all', 'all that have ended; with --force all')
		.action((names: string[], options: { force?: boolean; all?: boolean }, command: Command) => {
			if (names.length === 0 && options.all !== true) command.error("error: missing required argument 'container'");
			return commands.run((connection) => remove(connection, names, options));
		});
	commands
		.add('inspect', '<name...>', ['isopod inspect web/nginx', 'isopod inspect -o yaml 4f1c', 'isopod inspect --type image debian:12'])
		.addOption(new Option('-o, --output <format>').choices(['json', 'yaml']).default('json'))
		.addOption(new Option('--type <type>', 'what the name is of').choices(['container', 'pod', 'image']))
		.action((names: string[], { output, type }: { output: 'json' | 'yaml'; type?: string }) =>
			commands.run(async (connection) => {
				const values: unknown[] = [];
				for (const name of names) values.push(await inspect(connection, name, type));
				printValue(values.length === 1 ? values[0] : values, output);
			}),
		);
}

interface PsOptions {
	readonly all?: boolean;
	readonly output?: Format;
	readonly trunc: boolean;
	readonly quiet?: boolean;
	readonly pod?: string;
}

async function ps(connection: Connection, { all = false, output = 'table', trunc, quiet = false, pod }: PsOptions): Promise<void> {
	const sandboxes = new Map((await listSandboxes(connection.call)).map((sandbox): [string, Sandbox] => [sandbox.id ?? '', sandbox]));
	const podSandboxId = pod === undefined ? '' : ((await findSandbox(connection, pod)).id ?? '');
	const containers = (await listContainers(connection.call, { podSandboxId })).filter(({ state }) => all || state === RUNNING);
	const showId = (id: string | null | undefined): string => (trunc ? shortId(id) : (id ?? ''));
	const imageOf = ({ image, imageRef }: ContainerItem): string => image?.userSpecifiedImage || image?.image || imageRef || '';
	const showImage = (container: ContainerItem): string => {
		const image = imageOf(container);
		return trunc && /^sha256:/.test(image) ? shortId(image.slice('sha256:'.length)) : image;
	};
	const namespace = ({ podSandboxId: id, labels }: ContainerItem): string =>
		sandboxes.get(id ?? '')?.metadata?.namespace ?? labels?.[LABELS.podNamespace] ?? '';
	printList(
		containers,
		output,
		[
			{ title: 'CONTAINER ID', cell: ({ id }) => showId(id) },
			{ title: 'IMAGE', cell: showImage },
			{ title: 'CREATED', cell: ({ createdAt }) => `${age(createdAt ?? 0)} ago` },
			{ title: 'STATE', cell: ({ state }) => stateOf(state) },
			{ title: 'NAME', cell: ({ metadata }) => metadata?.name ?? '' },
			{ title: 'RESTARTS', cell: ({ metadata }) => `${metadata?.attempt ?? 0}` },
			{ title: 'POD', cell: podOf },
			{ title: 'NAMESPACE', cell: namespace, isWide: true },
			{ title: 'POD ID', cell: ({ podSandboxId: id }) => showId(id), isWide: true },
			{ title: 'RUNTIME', cell: ({ podSandboxId: id }) => sandboxes.get(id ?? '')?.runtimeHandler || '(default)', isWide: true },
		],
		(container) => ({
			id: container.id,
			name: container.metadata?.name,
			attempt: container.metadata?.attempt ?? 0,
			pod: podOf(container),
			namespace: namespace(container),
			podId: container.podSandboxId,
			image: imageOf(container),
			imageRef: container.imageRef,
			state: stateOf(container.state),
			createdAt: new Date((container.createdAt ?? 0) / 1e6).toISOString(),
			labels: container.labels ?? {},
			annotations: container.annotations ?? {},
		}),
		(container) => (quiet ? showId(container.id) : `${podOf(container)}/${container.metadata?.name}`),
		quiet,
	);
}

async function stop(connection: Connection, name: string, graceSeconds: number): Promise<void> {
	const item = await findContainer(connection, name);
	const podSandboxId = item.podSandboxId ?? '';
	const { status } = await connection.call('PodSandboxStatus', { podSandboxId });
	const spec = readPod(status?.annotations ?? {})?.spec;
	const container = [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])].find((one) => one.name === item.metadata?.name) ?? null;
	const target = { call: connection.call, containerId: item.id ?? '', host: status?.network?.ip || '127.0.0.1' };
	const failure = await stopContainer(target, container, graceSeconds);
	if (failure !== null) process.stderr.write(`isopod: warning: PreStopHook failed: ${failure}\n`);
}

async function remove(
	connection: Connection,
	names: readonly string[],
	{ force = false, all = false }: { force?: boolean; all?: boolean },
): Promise<number> {
	const items = all ? (await listContainers(connection.call)).filter(({ state }) => force || state !== RUNNING) : [];
	return each(all ? items.map(({ id }) => id ?? '') : names, async (name) => {
		const item = await findContainer(connection, name);
		if (item.state === RUNNING) {
			if (!force) throw new Error(`container ${JSON.stringify(name)} is running: stop it first, or use --force`);
			await stop(connection, item.id ?? '', 0);
		}
		await connection.call('RemoveContainer', { containerId: item.id ?? '' });
	});
}

/** A pod, else a container, else an image. */
async function inspect(connection: Connection, name: string, type: string | undefined): Promise<object> {
	/** What only means that there is none of this kind becomes null. */
	const find = async <T>(kind: string, action: () => Promise<T>): Promise<T | null> => {
		if (type !== undefined && type !== kind) return null;
		try {
			return await action();
		} catch (error) {
			if (type === kind || !/not found$/.test((error as Error).message)) throw error;
			return null;
		}
	};
	const sandbox = await find('pod', () => findSandbox(connection, name));
	if (sandbox !== null) return statusOf(connection, sandbox);
	const container = await find('container', () => findContainer(connection, name));
	if (container !== null) return containerStatusOf(connection, container);
	const image = await find('image', () => imageStatusOf(connection, name));
	if (image === null) throw new Error(`no ${type ?? 'pod, container or image'} has the name ${JSON.stringify(name)}`);
	return image;
}
