import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { type ServiceError, status } from '@grpc/grpc-js';
import t from 'tap';
import { cri as messages, type Reply, type RequestFields, type UnaryName } from '../methods.js';
import { IMAGE, ServeBench } from './testing.js';

/** 1800 by hand: CHAOS_SECONDS=1800. */
const SECONDS = Number(process.env['CHAOS_SECONDS'] ?? 20);
const CLIENTS = 20;
/** Descriptors of an idle server that may differ from one time to the next: Node's own. */
const SPARE_DESCRIPTORS = 4;
const { CONTAINER_EXITED, CONTAINER_RUNNING } = messages.ContainerState;
const namespaceOptions = { network: 0, pid: 1, ipc: 0 };

const bench = new ServeBench();
await bench.start();
t.teardown(() => bench.stop());
const descriptorsBefore = descriptors(bench.pid).length;

/** Counts the kills of the server and its starts: odd while there is none. */
let generation = 0;
let isOver = false;
/** Pods of which something was killed: what they answer may be a failure. */
const victims = new Set<string>();
const wrong: string[] = [];
const counts = { lives: 0, calls: 0, servers: 0, sandboxes: 0, guests: 0, interrupted: 0 };

/** What was asked could not be answered, for a kill's sake. */
class Interrupted extends Error {}

/** What a server has open, but for its clients' connections: gRPC's own clients keep theirs for a while. */
function descriptors(pid: number): string[] {
	const clients = readFileSync('/proc/net/unix', 'latin1')
		.split('\n')
		.filter((line) => line.endsWith(bench.socket))
		.map((line) => `socket:[${line.trim().split(/\s+/)[6]}]`);
	return readdirSync(`/proc/${pid}/fd`)
		.map((number) => {
			try {
				return readlinkSync(`/proc/${pid}/fd/${number}`);
			} catch {
				return 'closed by now';
			}
		})
		.filter((name) => !clients.includes(name));
}

/** One call; Interrupted when it fails and a kill is to blame, and a wrong answer when none is. */
async function ask<N extends UnaryName>(name: N, fields: RequestFields<N>, podId = ''): Promise<Reply<N>> {
	const before = generation;
	counts.calls++;
	try {
		return await bench.cri.call(name, fields, 45_000);
	} catch (error) {
		const { code, details } = error as ServiceError;
		const isExcused = (before % 2 === 1 || before !== generation || victims.has(podId)) && code !== status.DEADLINE_EXCEEDED;
		if (!isExcused) wrong.push(`${name}: ${status[code] ?? code} ${details ?? error}`);
		counts.interrupted++;
		throw new Interrupted(name);
	}
}

/** Records what is not as it must be, unless `podId` was struck. */
function expect(isRight: boolean, podId: string, what: () => string): void {
	if (isRight) return;
	if (victims.has(podId)) throw new Interrupted('a pod that was struck');
	wrong.push(what());
}

/** One pod's life, and everything asked about it on the way. */
async function live(client: string, attempt: number): Promise<void> {
	const labels = { client };
	const config = {
		metadata: { name: client, uid: client, namespace: 'default', attempt },
		...{ labels, logDirectory: bench.logs, linux: { securityContext: { namespaceOptions } } },
	};
	const { podSandboxId } = await ask('RunPodSandbox', { config });
	const { containerId } = await ask(
		'CreateContainer',
		{
			podSandboxId,
			config: {
				...{ metadata: { name: 'c' }, image: { image: IMAGE }, labels, logPath: `${podSandboxId}.log` },
				command: ['/bin/sh', '-c', 'trap "exit 5" TERM; while true; do sleep 0.05; done'],
				linux: { securityContext: { namespaceOptions } },
			},
		},
		podSandboxId,
	);
	await ask('StartContainer', { containerId }, podSandboxId);
	for (let round = 0; round < 3; round++) {
		const token = `${podSandboxId.slice(0, 12)}-${round}`;
		const cmd = ['/bin/sh', '-c', `echo ${token}; echo e >&2; exit ${round}`];
		const { stdout, stderr, exitCode } = await ask('ExecSync', { containerId, cmd, timeout: 30 }, podSandboxId);
		const said = [Buffer.from(stdout).toString(), Buffer.from(stderr).toString(), exitCode];
		expect(`${said}` === `${[`${token}\n`, 'e\n', round]}`, podSandboxId, () => `ExecSync of ${token}: ${JSON.stringify(said)}`);
		const { containers } = await ask('ListContainers', { filter: { labelSelector: labels } }, podSandboxId);
		expect(
			containers.length === 1 && containers[0]?.id === containerId && containers[0].state === CONTAINER_RUNNING,
			podSandboxId,
			() => `ListContainers of ${client}: ${JSON.stringify(containers)}, want ${containerId} running`,
		);
		const { stats } = await ask('ContainerStats', { containerId }, podSandboxId);
		expect(stats?.attributes?.id === containerId, podSandboxId, () => `ContainerStats of ${containerId}: ${JSON.stringify(stats)}`);
		const { items } = await ask('ListPodSandbox', { filter: { labelSelector: labels } }, podSandboxId);
		expect(
			items.length === 1 && items[0]?.id === podSandboxId,
			podSandboxId,
			() => `ListPodSandbox of ${client}: ${JSON.stringify(items)}`,
		);
	}
	await ask('StopContainer', { containerId, timeout: 20 }, podSandboxId);
	const { status: end } = await ask('ContainerStatus', { containerId }, podSandboxId);
	expect(end?.state === CONTAINER_EXITED && end.exitCode === 5, podSandboxId, () => `the end of ${containerId}: ${JSON.stringify(end)}`);
	await ask('RemovePodSandbox', { podSandboxId }, podSandboxId);
	counts.lives++;
}

/** Finds what an interrupted life left and takes it away, as kubelet would. */
async function clearUp(client: string): Promise<void> {
	for (let tries = 0; ; tries++) {
		try {
			const filter = { labelSelector: { client } };
			const { containers } = await ask('ListContainers', { filter });
			for (const { id, podSandboxId, state } of containers) {
				const { status: end } = await ask('ContainerStatus', { containerId: id ?? '' }, podSandboxId ?? '');
				const isTold = state !== CONTAINER_EXITED || (end?.exitCode ?? 0) !== 0;
				if (!isTold) wrong.push(`a container that nobody stopped has ended well: ${JSON.stringify(end)}`);
			}
			for (const { id } of (await ask('ListPodSandbox', { filter })).items) {
				await ask('StopPodSandbox', { podSandboxId: id ?? '' }, id ?? '');
				await ask('RemovePodSandbox', { podSandboxId: id ?? '' }, id ?? '');
			}
			const { items } = await ask('ListPodSandbox', { filter });
			if (items.length > 0) wrong.push(`removed pods of ${client} are still there: ${JSON.stringify(items)}`);
			return;
		} catch (error) {
			if (!(error instanceof Interrupted)) throw error;
			if (tries > 400) throw new Error(`${client} can't clear up`, { cause: error });
			await setTimeout(100);
		}
	}
}

async function work(client: string): Promise<void> {
	for (let attempt = 0; !isOver; attempt++) {
		try {
			await live(client, attempt);
		} catch (error) {
			if (!(error instanceof Interrupted)) throw error;
			await clearUp(client);
		}
	}
	await clearUp(client);
}

/** Processes below `pid`, at any depth. */
function descendants(pid: number): number[] {
	try {
		const own = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
			readFileSync(`/proc/${pid}/task/${thread}/children`, 'latin1').split(' ').filter(Boolean).map(Number),
		);
		return own.flatMap((child) => [child, ...descendants(child)]);
	} catch {
		return [];
	}
}

function strike(pid: number): boolean {
	try {
		process.kill(pid, 'SIGKILL');
		return true;
	} catch {
		return false;
	}
}

function any<T>(all: readonly T[]): T | undefined {
	return all[Math.floor(Math.random() * all.length)];
}

/** Kills a pod's sandbox process, or one of its guest's processes. */
async function strikePod(isGuest: boolean): Promise<void> {
	const { items } = await bench.cri.call('ListPodSandbox', {});
	const podSandboxId = any(items)?.id ?? '';
	const { info } = await bench.cri.call('PodSandboxStatus', { podSandboxId, verbose: true });
	const { pid } = JSON.parse(info['info'] ?? '{}') as { pid: number };
	if (pid === 0) return;
	const victim = isGuest ? any(descendants(pid)) : pid;
	if (victim === undefined) return;
	victims.add(podSandboxId);
	if (strike(victim)) counts[isGuest ? 'guests' : 'sandboxes']++;
}

async function strikeServer(): Promise<void> {
	generation++;
	await bench.end('SIGKILL');
	await bench.start();
	generation++;
	counts.servers++;
}

t.test(`${CLIENTS} clients get no wrong answer for ${SECONDS} s while servers, sandboxes and guests are killed`, async (t) => {
	const end = Date.now() + SECONDS * 1000;
	const clients = Promise.all(Array.from({ length: CLIENTS }, (_, at) => work(`client${at}`)));
	while (Date.now() < end && wrong.length === 0) {
		await setTimeout(200 + Math.random() * 1500);
		const dice = Math.random();
		if (dice < 0.2) await strikeServer();
		// The pod may be gone by then.
		else await strikePod(dice < 0.6).catch(() => undefined);
	}
	isOver = true;
	await clients;
	t.comment(counts);
	t.strictSame(wrong, []);
	t.ok(counts.lives > 0, 'some lives are whole');
	t.notOk(bench.log.includes('A mistake of the server'));
	for (let tries = 0; (bench.leftovers.length > 0 || bench.processes.length > 0) && tries < 50; tries++) await setTimeout(100);
	t.strictSame(bench.leftovers, []);
	t.strictSame(bench.processes, []);
	const devices = spawnSync('ip', ['-oneline', 'link', 'show', 'master', bench.bridge], { encoding: 'utf8' }).stdout;
	t.equal(devices, '', 'no device is left');
	const open = descriptors(bench.pid);
	t.ok(open.length <= descriptorsBefore + SPARE_DESCRIPTORS, `${open.length} descriptors, ${descriptorsBefore} before`, { open });
});
