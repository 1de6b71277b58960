import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { withPod } from './pod-testing.js';
import { ending, printed, until } from './testing.js';

withPod('containers of a pod share its name, its network and its IPC, and see their own processes only', (t, pod) => {
	t.equal(pod.sh('one', 'hostname; readlink /proc/self; ls -d /proc/[0-9]* | wc -l').split('\n')[0], 'pod-name');
	t.same(pod.sh('two', 'echo $$; ps | grep -c "[s]leep 1000"; true'), '1\n0\n');
	const capabilities = Object.fromEntries(['bounding', 'permitted', 'effective'].map((set) => [set, ['CAP_SYS_ADMIN']]));
	pod.sh('three', 'hostname renamed', { process: { capabilities } });
	t.equal(pod.bench.isopod(['exec', pod.id, 'hostname']).stdout, 'renamed\n', 'what one of them changes, all see');
});

withPod('with the PID namespace shared they see each other, and the pod outlives each of them', async (t, pod) => {
	t.match(pod.sh('one', 'ps', { hasPids: true }), /1 .*sleep 1000/);
	pod.configure(['/bin/sleep', '500'], { hasPids: true });
	t.equal(pod.bench.leave(['run', '--detach', 'sleeper']), 0);
	t.match(pod.bench.isopod(['exec', pod.id, 'ps']).stdout, /sleep 500/, 'the first sees the second');
	t.notOk(pod.sh('alone', 'ps').includes('sleep'), 'one with a PID namespace of its own sees neither');
	pod.sh('killer', 'kill -9 $(ps | grep "sleep 500" | grep -v grep | head -n 1 | while read pid rest; do echo $pid; done)', {
		hasPids: true,
	});
	await until(() => pod.state('sleeper').status === 'stopped');
	t.equal(pod.state().status, 'running');
	t.equal(pod.bench.isopod(['delete', 'sleeper']).code, 0);
});

withPod("a container's children end with it, also in a PID namespace that goes on", async (t, pod) => {
	pod.sh('parent', 'sleep 700 & sleep 700 & sleep 0.1', { hasPids: true });
	await until(() => !pod.bench.isopod(['exec', pod.id, 'ps']).stdout.includes('sleep 700'));
	t.match(pod.bench.isopod(['exec', pod.id, 'ps']).stdout, 'sleep 1000');
});

withPod('a container is restarted, another is killed, and neither harms the rest', (t, pod) => {
	for (const round of [1, 2, 3]) t.equal(pod.sh('again', `echo ${round}; exit 0`), `${round}\n`);
	pod.configure(['/bin/sh', '-c', 'exit 7']);
	t.equal(pod.bench.isopod(['run', 'fails']).code, 7);
	pod.configure(['/bin/sleep', '900']);
	t.equal(pod.bench.leave(['run', '--detach', 'victim']), 0);
	t.match(pod.bench.isopod(['ps', 'victim']).stdout, 'sleep 900');
	t.notMatch(pod.bench.isopod(['ps', 'victim']).stdout, 'sleep 1000', 'ps shows its own processes');
	t.equal(pod.bench.isopod(['delete', '--force', 'victim']).code, 0);
	t.equal(pod.state().status, 'running');
	t.match(pod.bench.isopod(['list', '--quiet']).stdout.trim(), pod.id);
	t.equal(pod.bench.isopod(['list', '--quiet']).stdout.trim().split('\n').length, 1);
});

withPod('what one container writes to a volume the other reads, and the host', (t, pod) => {
	pod.configure([
		'/bin/sh',
		'-c',
		'while :; do test -e /volume/go && cat /volume/go >/volume/answer && mv /volume/answer /volume/done && exit 0; sleep 0.02; done',
	]);
	t.equal(pod.bench.leave(['run', '--detach', 'reader']), 0);
	const seen = pod.sh(
		'writer',
		'ls /volume; echo hello >/volume/new; mv /volume/new /volume/go; until test -e /volume/done; do sleep 0.02; done; cat /volume/done',
	);
	t.equal(seen, 'hello\n');
	t.equal(readFileSync(join(pod.volume, 'done'), 'latin1'), 'hello\n');
	writeFileSync(join(pod.volume, 'by-host'), 'x');
	t.match(pod.sh('third', 'ls /volume'), /by-host\ndone\ngo/);
	pod.bench.isopod(['delete', '--force', 'reader']);
});

withPod('containers of a pod reach each other: sockets, fifos, locks, mappings and events of a volume, IPC, localhost', async (t, pod) => {
	const source = resolve(import.meta.dirname, '../../../shim/cli/programs/pod-member.c');
	execFileSync('gcc', ['-O1', '-Wall', '-Werror', '-static', '-o', join(pod.bench.rootfs, 'bin/member'), source]);
	pod.configure(['/bin/member', 'first', '/volume']);
	const first = pod.bench.start(['run', 'first']);
	const end = ending(first);
	await printed(first, 'ready');
	pod.configure(['/bin/member', 'second', '/volume']);
	const second = pod.bench.isopod(['run', 'second']);
	t.match(second, { code: 0, stderr: '' });
	t.same(second.stdout.trim().split('\n'), [
		'sock: hello',
		'abstract: hello',
		'localhost: hello',
		'map: from the first',
		'F_SETLK: Resource temporarily unavailable',
		'F_GETLK: 1 10 5',
		'flock: Resource temporarily unavailable',
		'flock: taken',
		'shm: shared memory',
	]);
	t.match(await end, {
		code: 0,
		stdout: 'ready\nfifo: through the fifo\nevent: 100 new\nqueue: a message\nmap: from the second\n',
	});
});

withPod('what a container may join is its own pod, and no other', (t, pod) => {
	pod.configure(['/bin/true']);
	const file = join(pod.bench.bundle, 'config.json');
	const config = readFileSync(file, 'utf8');
	for (const type of ['ipc', 'uts', 'pid', 'net']) {
		const text = JSON.parse(config) as { linux: { namespaces: { type: string; path?: string }[] } };
		const name = type === 'net' ? 'network' : type;
		text.linux.namespaces = [
			...text.linux.namespaces.filter((namespace) => namespace.type !== name),
			{ type: name, path: `/proc/self/ns/${type}` },
		];
		writeFileSync(file, JSON.stringify(text));
		const { code, stderr } = pod.bench.isopod(['run', 'stranger']);
		t.equal(code, 1, type);
		t.match(stderr, /none of its own sandbox's/);
	}
	writeFileSync(file, config.replaceAll(pod.id, 'nobody'));
	t.match(pod.bench.isopod(['run', 'orphan']).stderr, /container does not exist: nobody/);
	t.equal(pod.bench.isopod(['list', '--quiet']).stdout.trim(), pod.id, 'nothing is left of them');
});

withPod('when the first container ends, the others end with it, and can be deleted', async (t, pod) => {
	pod.configure(['/bin/sleep', '650']);
	t.equal(pod.bench.leave(['run', '--detach', 'member']), 0);
	t.equal(pod.bench.isopod(['kill', pod.id, 'KILL']).code, 0);
	await until(() => pod.state('member').status === 'stopped' && pod.state().status === 'stopped');
	pod.bench.configure(['/bin/true'], {
		annotations: { 'io.kubernetes.cri.container-type': 'container', 'io.kubernetes.cri.sandbox-id': pod.id },
	});
	t.match(pod.bench.isopod(['run', 'late']), { code: 1, stderr: /its first container is stopped/ });
	t.equal(pod.bench.isopod(['delete', pod.id]).code, 0);
	t.equal(pod.bench.isopod(['delete', 'member']).code, 0);
	t.strictSame(pod.bench.leftovers, []);
});

withPod('when the sandbox process is killed, all containers of the pod have ended', async (t, pod) => {
	pod.configure(['/bin/sleep', '600']);
	t.equal(pod.bench.leave(['run', '--detach', 'member']), 0);
	const { pid } = pod.state();
	process.kill(pid, 'SIGKILL');
	await until(() => pod.state('member').status === 'stopped');
	t.equal(pod.state().status, 'stopped');
	t.equal(pod.bench.isopod(['delete', 'member']).code, 0);
	t.match(pod.bench.hostRun(['ps', 'ax']).includes('sleep 600'), false);
});
