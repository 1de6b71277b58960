import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type ConfigChanges, HANDLER, until, Workbench } from './testing.js';

/** A test with a workbench that is cleaned up whatever happens. */
function test(name: string, body: (t: Test, bench: Workbench) => void | Promise<void>): void {
	t.test(name, async (t) => {
		const bench = new Workbench();
		t.teardown(() => bench.clean());
		await body(t, bench);
	});
}

/** A test of what virtual machines don't honour yet: it must be refused there by name. */
function ofGuestKernel(name: string, body: (t: Test, bench: Workbench) => void | Promise<void>): void {
	if (HANDLER === 'isopod') test(name, body);
}

/** A hook that appends its name, its argv[1], its environment's A and the state's status and id to a log. */
function makeHook(bench: Workbench): { path: string; log: string } {
	const path = join(bench.folder, 'hook');
	const log = join(bench.folder, 'hooks.log');
	const script = `#!/bin/sh\nstate=$(cat)\necho "$1 $A $(echo "$state" | sed 's/.*"id":"\\([^"]*\\)".*"status":"\\([^"]*\\)".*/\\1 \\2/')" >>${log}\n[ "$1" != fail ] || { echo on purpose >&2; exit 7; }\n`;
	writeFileSync(path, script);
	chmodSync(path, 0o755);
	return { path, log };
}

test('hooks run at their points, in order, with the state on their input', async (t, bench) => {
	const { path, log } = makeHook(bench);
	const hook = (name: string): object => ({ path, args: ['hook', name], env: ['A=b'] });
	const points = ['prestart', 'createRuntime', 'createContainer', 'poststart', 'poststop'];
	const hooks = Object.fromEntries(points.map((point) => [point, [hook(point), hook(`${point}-again`)]]));
	bench.configure(['sh', '-c', 'exit 4'], { hooks });
	t.equal(bench.leave(['create', 'c1']), 0);
	const created = ['prestart', 'createRuntime', 'createContainer'].flatMap((name) => [
		`${name} b c1 creating`,
		`${name}-again b c1 creating`,
	]);
	t.strictSame(readFileSync(log, 'utf8').trim().split('\n'), created);
	t.equal(bench.isopod(['delete', '-f', 'c1']).code, 0);
	t.match(readFileSync(log, 'utf8'), /poststop b c1 stopped\npoststop-again b c1 stopped\n$/);
	t.equal(bench.isopod(['run', 'c2']).code, 4);
	t.match(
		readFileSync(log, 'utf8'),
		/poststart b c2 running\npoststart-again b c2 running\npoststop b c2 stopped\npoststop-again b c2 stopped\n$/,
	);
});

test('a hook that fails before the start ends it with nothing left; afterwards it is only told', async (t, bench) => {
	const { path } = makeHook(bench);
	const fails = { path, args: ['hook', 'fail'] };
	bench.configure(['true'], { hooks: { createRuntime: [fails] } });
	const failed = bench.isopod(['run', 'c1']);
	t.match(failed, { code: 1, stderr: /error running createRuntime hook #0: .*hook: exit status 7, stdout\/stderr: on purpose/ });
	t.strictSame(bench.leftovers, []);
	bench.configure(['sh', '-c', 'exit 3'], { hooks: { poststart: [fails], poststop: [fails] } });
	const told = bench.isopod(['run', 'c2']);
	t.match(told, { code: 3, stderr: /poststart hook #0.*\n.*poststop hook #0/ });
	bench.configure(['true'], { hooks: { prestart: [{ path: '/bin/sleep', args: ['sleep', '60'], timeout: 1 }] } });
	t.match(bench.isopod(['run', 'c3']), { code: 1, stderr: /prestart hook #0: \/bin\/sleep: it ran longer than 1 s/ });
	bench.configure(['true'], { hooks: { prestart: [{ path: '/nothing/there' }] } });
	t.match(bench.isopod(['run', 'c4']), { code: 1, stderr: /prestart hook #0: \/nothing\/there: ENOENT/ });
	t.strictSame(bench.leftovers, []);
});

ofGuestKernel('startContainer hooks run inside before the program, which is the first process all the same', async (t, bench) => {
	mkdirSync(join(bench.rootfs, 'hooks'), { recursive: true });
	const path = '/hooks/hook';
	const script =
		'#!/bin/sh\nstate=$(cat)\necho "$0 $1 $A $$ $(id -u) $PWD $(hostname) $state" >>/tmp/log\n[ "$1" != fail ] || { echo on purpose >&2; exit 7; }\n';
	writeFileSync(join(bench.rootfs, path), script);
	chmodSync(join(bench.rootfs, path), 0o755);
	const hook = (name: string): object => ({ path, args: ['hook', name], env: ['A=b', 'PATH=/bin'] });
	const process = { cwd: '/tmp', user: { uid: 5, gid: 5 } };
	const mounts = [{ destination: '/tmp', type: 'tmpfs', source: 'tmpfs' }];
	const more = { process, mounts, hostname: 'inside' };
	bench.configure(['sh', '-c', 'cat /tmp/log; echo "program $$"; exit 4'], {
		...more,
		hooks: { startContainer: [hook('one'), hook('two')] },
	});
	const { code, stdout } = bench.isopod(['run', 'c1']);
	const [one = '', two = '', program] = stdout.split('\n');
	t.match(one, /^\/hooks\/hook one b \d+ 5 \/tmp inside \{/);
	t.match(two, /^\/hooks\/hook two b \d+ 5 \/tmp inside \{/);
	t.match(JSON.parse(one.slice(one.indexOf('{'))), { id: 'c1', status: 'created', pid: 1, bundle: bench.bundle, ociVersion: /^1\./ });
	t.equal(program, 'program 1');
	t.equal(code, 4);
	const run = (startContainer: object[]) => {
		bench.configure(['echo', 'ran'], { ...more, hooks: { startContainer } });
		return bench.isopod(['run', 'c2']);
	};
	const failed = run([hook('fail'), hook('one')]);
	t.match(failed, { code: 1, stderr: /error running startContainer hook #0: \/hooks\/hook: exit status 7, stdout\/stderr: on purpose/ });
	t.equal(failed.stdout, '');
	t.match(run([hook('one'), { path: '/bin/sleep', args: ['sleep', '60'], timeout: 1 }]), {
		code: 1,
		stdout: '',
		stderr: /startContainer hook #1: \/bin\/sleep: it ran longer than 1 s/,
	});
	t.match(run([{ path: '/nothing/there' }]), { code: 1, stdout: '', stderr: /startContainer hook #0: \/nothing\/there: .*no such file/ });
	t.match(run([{ path: '/bin/sh', args: ['sh', '-c', 'head -c 1000000 /dev/zero; exit 3'], env: ['PATH=/bin'] }]), {
		code: 1,
		stdout: '',
		stderr: /hook #0: \/bin\/sh: exit status 3/,
	});
	t.strictSame(bench.leftovers, []);
});

const seccomp = (profile: object): ConfigChanges => ({ linux: { seccomp: profile } });
const deny = (names: string[], more: object = {}): object => ({ names, action: 'SCMP_ACT_ERRNO', ...more });

test('a seccomp profile denies by call and by argument: trapped calls, and native ones', async (t, bench) => {
	const run = (script: string, syscalls: object[], defaultAction = 'SCMP_ACT_ALLOW') =>
		bench.run(['sh', '-c', script], seccomp({ defaultAction, architectures: ['SCMP_ARCH_X86_64'], syscalls }));
	t.match(run('mkdir /tmp/d', [deny(['mkdir', 'mkdirat', 'no_such_call'])]), { code: 1, stderr: /Operation not permitted/ });
	t.match(run('mkdir /tmp/d', [deny(['mkdir'], { errnoRet: 38 })]), { code: 1, stderr: /Function not implemented/ });
	// Sleeping is native.
	t.equal(run('sleep 0.01', [{ names: ['nanosleep', 'clock_nanosleep'], action: 'SCMP_ACT_KILL_PROCESS' }]).code, 128 + 31);
	t.equal(run('sleep 0.01', [{ names: ['nanosleep', 'clock_nanosleep'], action: 'SCMP_ACT_TRAP' }]).code, 128 + 31);
	t.equal(run('kill -9 $$; umask', [{ names: ['umask'], action: 'SCMP_ACT_KILL_PROCESS' }]).code, 128 + 31);
	// umask(0077), but not umask(0022).
	const args = [{ index: 0, value: 0o77, op: 'SCMP_CMP_EQ' }];
	t.equal(run('umask 0022 && umask', [{ names: ['umask'], action: 'SCMP_ACT_KILL_PROCESS', args }]).stdout, '0022\n');
	t.match(run('umask 0077', [{ names: ['umask'], action: 'SCMP_ACT_KILL_PROCESS', args }]), { code: 128 + 31, stderr: '' });
	const notEqual = [{ index: 0, value: 0o77, op: 'SCMP_CMP_NE' }];
	t.equal(run('umask 0022', [{ names: ['umask'], action: 'SCMP_ACT_KILL_PROCESS', args: notEqual }]).code, 128 + 31);
	const masked = [{ index: 0, value: 0o70, valueTwo: 0o20, op: 'SCMP_CMP_MASKED_EQ' }];
	t.equal(run('umask 0022', [{ names: ['umask'], action: 'SCMP_ACT_KILL_PROCESS', args: masked }]).code, 128 + 31);
	const enough =
		'read write close brk mmap munmap mprotect execve exit_group exit arch_prctl set_tid_address set_robust_list rseq prlimit64 readlink getrandom newfstatat fstat stat lstat getuid geteuid getgid getegid getpid getppid rt_sigaction rt_sigprocmask rt_sigreturn ioctl fcntl getcwd uname open openat wait4 fork clone vfork dup2 pipe prctl';
	const allow = [{ names: enough.split(' '), action: 'SCMP_ACT_ALLOW' }];
	t.match(run('echo on; (echo child); mkdir /tmp/d', allow, 'SCMP_ACT_ERRNO'), {
		stdout: 'on\nchild\n',
		stderr: /Operation not permitted/,
	});
	bench.configure(['true'], seccomp({ defaultAction: 'SCMP_ACT_NOTIFY' }));
	t.match(bench.isopod(['run', 'c1']), {
		code: 1,
		stderr: /linux.seccomp.defaultAction: the action SCMP_ACT_NOTIFY is not honoured: a process has one seccomp listener/,
	});
	bench.configure(
		['true'],
		seccomp({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: [deny(['open'], { args: [{ index: 6, value: 0, op: 'SCMP_CMP_EQ' }] })] }),
	);
	t.match(bench.isopod(['run', 'c1']), { code: 1, stderr: /linux.seccomp.syscalls\[0\].args\[0\].index/ });
});

test('sysctls of the network, devices and the out-of-memory score', async (t, bench) => {
	const before = readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'utf8');
	bench.configure(['sleep', '1000'], {
		linux: {
			sysctl: { 'net.ipv4.ip_unprivileged_port_start': '123' },
			devices: [
				{ path: '/dev/null', type: 'c', major: 1, minor: 3, fileMode: 0o600, uid: 5 },
				{ path: '/dev/deep/zero', type: 'c', major: 1, minor: 5 },
			],
		},
		process: { oomScoreAdj: 321 },
	});
	t.equal(bench.leave(['run', '-d', 'c1']), 0);
	const { pid } = bench.state('c1');
	const file = '/proc/sys/net/ipv4/ip_unprivileged_port_start';
	if (HANDLER === 'isopod') t.equal(bench.hostRun(['nsenter', '-t', `${pid}`, '-n', 'cat', file]), '123\n');
	else t.equal(bench.isopod(['exec', 'c1', 'cat', file]).stdout, '123\n');
	t.equal(readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'utf8'), before, "the host's own is as it was");
	t.equal(bench.isopod(['exec', 'c1', 'stat', '-c', '%a %u %t:%T', '/dev/null', '/dev/deep/zero']).stdout, '600 5 1:3\n666 0 1:5\n');
	t.equal(bench.isopod(['exec', 'c1', 'sh', '-c', 'head -c 3 /dev/deep/zero | wc -c']).stdout.trim(), '3');
	t.equal(bench.isopod(['exec', 'c1', 'cat', '/proc/self/oom_score_adj', '/proc/1/oom_score_adj']).stdout, '321\n321\n');
	const [guest] = JSON.parse(bench.isopod(['ps', '-f', 'json', 'c1']).stdout) as number[];
	// A machine's processes are none of the host's.
	if (HANDLER === 'isopod') t.equal(readFileSync(`/proc/${guest}/oom_score_adj`, 'latin1'), '321\n', 'for the host, too');
	bench.configure(['true'], { linux: { sysctl: { 'net.ipv4.no_such': '1' } } });
	t.match(bench.isopod(['run', 'c2']), { code: 1, stderr: /net.ipv4.no_such.*(ENOENT|No such file)/ });
	bench.configure(['true'], { linux: { sysctl: { 'net/../kernel/core_pattern': '1' } } });
	t.match(bench.isopod(['run', 'c2']), { code: 1, stderr: /only those of the network namespace/ });
	bench.configure(['true'], { linux: { devices: [{ path: '/dev/sda', type: 'b', major: 8, minor: 0 }] } });
	t.match(bench.isopod(['run', 'c2']), { code: 1, stderr: /the guest kernel has no device b 8:0 \(\/dev\/sda\)/ });
	t.notOk(existsSync(join(bench.root, 'c2')));
});

/** Policy, nice value and io class of a process, as the host has them. */
function scheduling(bench: Workbench, pid: number): string {
	const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
	const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
	return `policy ${fields[38]} nice ${fields[16]} io ${bench.hostRun(['ionice', '-p', `${pid}`]).trim()}`;
}

ofGuestKernel('a process is scheduled as its config says, each exec as its own says, and children inherit it', async (t, bench) => {
	const scheduler = { policy: 'SCHED_BATCH', nice: 7 };
	const ioPriority = { class: 'IOPRIO_CLASS_BE', priority: 6 };
	bench.configure(['sh', '-c', 'sleep 1000 & sleep 1001 & wait'], { process: { scheduler, ioPriority } });
	t.equal(bench.leave(['run', '-d', 'c1']), 0);
	const guests = (): number[] => JSON.parse(bench.isopod(['ps', '-f', 'json', 'c1']).stdout) as number[];
	await until(() => guests().length === 3);
	for (const pid of guests()) t.equal(scheduling(bench, pid), 'policy 3 nice 7 io best-effort: prio 6');
	const before = new Set(guests());
	const file = join(bench.folder, 'process.json');
	const process = { args: ['sleep', '1002'], cwd: '/', user: { uid: 0, gid: 0 }, env: ['PATH=/bin:/usr/bin'] };
	writeFileSync(file, JSON.stringify({ ...process, scheduler: { policy: 'SCHED_IDLE' }, ioPriority: { class: 'IOPRIO_CLASS_IDLE' } }));
	t.equal(bench.leave(['exec', '-d', '-p', file, 'c1']), 0);
	await until(() => guests().length === 4);
	t.equal(scheduling(bench, guests().find((pid) => !before.has(pid))!), 'policy 5 nice 0 io idle');
	bench.configure(['true'], { process: { scheduler: { policy: 'SCHED_FIFO', priority: 1 } } });
	t.match(bench.isopod(['run', 'c2']), { code: 1, stderr: /process.scheduler.policy: SCHED_FIFO is not honoured/ });
});

if (HANDLER === 'isopod-vm')
	test('what virtual machines do not honour is refused by name', (t, bench) => {
		const refused = (changes: ConfigChanges, field: string): void => {
			bench.configure(['true'], changes);
			t.match(bench.isopod(['run', 'c1']), { code: 1, stderr: new RegExp(`${field}: is not honoured in virtual machines`) });
		};
		refused({ process: { scheduler: { policy: 'SCHED_BATCH', nice: 7 } } }, 'process.scheduler');
		refused({ process: { ioPriority: { class: 'IOPRIO_CLASS_BE', priority: 6 } } }, 'process.ioPriority');
		refused({ hooks: { startContainer: [{ path: '/bin/true' }] } }, 'hooks.startContainer');
	});

test('mounts propagate as they are told, with all options of tmpfs and with what is mounted below', async (t, bench) => {
	const mounts = [
		{
			destination: '/tmp',
			type: 'tmpfs',
			source: 'a',
			options: ['size=1g', 'nr_inodes=2k', 'mode=700', 'gid=5', 'rshared', 'nosymfollow'],
		},
		{ destination: '/mnt', type: 'bind', source: bench.folder, options: ['rbind', 'rro', 'rnosuid', 'unbindable'] },
	];
	bench.configure(['sh', '-c', `awk '{ print $5, $6, $7, $NF }' /proc/self/mountinfo | sed 's/shared:.*-/-/'; touch /mnt/x; true`], {
		mounts,
		linux: { rootfsPropagation: 'rshared' },
	});
	const { stdout, stderr } = bench.isopod(['run', 'c1']);
	t.match(stdout, /^\/ \S+ shared:\d+ /m);
	t.match(stdout, /^\/tmp rw,relatime,nosymfollow shared:\d+ rw,size=1048576k,nr_inodes=2048,mode=700,gid=5(,inode64)?$/m);
	t.match(stdout, /^\/mnt ro,nosuid,relatime shared:\d+ /m, 'the root’s propagation comes last');
	t.match(stderr, /Read-only file system/);
	t.strictSame(bench.leftovers, []);
});

test("a bind mount's ids are mapped as it says, for what is there and for what is made", async (t, bench) => {
	const folder = join(bench.folder, 'mapped');
	mkdirSync(folder);
	chownSync(folder, 1000, 1001);
	const chown = ['CAP_CHOWN'];
	const capabilities = { bounding: chown, permitted: chown, effective: chown };
	for (const [name, id] of Object.entries({ theirs: 1000, other: 70000, none: 5 })) {
		writeFileSync(join(folder, name), name);
		chownSync(join(folder, name), id, id + 1);
	}
	const uidMappings = [
		{ containerID: 1000, hostID: 0, size: 10 },
		{ containerID: 70000, hostID: 10, size: 1 },
	];
	const gidMappings = [
		{ containerID: 1001, hostID: 0, size: 10 },
		{ containerID: 70001, hostID: 20, size: 1 },
	];
	const mount = { destination: '/mnt', type: 'bind', source: folder, options: ['rbind', 'ridmap'], uidMappings, gidMappings };
	bench.configure(['sh', '-c', 'cd /mnt; stat -c "%n %u %g" theirs other none; echo new >new && chown 10:20 new; chown 11 theirs'], {
		mounts: [mount],
		process: { capabilities },
	});
	const { stdout, stderr } = bench.isopod(['run', 'c1']);
	t.equal(stdout, 'theirs 0 0\nother 10 20\nnone 65534 65534\n');
	t.match(stderr, /theirs: Value too large/, 'an id that is not mapped');
	const { uid, gid } = statSync(join(folder, 'new'));
	t.strictSame([uid, gid], [70000, 70001], 'stored the other way round');
	const unmapped = { destination: '/tmp', type: 'bind', source: folder, options: ['rbind'] };
	bench.configure(['stat', '-c', '%n %u', '/mnt/theirs', '/tmp/theirs'], { mounts: [mount, unmapped] });
	t.equal(
		bench.isopod(['run', 'c3']).stdout,
		`/mnt/theirs 0\n/tmp/theirs ${statSync(join(folder, 'theirs')).uid}\n`,
		'each mount has its own',
	);
	bench.configure(['true'], { mounts: [{ ...mount, uidMappings: [...uidMappings, { containerID: 1005, hostID: 30, size: 1 }] }] });
	t.match(bench.isopod(['run', 'c2']), { code: 1, stderr: /Make the id mappings of the mount at \/mnt .*EINVAL/ });
	t.strictSame(bench.leftovers, []);
});

test('the first process has the name that it was started by', async (t, bench) => {
	bench.configure(['sh', '-c', 'read name </proc/1/comm; echo "$name"'], {});
	t.equal(bench.isopod(['run', 'c1']).stdout, 'sh\n');
});
