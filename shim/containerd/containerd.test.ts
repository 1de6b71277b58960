import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Containerd, IMAGE, RUNTIME } from './testing.js';

const containerd = new Containerd();
await containerd.start();
t.teardown(() => containerd.stop());

let count = 0;
/** `ctr run --rm` of a script. */
function run(script: string, input: string | Buffer = '', options: readonly string[] = []): ReturnType<Containerd['ctr']> {
	return containerd.ctr(['run', '--rm', '--runtime', RUNTIME, ...options, IMAGE, `c${count++}`, '/bin/sh', '-c', script], input);
}

t.test('ctr run: output, exit codes, signals, the sandbox around it', async (t) => {
	t.match(run('echo out; echo err >&2; exit 3'), { code: 3, stdout: 'out\n', stderr: /^err\n/ });
	t.equal(run("sh -c 'kill -9 $$'; exit $?").code, 137);
	t.match(run('cat /proc/version').stdout, /isopod/);
	t.equal(
		run('touch /new /tmp/new && stat -c %u:%g /new').stdout,
		'0:0\n',
		"the root file system is writable, and its files are the container root's",
	);
	t.match(containerd.ctr(['run', '--rm', '--runtime', RUNTIME, IMAGE, 'missing', '/nothing']).stderr, /no such file or directory/);
	t.same(containerd.leftovers, []);
});

t.test('100 MB through stdin and stdout arrive whole', async (t) => {
	const bytes = randomBytes(100 << 20);
	const { stdout, code } = run('cat', bytes);
	t.equal(code, 0);
	t.ok(Buffer.from(stdout, 'latin1').equals(bytes));
});

t.test('a task is executed in, paused, measured and killed', async (t) => {
	t.equal(
		containerd.ctr(['run', '--detach', '--runtime', RUNTIME, '--memory-limit', '67108864', IMAGE, 'long', '/bin/sleep', '1000']).code,
		0,
	);
	const task = (...args: string[]): ReturnType<Containerd['ctr']> => containerd.ctr(['task', ...args]);
	t.match(task('exec', '--exec-id', 'a', 'long', '/bin/sh', '-c', 'ps; exit 4'), { code: 4, stdout: /1 .*sleep 1000/ });
	t.match(task('exec', '--exec-id', 'a', 'long', '/bin/hostname').code, 0, 'an exec id can be used again');
	t.match(task('list').stdout, /long +\d+ +RUNNING/);
	t.equal(task('pause', 'long').code, 0);
	t.match(task('list').stdout, /long +\d+ +PAUSED/);
	t.equal(task('resume', 'long').code, 0);
	t.match(task('metrics', 'long').stdout, /memory\.limit_in_bytes +67108864/);
	t.match(task('ps', 'long').stdout, /\d+/);
	t.equal(task('kill', '--signal', 'TERM', 'long').code, 0, 'pid 1 that catches nothing');
	t.match(task('list').stdout, /long +\d+ +RUNNING/, 'ignores SIGTERM');
	t.match(task('delete', 'long').stderr, /running/, 'a running task is not deleted');
	t.equal(task('kill', '--signal', 'KILL', 'long').code, 0);
	for (let tries = 0; !/STOPPED/.test(task('list').stdout) && tries < 100; tries++);
	t.match(task('delete', 'long').stderr, /exit code 137/);
	containerd.ctr(['container', 'delete', 'long']);
	t.same(containerd.leftovers, []);
});

t.test('the events of a task come in order', async (t) => {
	const watching = containerd.startCtr(['events']);
	let seen = '';
	watching.stdout!.on('data', (bytes) => {
		seen += bytes;
	});
	await new Promise((then) => setTimeout(then, 500));
	t.equal(run('exit 9').code, 9);
	await new Promise((then) => setTimeout(then, 500));
	watching.kill();
	const topics = [...seen.matchAll(/ (\/tasks\/[a-z-]+) /g)].map((match) => match[1]);
	t.same(topics, ['/tasks/create', '/tasks/start', '/tasks/exit', '/tasks/delete']);
	t.match(seen, /"exit_status":9/);
});

t.test('a config that is not honoured is refused by name', async (t) => {
	const refused = (...options: string[]): string => run('true', '', options).stderr;
	t.match(refused('--device', '/dev/kvm'), /config\.json: linux\.devices\[0\]\.path: the guest kernel has no device c 10:232/);
	t.match(refused('--privileged'), 'a privileged container is not allowed on this node');
	t.same(containerd.leftovers, []);
});

t.test('what a shim says is in the log of containerd', async (t) => {
	t.match(readFileSync(join(containerd.folder, 'log'), 'utf8'), /containerd-shim-isopod.*The shim is ready/);
});
