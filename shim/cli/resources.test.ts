import { existsSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { Cgroup } from '../../runtime/oci/cgroup/cgroup.js';
import { findHierarchies } from '../../runtime/oci/cgroup/hierarchies.js';
import { type ConfigChanges, ending, HANDLER, printed, until, Workbench } from './testing.js';

const PARENT = `/isopod-cli-test-${process.pid}`;
const hierarchies = findHierarchies();

/** A test with a workbench, and a control group for its containers, that are cleaned up whatever happens. */
function test(name: string, body: (t: Test, bench: Workbench) => void | Promise<void>): void {
	t.test(name, async (t) => {
		const bench = new Workbench();
		t.teardown(() => {
			bench.clean();
			for (const point of new Set(hierarchies.mounts.values())) if (existsSync(join(point, PARENT))) rmdirSync(join(point, PARENT));
		});
		await body(t, bench);
	});
}

const inGroup = (name: string, resources: object): ConfigChanges => ({ linux: { cgroupsPath: `${PARENT}/${name}`, resources } });
const MIB = 1 << 20;
/** For awk: takes all the memory there is. */
const BOMB = 'BEGIN { s = "x"; while (1) s = s s }';

test('limits hold: memory ends the program, pids end its forks, and usage is shown', async (t, bench) => {
	bench.configure(['busybox', 'awk', BOMB], inGroup('c1', { memory: { limit: 48 * MIB } }));
	t.equal(bench.isopod(['run', 'c1']).code, 137);
	bench.configure(['sh', '-c', 'for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; echo done'], inGroup('c2', { pids: { limit: 5 } }));
	const forks = bench.isopod(['run', 'c2']);
	t.match(forks.stderr, /can't fork|Resource temporarily unavailable|Cannot fork/i);
	bench.configure(['sleep', '1000'], inGroup('c3', { memory: { limit: 64 * MIB }, cpu: { shares: 300 } }));
	t.equal(bench.leave(['run', '-d', 'c3']), 0);
	const { data } = JSON.parse(bench.isopod(['events', '--stats', 'c3']).stdout) as { data: { memory: { usage: object }; pids: object } };
	t.match(data, { memory: { usage: { limit: 64 * MIB } }, pids: { current: 1 } });
	const cgroup = Cgroup.at(`${PARENT}/c3`);
	const sandbox = bench.state('c3').pid;
	t.notOk(cgroup.processes().includes(sandbox), 'the sandbox process is not under the limits of its guests');
	t.equal(bench.isopod(['update', '--memory', `${32 * MIB}`, '--pids-limit', '7', 'c3']).code, 0);
	t.match(bench.isopod(['events', '--stats', 'c3']).stdout, /"limit":33554432.*"pids":\{"current":1,"limit":7\}/);
	// A machine's kernel shows the machine's memory.
	if (HANDLER === 'isopod')
		t.match(bench.isopod(['exec', 'c3', 'grep', 'MemTotal', '/proc/meminfo']).stdout, / 32768 kB/, 'the container is shown its new limit');
	t.match(bench.isopod(['update', '--memory', 'much', 'c3']), { code: 1, stderr: /--memory: want a number, got "much"/ });
	writeFileSync(join(bench.bundle, 'r.json'), '{"memory":{"limit":100,"checkBeforeUpdate":true}}');
	t.match(bench.isopod(['update', '-r', 'r.json', 'c3']), { code: 1, stderr: /Set the memory limit to 100 bytes: \d+ are in use/ });
	t.equal(bench.isopod(['delete', '-f', 'c3']).code, 0);
	t.notOk(existsSync(join([...hierarchies.mounts.values()][0]!, PARENT, 'c3')), 'its group is gone');
	t.strictSame(bench.leftovers, []);
});

test('events tells when a container runs out of memory', async (t, bench) => {
	bench.configure(['sh', '-c', `read x; busybox awk '${BOMB}'; sleep 1000`], inGroup('c1', { memory: { limit: 48 * MIB } }));
	const run = bench.start(['run', 'c1']);
	const end = ending(run);
	await until(() => bench.isopod(['state', 'c1']).stdout.includes('"running"'));
	const events = bench.start(['events', '--interval', '50ms', 'c1']);
	const eventsEnd = ending(events);
	await printed(events, '"type":"stats"');
	run.stdin!.end('go\n');
	await printed(events, '"type":"oom"');
	t.equal(bench.isopod(['kill', 'c1', 'KILL']).code, 0);
	t.equal((await end).code, 137);
	t.equal((await eventsEnd).code, 0, 'events ends with the container');
});

for (const isGrouped of [true, false]) {
	test(`pause stops running and blocked programs, resume loses nothing (${isGrouped ? 'with' : 'without'} a group in the config)`, async (t, bench) => {
		const count = 'i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done';
		bench.configure(['sh', '-c', `read line | cat & ${count}`], isGrouped ? inGroup('c1', {}) : {});
		const run = bench.start(['run', 'c1']);
		const end = ending(run);
		let text = '';
		run.stdout!.on('data', (bytes: Buffer) => (text += bytes.toString()));
		await until(() => text.includes('5\n'));
		for (let round = 0; round < 3; round++) {
			t.equal(bench.isopod(['pause', 'c1']).code, 0);
			t.equal(bench.state('c1').status, 'paused');
			// What was written before the pause is on its way still.
			await sleep(50);
			const before = text;
			await sleep(150);
			t.equal(text, before, 'nothing runs');
			t.match(bench.isopod(['exec', 'c1', 'true']), { code: 255, stderr: /cannot exec in a paused container/ });
			t.match(bench.isopod(['pause', 'c1']), { code: 1, stderr: /cannot pause a container that is paused/ });
			t.equal(bench.isopod(['resume', 'c1']).code, 0);
			await until(() => text.length > before.length);
		}
		t.equal(bench.state('c1').status, 'running');
		t.equal(bench.isopod(['exec', 'c1', 'echo', 'in']).stdout, 'in\n');
		t.equal(bench.isopod(['pause', 'c1']).code, 0);
		t.equal(bench.isopod(['kill', 'c1', 'KILL']).code, 0, 'what is paused can be killed');
		t.equal((await end).code, 137);
		const numbers = text.trim().split('\n').map(Number);
		t.strictSame(
			numbers,
			numbers.map((_, i) => i + 1),
		);
		t.strictSame(bench.leftovers, []);
	});
}

test('features is what the specification says', async (t, bench) => {
	const features = JSON.parse(bench.isopod(['features']).stdout) as Record<string, unknown>;
	t.match(features, { ociVersionMin: '1.0.0', ociVersionMax: '1.2.0', linux: { cgroup: { v1: true, v2: true } } });
});
