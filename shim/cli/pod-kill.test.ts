import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { withPod } from './pod-testing.js';
import { until } from './testing.js';

withPod('commands about a container of a pod that are killed on the way leave nothing, and the pod goes on', async (t, pod) => {
	const { bench } = pod;
	const descriptors = (): number => readdirSync(`/proc/${pod.state().pid}/fd`).length;
	const before = descriptors();
	pod.configure(['/bin/sh', '-c', 'sleep 8213 & sleep 8213 & wait']);
	for (const [round, command] of ['create', 'run', 'start', 'delete', 'run', 'create', 'exec', 'delete'].entries()) {
		const isPrepared = command !== 'create' && command !== 'run';
		if (isPrepared) t.equal(bench.leave(command === 'start' ? ['create', 'member'] : ['run', '--detach', 'member']), 0);
		const more = { exec: ['sleep', '8213'], delete: [] as string[] }[command] ?? [];
		const args =
			command === 'run'
				? ['run', '--detach', 'member']
				: command === 'delete'
					? ['delete', '--force', 'member']
					: [command, 'member', ...more];
		const child = bench.start(args, { stdio: 'ignore' });
		const gone = new Promise((then) => child.once('exit', then));
		await sleep(100 + 40 * round);
		child.kill('SIGKILL');
		await gone;
		t.equal(bench.isopod(['delete', '--force', 'member']).code, 0, `${command}: nothing stands in the way of its removal`);
		t.equal(bench.isopod(['list', '--quiet']).stdout.trim(), pod.id);
	}
	t.equal(pod.state().status, 'running');
	t.equal(bench.isopod(['exec', pod.id, 'echo', 'alive']).stdout, 'alive\n');
	await until(() => !bench.hostRun(['ps', 'ax']).includes('sleep 8213'));
	await until(() => descriptors() <= before);
});
