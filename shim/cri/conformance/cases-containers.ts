import assert from 'node:assert/strict';
import { readFileSync, renameSync } from 'node:fs';
import type { Case } from './suite.js';
import { TEST_IMAGE } from './suite.js';

const CREATED = 0;
const RUNNING = 1;
const EXITED = 2;
const NOT_FOUND = { code: 5 };

/** Containers: their lives, their programs, logs, execs, limits. */
export const CONTAINER_CASES: readonly Case[] = [
	{
		name: 'a container is created, runs, and exits with its code; each state has its time',
		async run(bench) {
			const pod = await bench.pod();
			const id = await pod.create('sleep 0.3; exit 5', { labels: { l: '1' }, annotations: { a: '2' } });
			const created = await pod.status(id);
			assert.equal(created.state ?? 0, CREATED);
			assert.ok(Number(created.createdAt) > 0 && Number(created.startedAt ?? 0) === 0 && Number(created.finishedAt ?? 0) === 0);
			await bench.cri.call('StartContainer', { containerId: id });
			const running = await pod.status(id);
			assert.equal(running.state, RUNNING);
			assert.ok(Number(running.startedAt) >= Number(created.createdAt));
			const ended = await pod.ended(id);
			assert.deepEqual([ended.exitCode, ended.reason], [5, 'Error']);
			assert.ok(Number(ended.finishedAt) >= Number(running.startedAt));
			assert.deepEqual([ended.labels, ended.annotations], [{ l: '1' }, { a: '2' }]);
			assert.equal(ended.image?.image, TEST_IMAGE);
			assert.ok((ended.imageRef ?? '').length > 0);
		},
	},
	{
		name: 'an exit with 0 is Completed',
		async run(bench) {
			const { exitCode, reason } = await (await bench.pod()).run('true');
			assert.deepEqual([exitCode, reason], [0, 'Completed']);
		},
	},
	{
		name: 'a container starts once',
		async run(bench) {
			const pod = await bench.pod();
			const id = await pod.start('sleep 1000');
			await assert.rejects(bench.cri.call('StartContainer', { containerId: id }));
			await bench.cri.call('StopContainer', { containerId: id, timeout: 0 });
			await assert.rejects(bench.cri.call('StartContainer', { containerId: id }));
		},
	},
	{
		name: 'a program that is not there fails to start',
		async run(bench) {
			const pod = await bench.pod();
			await assert.rejects(pod.start('', { command: ['/no/such/program'] }), /no such file|not found|ENOENT/i);
		},
	},
	{
		name: 'the name of a container that is there is taken',
		async run(bench) {
			const pod = await bench.pod();
			await pod.create('true', { metadata: { name: 'taken', attempt: 1 } });
			await assert.rejects(pod.create('true', { metadata: { name: 'taken', attempt: 1 } }));
			await pod.create('true', { metadata: { name: 'taken', attempt: 2 } });
		},
	},
	{
		name: "StopContainer sends the container's own signal and waits; it is idempotent",
		async run(bench) {
			const pod = await bench.pod();
			const changes = {
				command: ['/bin/sh', '-c', 'trap "echo polite; exit 3" TERM; while true; do sleep 0.05; done'],
				image: { image: TEST_IMAGE },
			};
			const id = await pod.start('', { ...changes, stopSignal: 23 });
			await new Promise((then) => setTimeout(then, 300));
			await bench.cri.call('StopContainer', { containerId: id, timeout: 20 });
			const { exitCode, state } = await pod.status(id);
			assert.deepEqual([state, exitCode], [EXITED, 3]);
			await bench.cri.call('StopContainer', { containerId: id, timeout: 20 });
		},
	},
	{
		name: "StopContainer's signal is the image's when the container has none",
		async run(bench) {
			const pod = await bench.pod();
			const id = await pod.start('trap "exit 4" USR1; while true; do sleep 0.05; done');
			await new Promise((then) => setTimeout(then, 300));
			await bench.cri.call('StopContainer', { containerId: id, timeout: 20 });
			assert.equal((await pod.status(id)).exitCode, 4);
		},
	},
	{
		name: 'StopContainer kills what does not end in time, at once without any',
		async run(bench) {
			const pod = await bench.pod();
			for (const timeout of [1, 0]) {
				const id = await pod.start('trap "" USR1 TERM; while true; do sleep 0.05; done');
				await new Promise((then) => setTimeout(then, 200));
				await bench.cri.call('StopContainer', { containerId: id, timeout });
				assert.equal((await pod.status(id)).exitCode, 137);
			}
		},
	},
	{
		name: 'RemoveContainer kills one that runs, and is idempotent',
		async run(bench) {
			const pod = await bench.pod();
			const id = await pod.start('sleep 1000');
			for (let times = 0; times < 2; times++) await bench.cri.call('RemoveContainer', { containerId: id });
			await assert.rejects(pod.status(id), NOT_FOUND);
		},
	},
	{
		name: 'ListContainers filters by id, pod, state and labels',
		async run(bench) {
			const pod = await bench.ownPod();
			const running = await pod.start('sleep 1000', { labels: { app: 'r' } });
			const created = await pod.create('true', { labels: { app: 'c' } });
			const list = async (filter: object): Promise<string[]> =>
				(await bench.cri.call('ListContainers', { filter })).containers.map(({ id }) => id ?? '').sort();
			assert.deepEqual(await list({ podSandboxId: pod.id }), [running, created].sort());
			assert.deepEqual(await list({ podSandboxId: pod.id, state: { state: RUNNING } }), [running]);
			assert.deepEqual(await list({ podSandboxId: pod.id, labelSelector: { app: 'c' } }), [created]);
			assert.deepEqual(await list({ id: created }), [created]);
			assert.deepEqual(await list({ podSandboxId: pod.id, labelSelector: { app: 'x' } }), []);
		},
	},
	{
		name: "without a command the image's entrypoint runs with its arguments or the container's",
		async run(bench) {
			const pod = await bench.pod();
			assert.equal((await pod.run('', { command: [] })).stdout, 'entry command\n');
			assert.equal((await pod.run('', { command: [], args: ['mine'] })).stdout, 'entry mine\n');
			assert.equal((await pod.run('', { command: ['/bin/echo', 'own'] })).stdout, 'own\n');
			assert.equal((await pod.run('', { command: ['/bin/echo'], args: ['two', 'words'] })).stdout, 'two words\n');
		},
	},
	{
		name: "the environment is the image's with the container's over it",
		async run(bench) {
			const envs = [
				{ key: 'BOTH', value: 'container' },
				{ key: 'EMPTY', value: '' },
				{ key: 'EQUALS', value: 'a=b' },
			];
			const { stdout } = await (await bench.pod()).run('echo $FROM_IMAGE $BOTH [$EMPTY] $EQUALS; env | grep -c ^BOTH=', { envs });
			assert.equal(stdout, 'yes container [] a=b\n1\n');
		},
	},
	{
		name: "the working folder is the image's or the container's, which is made",
		async run(bench) {
			const pod = await bench.pod();
			assert.equal((await pod.run('pwd')).stdout, '/tmp\n');
			assert.equal((await pod.run('pwd', { workingDir: '/made/for/it' })).stdout, '/made/for/it\n');
		},
	},
	{
		name: 'a terminal is there when it is asked for',
		async run(bench) {
			const pod = await bench.pod();
			assert.match(
				(await pod.run('test -t 0 && test -t 1 && echo terminal $TERM', { tty: true, stdin: true })).stdout,
				/^terminal xterm\r?\n$/,
			);
			assert.equal((await pod.run('test -t 0 || test -t 1 || echo none')).stdout, 'none\n');
		},
	},
	{
		name: 'without stdin a program reads its end at once',
		async run(bench) {
			assert.equal((await (await bench.pod()).run('cat; echo end')).stdout, 'end\n');
		},
	},
	{
		name: 'the log has times, streams, and long lines in parts',
		async run(bench) {
			const pod = await bench.pod();
			const script = 'echo one; echo two >&2; head -c 40000 /dev/zero | tr "\\0" x; echo; printf rest';
			const { id, stdout, stderr } = await pod.run(
				script.replace('tr "\\0" x', 'md5sum >/dev/null; i=0; while [ $i -lt 40 ]; do printf "%01000d" 0; i=$((i+1)); done'),
			);
			assert.equal(stdout.replace(/\n?$/, ''), `one\n${'0'.repeat(40_000)}\nrest`);
			assert.equal(stderr, 'two\n');
			const lines = readFileSync((await pod.status(id)).logPath ?? '', 'utf8')
				.trimEnd()
				.split('\n');
			for (const line of lines) assert.match(line, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|[+-]\d\d:\d\d) (stdout|stderr) [FP] /);
			const parts = lines.filter((line) => / stdout [FP] 0/.test(line));
			assert.ok(parts.length >= 3, 'the long line has parts');
			assert.ok(parts.slice(0, -1).every((line) => / P /.test(line)) && / F /.test(parts.at(-1)!), 'the last of which is marked');
		},
	},
	{
		name: 'ReopenContainerLog goes on in a new file; only a container that runs has one',
		async run(bench) {
			const pod = await bench.pod();
			const id = await pod.start(
				'echo before; while ! test -e /tmp/go; do sleep 0.05; done; echo after; while ! test -e /tmp/end; do sleep 0.05; done',
			);
			await new Promise((then) => setTimeout(then, 300));
			const path = (await pod.status(id)).logPath ?? '';
			renameSync(path, `${path}.1`);
			await bench.cri.call('ReopenContainerLog', { containerId: id });
			await pod.exec(id, 'touch /tmp/go; sleep 0.3; touch /tmp/end');
			await pod.ended(id);
			assert.match(readFileSync(`${path}.1`, 'utf8'), /before\n$/);
			assert.match(readFileSync(path, 'utf8'), /^\S+ stdout F after\n$/);
			await assert.rejects(bench.cri.call('ReopenContainerLog', { containerId: id }));
		},
	},
	{
		name: 'ExecSync gives both streams and the exit code',
		async run(bench) {
			const pod = await bench.pod();
			const id = await pod.start('sleep 1000', { envs: [{ key: 'A', value: 'b' }], workingDir: '/bin' });
			assert.deepEqual(await pod.exec(id, 'echo out $A; pwd; echo err >&2; exit 9'), { code: 9, stdout: 'out b\n/bin\n', stderr: 'err\n' });
			assert.deepEqual(await pod.exec(id, 'true'), { code: 0, stdout: '', stderr: '' });
		},
	},
	{
		name: 'ExecSync ends what takes too long, with DEADLINE_EXCEEDED',
		async run(bench) {
			const pod = await bench.pod();
			const id = await pod.start('sleep 1000');
			await assert.rejects(pod.exec(id, 'exec sleep 777', 1), { code: 4 });
			await new Promise((then) => setTimeout(then, 200));
			assert.doesNotMatch((await pod.exec(id, 'ps')).stdout, /sleep 777/);
		},
	},
	{
		name: 'ExecSync of a program that is not there, or in a container that does not run, fails',
		async run(bench) {
			const pod = await bench.pod();
			const id = await pod.start('sleep 1000');
			await assert.rejects(bench.cri.call('ExecSync', { containerId: id, cmd: ['/no/such/program'], timeout: 5 }));
			const created = await pod.create('true');
			await assert.rejects(pod.exec(created, 'true'));
			await assert.rejects(pod.exec('0123456789abcdef', 'true'), NOT_FOUND);
		},
	},
	{
		name: 'Exec, Attach and PortForward give a URL each; a terminal with stderr is refused',
		async run(bench) {
			const pod = await bench.pod();
			const containerId = await pod.start('sleep 1000');
			const urls = [
				(await bench.cri.call('Exec', { containerId, cmd: ['true'], stdout: true })).url,
				(await bench.cri.call('Attach', { containerId, stdout: true })).url,
				(await bench.cri.call('PortForward', { podSandboxId: pod.id, port: [80] })).url,
			];
			for (const url of urls) assert.match(url, /^https?:\/\/[^/]+\/.+/);
			assert.equal(new Set(urls).size, urls.length);
			await assert.rejects(bench.cri.call('Exec', { containerId, cmd: ['true'], tty: true, stdout: true, stderr: true }), { code: 3 });
			await assert.rejects(bench.cri.call('Exec', { containerId, cmd: ['true'] }), { code: 3 });
		},
	},
	{
		name: 'ContainerStats has CPU, memory and the writable layer',
		async run(bench) {
			const pod = await bench.pod();
			const id = await pod.start('head -c 3000000 /dev/zero >/written; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; exec sleep 1000');
			for (let tries = 0; ; tries++) {
				const { stats } = await bench.cri.call('ContainerStats', { containerId: id });
				const layer = Number(stats?.writableLayer?.usedBytes?.value ?? 0);
				const cpu = Number(stats?.cpu?.usageCoreNanoSeconds?.value ?? 0);
				const memory = Number(stats?.memory?.workingSetBytes?.value ?? 0);
				if (layer >= 3_000_000 && cpu > 1_000_000 && memory > 0 && stats?.attributes?.id === id) break;
				// The layer is measured now and then only.
				if (tries > 150) assert.fail(`layer ${layer}, cpu ${cpu}, memory ${memory}`);
				await new Promise((then) => setTimeout(then, 100));
			}
			const { stats: all } = await bench.cri.call('ListContainerStats', { filter: { podSandboxId: pod.id } });
			assert.ok(all.some(({ attributes }) => attributes?.id === id));
		},
	},
	{
		name: 'a memory limit kills with OOMKilled and 137',
		async run(bench) {
			const linux = { resources: { memoryLimitInBytes: 32 << 20 } };
			const { exitCode, reason } = await (await bench.pod()).run('x=x; while :; do x=$x$x; done', { linux });
			assert.deepEqual([exitCode, reason], [137, 'OOMKilled']);
		},
	},
	{
		name: 'UpdateContainerResources changes the limits of a container that runs',
		async run(bench) {
			const pod = await bench.pod();
			const id = await pod.start('sleep 1000', { linux: { resources: { memoryLimitInBytes: 64 << 20 } } });
			const limit = 'cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes';
			assert.equal((await pod.exec(id, limit)).stdout, `${64 << 20}\n`);
			await bench.cri.call('UpdateContainerResources', { containerId: id, linux: { memoryLimitInBytes: 48 << 20 } });
			assert.equal((await pod.exec(id, limit)).stdout, `${48 << 20}\n`);
		},
	},
	{
		name: 'ContainerStatus tells the resources, as they were updated',
		async run(bench) {
			const pod = await bench.pod();
			const id = await pod.start('sleep 1000', { linux: { resources: { memoryLimitInBytes: 64 << 20, cpuShares: 512 } } });
			await bench.cri.call('UpdateContainerResources', { containerId: id, linux: { memoryLimitInBytes: 48 << 20 } });
			const { linux } = (await pod.status(id)).resources ?? {};
			assert.deepEqual([Number(linux?.memoryLimitInBytes), Number(linux?.cpuShares)], [48 << 20, 512]);
		},
	},
	{
		name: 'ContainerStatus tells the user',
		async run(bench) {
			const pod = await bench.pod();
			const id = await pod.start('sleep 1000', { linux: { securityContext: { runAsUser: null, runAsUsername: 'app' } } });
			const { linux } = (await pod.status(id)).user ?? {};
			assert.deepEqual([linux?.uid, linux?.gid, [...(linux?.supplementalGroups ?? [])].sort()], [1000, 1000, [1000, 2001, 2002]]);
		},
	},
];
