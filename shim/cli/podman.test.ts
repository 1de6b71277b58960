import { spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import t from 'tap';
import { until, Workbench } from './testing.js';

const RUNTIME = resolve('native/build/isopod');
const LIMIT_MS = 30_000;

/** podman with storage of its own, and isopod as its runtime. */
t.test('podman runs, executes in, pauses, measures and stops containers', async (t) => {
	const bench = new Workbench();
	const storage = ['--root', join(bench.folder, 'storage'), '--runroot', join(bench.folder, 'run')];
	const podman = (...args: string[]): { code: number; stdout: string; stderr: string } => {
		const options = ['--cgroup-manager=cgroupfs', '--events-backend=none', ...storage, '--storage-driver=vfs', '--runtime', RUNTIME];
		const { status, stdout, stderr } = spawnSync('podman', [...options, ...args], { encoding: 'utf8', timeout: LIMIT_MS });
		return { code: status ?? 255, stdout, stderr };
	};
	t.teardown(() => {
		podman('rm', '-f', '-a');
		bench.clean();
	});
	const network = ['--network', 'none'];
	const ran = podman('run', '--rm', ...network, '--rootfs', bench.rootfs, 'sh', '-c', 'head -1 /proc/version; exit 6');
	t.match(ran, { code: 6, stdout: /6\.12\.0-isopod/ }, ran.stderr);
	const script = 'trap "echo bye; exit 3" TERM; echo hello; while :; do sleep 0.1; done';
	t.equal(podman('run', '-d', '--name', 'one', '--memory', '100m', ...network, '--rootfs', bench.rootfs, 'sh', '-c', script).code, 0);
	await until(() => podman('logs', 'one').stdout === 'hello\n');
	t.match(podman('exec', 'one', 'sh', '-c', 'echo inside; id -u; exit 9'), { code: 9, stdout: 'inside\n0\n' });
	t.match(podman('stats', '--no-stream', '--format', '{{.Name}} {{.MemUsage}}', 'one').stdout, /^one [\d.]+[kM]B \/ 104\.9MB/);
	t.equal(podman('pause', 'one').code, 0);
	t.equal(podman('inspect', '--format', '{{.State.Status}}', 'one').stdout, 'paused\n');
	t.equal(podman('unpause', 'one').code, 0);
	t.equal(podman('stop', '-t', '10', 'one').code, 0);
	t.equal(podman('inspect', '--format', '{{.State.Status}} {{.State.ExitCode}}', 'one').stdout, 'exited 3\n');
	t.equal(podman('logs', 'one').stdout, 'hello\nbye\n');
	t.equal(podman('rm', 'one').code, 0);
});
