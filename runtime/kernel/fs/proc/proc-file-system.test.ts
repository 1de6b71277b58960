import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { native } from '../../../native.js';
import { EACCES, EINVAL, ENOENT, EPERM, ESRCH } from '../../abi/errno.js';
import { O_DIRECTORY, O_RDONLY, O_RDWR, O_WRONLY } from '../../abi/fcntl.js';
import { S_IFIFO, S_IFMT } from '../../abi/stat-constants.js';
import { UTS_RELEASE } from '../../abi/uts.js';
import { Container } from '../../container.js';
import { Kernel } from '../../kernel.js';
import { open } from '../../syscalls/file-open.js';
import { CapabilitySet, initialCredentials } from '../../task/credentials.js';
import { FileSystemContext } from '../../task/file-system-context.js';
import { Limits } from '../../task/limits.js';
import { Task, TaskState } from '../../task/task.js';
import { ThreadGroup } from '../../task/thread-group.js';
import { IoVector } from '../../trap/guest-memory.js';
import { UtsNamespace } from '../../uts-namespace.js';
import { DescriptorTable } from '../../vfs/descriptor-table.js';
import { AT_OFFSET, FileDescription } from '../../vfs/file-description.js';
import { MountNamespace, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RELATIME } from '../../vfs/mount.js';
import { Path } from '../../vfs/path.js';
import { pathWalk, WALK_FOLLOW } from '../../vfs/path-walk.js';
import { Stat } from '../../vfs/stat.js';
import { maskText } from '../sys/devices/system/cpu.js';
import { CgroupFileSystem } from '../sys/fs/cgroup/cgroup-file-system.js';
import { SysFileSystem } from '../sys/sys-file-system.js';
import { ProcDirectory } from './proc-directory.js';
import { ProcFile } from './proc-file.js';
import { ProcFileSystem } from './proc-file-system.js';
import { PROC_ERRORS, PseudoFileSystem } from './pseudo-file-system.js';

const folder = mkdtempSync(join(tmpdir(), 'isopod-proc-'));
t.teardown(() => rmSync(folder, { recursive: true }));

/** Takes what a file gives, and gives what it is to take, without a guest. */
class TestVector extends IoVector {
	readonly taken: Buffer[] = [];
	constructor(private readonly given: Buffer = Buffer.alloc(0)) {
		super();
		this.length = given.length === 0 ? 1 << 16 : given.length;
	}
	override copyOut(bytes: Uint8Array, offset: number, length: number): number {
		this.taken.push(Buffer.from(bytes.subarray(offset, offset + length)));
		this.moved += length;
		return length;
	}
	override copyIn(bytes: Uint8Array, offset: number, length: number): number {
		const count = Math.min(length, this.given.length - this.moved);
		bytes.set(this.given.subarray(this.moved, this.moved + count), offset);
		this.moved += count;
		return count;
	}
}

/** A root file system with the mount points. */
class RootFileSystem extends PseudoFileSystem {
	override readonly root: ProcDirectory = new ProcDirectory(this)
		.add('proc', new ProcDirectory(this))
		.add('sys', new ProcDirectory(this))
		.add('with space', new ProcDirectory(this))
		.add('file', new ProcFile(this, this.allocateInos(1), 0o444, () => 'content\n'));
	constructor() {
		super('testfs', 1, 4096, PROC_ERRORS.create, PROC_ERRORS.link);
	}
}

class Pipe extends FileDescription {}
class PipeInode extends ProcFile {
	override readonly mode = S_IFIFO | 0o600;
}

const kernel = new Kernel({
	nativeRootFd: openSync(folder, O_DIRECTORY),
	filter: new Uint8Array(),
	table: [],
	maxDescriptors: 1024,
	log() {},
} as ConstructorParameters<typeof Kernel>[0]);
const rootFs = new RootFileSystem();
const mounts = MountNamespace.of(rootFs, MS_RELATIME, '/dev/root');
const container = new Container(kernel, 'test', mounts, new UtsNamespace('guest-host', '(none)'));
const proc = new ProcFileSystem(container, { netFiles: new Map([['dev', () => 'Inter-|\n']]) });
const rootPath = new Path(mounts.root, mounts.root.root);

function makeTask(pid: number, uid: number, tid = pid): Task {
	const existing = container.groups.get(pid);
	const capabilities = uid === 0 ? CapabilitySet.full : CapabilitySet.empty;
	const credentials = initialCredentials(
		uid,
		uid,
		[4, 24],
		{
			permitted: capabilities,
			effective: capabilities,
			inheritable: CapabilitySet.empty,
			bounding: CapabilitySet.full,
			ambient: CapabilitySet.empty,
		},
		false,
	);
	const group =
		existing ??
		new ThreadGroup(
			container,
			pid,
			process.ppid,
			1,
			new DescriptorTable(),
			new FileSystemContext(rootPath, rootPath, 0o22, mounts),
			new Limits(),
			credentials,
		);
	group.pidfd = native.pidfdOpen(pid, false);
	container.groups.set(pid, group);
	container.pids.groups.set(pid, group);
	kernel.groups.set(pid, group);
	const task = new Task(kernel, group, tid, credentials);
	task.state = TaskState.InTrap;
	group.tasks.set(tid, task);
	kernel.tasks.set(tid, task);
	return task;
}

const self = makeTask(process.pid, 1000);
container.init = self.group;
container.pids.begin(self.group);
const parent = makeTask(process.ppid, 0);
const stranger = new Task(kernel, parent.group, 1, { ...self.credentials, uid: 5, euid: 5, suid: 5, fsuid: 5 });

function place(path: string, task = self): Path {
	const error = pathWalk.walk(task, rootPath, path, WALK_FOLLOW);
	if (error < 0) throw new Error(`Walk to ${path}: ${error}`);
	return pathWalk.path;
}
mounts.attach(mounts.root, place('/proc').dentry, proc, MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RELATIME, 'proc');
mounts.attach(mounts.root, place('/sys').dentry, new SysFileSystem(), MS_RELATIME | 1, 'sysfs');
mounts.attach(mounts.root, place('/with space').dentry, new RootFileSystem(), 0, 'a b', 'size=1k');

function tryOpen(path: string, flags = O_RDONLY, task = self): FileDescription | number {
	return open(task, rootPath, path, flags, 0, 0);
}
function read(path: string, task = self): string | number {
	const description = tryOpen(path, O_RDONLY, task);
	if (typeof description === 'number') return description;
	const vector = new TestVector();
	for (;;) {
		const got = description.read(task, vector, AT_OFFSET);
		if (got < 0) return got;
		if (got === 0) break;
		vector.length += got;
	}
	description.release();
	return Buffer.concat(vector.taken).toString('latin1');
}
function write(path: string, text: string, task = self): number {
	const description = tryOpen(path, O_WRONLY, task);
	if (typeof description === 'number') return description;
	const written = description.write(task, new TestVector(Buffer.from(text, 'latin1')), AT_OFFSET);
	description.release();
	return written;
}
function readlink(path: string, task = self): string | number {
	const error = pathWalk.walk(task, rootPath, path, 0);
	return error < 0 ? error : pathWalk.dentry.inode!.readlink(task);
}
function list(path: string, task = self): string[] | number {
	const description = tryOpen(path, O_RDONLY | O_DIRECTORY, task);
	if (typeof description === 'number') return description;
	const names: string[] = [];
	for (;;) {
		let room = 3;
		const before = names.length;
		const error = description.readDirectory(task, {
			entry: (ino, _next, _type, name) => {
				if (room-- === 0) return false;
				if (!(ino > 0)) throw new Error(`List ${path}: ${name} has inode number ${ino}`);
				names.push(name);
				return true;
			},
		});
		if (error < 0) return error;
		if (names.length === before) return names;
	}
}

t.test("/proc lists fixed names and the container's processes alone", async (t) => {
	const names = list('/proc') as string[];
	for (const name of ['.', '..', 'self', 'thread-self', 'meminfo', 'mounts', 'sys', String(process.pid), String(process.ppid)])
		t.ok(names.includes(name), name);
	t.equal(new Set(names).size, names.length);
	t.notOk(names.includes('1') && process.ppid !== 1);
	t.equal(tryOpen('/proc/0'), -ENOENT);
	t.equal(tryOpen(`/proc/0${process.pid}`), -ENOENT);
	t.equal(tryOpen('/proc/none'), -ENOENT);
	t.equal(readlink('/proc/self'), String(process.pid));
	t.equal(readlink('/proc/thread-self'), `${process.pid}/task/${process.pid}`);
	t.equal(readlink('/proc/mounts'), 'self/mounts');
});

t.test('the same name leads to the same dentry while its process lives', async (t) => {
	t.equal(place('/proc/self').dentry, place(`/proc/${process.pid}`).dentry);
	t.equal(place('/proc/self/status').dentry, place('/proc/self/status').dentry);
	t.equal(place('/proc/sys/kernel').dentry, place('/proc/sys/kernel').dentry);
});

t.test("stat has 52 fields, the guest's ids and states", async (t) => {
	const fields = (read('/proc/self/stat') as string).trimEnd().split(' ');
	t.equal(fields.length, 52);
	t.equal(fields[0], String(process.pid));
	t.equal(fields[1], `(${readFileSync('/proc/self/comm', 'latin1').trimEnd()})`);
	t.equal(fields[2], 'R');
	t.equal(fields[3], String(process.ppid));
	t.ok(Number(fields[47]) > 0, 'its own arguments are shown');
	const hidden = (read(`/proc/${process.pid}/stat`, stranger) as string).trimEnd().split(' ');
	t.equal(hidden[47], '0', 'a stranger does not see addresses');
});

t.test("status shows the guest's credentials", async (t) => {
	const text = read('/proc/self/status') as string;
	t.match(text, /^Name:\t/);
	t.match(text, `\nTgid:\t${process.pid}\n`);
	t.match(text, `\nPid:\t${process.pid}\n`);
	t.match(text, '\nUid:\t1000\t1000\t1000\t1000\n');
	t.match(text, '\nGroups:\t4 24 \n');
	t.match(text, '\nCapEff:\t0000000000000000\n');
	t.match(text, '\nCapBnd:\t000001ffffffffff\n');
	t.match(text, '\nUmask:\t0022\n');
	t.match(text, '\nSeccomp:\t0\n');
	const host = readFileSync('/proc/self/status', 'latin1');
	t.same(text.match(/^\w+(?=:)/gm), host.match(/^\w+(?=:)/gm), 'the same lines in the same order');
});

t.test('cmdline and environ come from memory', async (t) => {
	t.equal(read('/proc/self/cmdline'), readFileSync('/proc/self/cmdline', 'latin1'));
	t.equal(read('/proc/self/environ'), readFileSync('/proc/self/environ', 'latin1'));
	self.group.scriptArguments = { dropArguments: 1, strings: ['/bin/sh', '-e', './script'] };
	const host = readFileSync('/proc/self/cmdline', 'latin1');
	t.equal(read('/proc/self/cmdline'), `/bin/sh\0-e\0./script\0${host.slice(host.indexOf('\0') + 1)}`);
	self.group.scriptArguments = null;
});

t.test('others may not look into a process', async (t) => {
	const directory = `/proc/${process.pid}`;
	for (const name of ['environ', 'maps', 'mem', 'fd', 'smaps']) t.equal(tryOpen(`${directory}/${name}`, O_RDONLY, stranger), -EACCES, name);
	for (const name of ['exe', 'cwd', 'root', 'ns/pid']) t.equal(readlink(`${directory}/${name}`, stranger), -EACCES, name);
	t.equal(tryOpen(`${directory}/cwd/file`, O_RDONLY, stranger), -EACCES);
	t.type(read(`${directory}/status`, stranger), 'string');
	t.type(read(`${directory}/maps`, parent), 'string', 'CAP_SYS_PTRACE may');
});

t.test("a process that is not dumpable has root's files and sees its own descriptors", async (t) => {
	self.group.isDumpable = false;
	t.equal(place(`/proc/${process.pid}/status`).dentry.inode!.uid, 0);
	t.equal(place(`/proc/${process.pid}`).dentry.inode!.uid, 1000);
	t.type(list('/proc/self/fd'), Array);
	t.equal(tryOpen(`/proc/${process.pid}/fd`, O_RDONLY, stranger), -EACCES);
	t.equal(read('/proc/self/environ'), -EACCES);
	self.group.isDumpable = true;
	t.equal(place(`/proc/${process.pid}/status`).dentry.inode!.uid, 1000);
});

t.test('fd links show paths, pipes, modes, and can be opened again', async (t) => {
	const file = tryOpen('/file') as FileDescription;
	const fd = self.files.add(file, true, 64);
	const pipe = self.files.add(new Pipe(null, new PipeInode(rootFs, 77, 0, () => ''), O_RDWR), false, 64);
	t.same(list('/proc/self/fd'), ['.', '..', String(fd), String(pipe)]);
	t.equal(readlink(`/proc/self/fd/${fd}`), '/file');
	t.equal(readlink(`/proc/self/fd/${pipe}`), 'pipe:[77]');
	t.equal(readlink('/proc/self/fd/63'), -ENOENT);
	t.equal(readlink('/proc/self/fd/00'), -ENOENT);
	const stat = new Stat();
	const modeOf = (fd: number): number => {
		pathWalk.walk(self, rootPath, `/proc/self/fd/${fd}`, 0);
		pathWalk.dentry.inode!.stat(stat);
		return stat.mode & ~S_IFMT;
	};
	t.equal(modeOf(fd), 0o500);
	t.equal(stat.sizeBytes, 64);
	t.equal(modeOf(pipe), 0o700);
	t.equal(place(`/proc/self/fd/${fd}`).dentry, place('/file').dentry);
	t.equal(read(`/proc/self/fd/${fd}`), 'content\n');
	t.equal(place(`/proc/self/fd/${pipe}`).dentry.inode!.ino, 77);
	t.match(read(`/proc/self/fdinfo/${fd}`), new RegExp(`^pos:\\t0\\nflags:\\t02100000\\nmnt_id:\\t${mounts.root.id}\\nino:\\t\\d+\\n$`));
	self.files.close(fd, self);
	t.equal(readlink(`/proc/self/fd/${fd}`), -ENOENT);
});

t.test('mounts and mountinfo show what is mounted where', async (t) => {
	t.equal(
		read('/proc/mounts'),
		'/dev/root / testfs rw,relatime 0 0\nproc /proc proc rw,nosuid,nodev,noexec,relatime 0 0\n' +
			'sysfs /sys sysfs ro,relatime 0 0\na\\040b /with\\040space testfs rw,size=1k 0 0\n',
	);
	const lines = (read('/proc/self/mountinfo') as string).split('\n');
	t.match(lines[1], new RegExp(`^\\d+ ${mounts.root.id} 0:\\d+ / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw$`));
});

t.test('maps hides the loader and names files as the guest does', async (t) => {
	const text = read('/proc/self/maps') as string;
	const host = readFileSync('/proc/self/maps', 'latin1').split('\n');
	t.ok(text.includes('[stack]'));
	t.notOk(text.includes(process.execPath), 'no host path');
	const line = host.find((line) => line.endsWith(process.execPath))!;
	const fields = line.split(/ +/);
	container.mappedNames.set(`${fields[3]} ${fields[4]}`, place('/file'));
	const named = (read('/proc/self/maps') as string).split('\n').filter((line) => line.endsWith(' /file'));
	t.ok(named.length > 0);
	t.equal(named[0]!.indexOf('/file'), 73);
	t.equal(named[0]!.slice(0, line.indexOf(fields[3]!)), line.slice(0, line.indexOf(fields[3]!)));
});

t.test('comm can be written by the process itself', async (t) => {
	t.equal(write('/proc/self/comm', 'a name that is longer\n'), 22);
	t.equal(read('/proc/self/comm'), 'a name that is \n');
	t.match(read('/proc/self/status'), '\nUmask');
	t.match(read('/proc/self/status'), /^Name:\ta name that is \n/);
	t.equal(write(`/proc/${process.pid}/comm`, 'x', parent), -EINVAL);
});

t.test('oom_score_adj is kept, checked, and may not be lowered without CAP_SYS_RESOURCE', async (t) => {
	t.equal(read('/proc/self/oom_score'), '666\n');
	t.equal(write('/proc/self/oom_score_adj', '2000'), -EINVAL);
	t.equal(write('/proc/self/oom_score_adj', 'abc'), -EINVAL);
	t.equal(write('/proc/self/oom_score_adj', ' 100\n'), 5);
	t.equal(read('/proc/self/oom_score_adj'), '100\n');
	t.equal(write('/proc/self/oom_score_adj', '-5'), -EACCES);
	t.equal(write(`/proc/${process.pid}/oom_score_adj`, '-5', parent), 2);
	t.equal(read('/proc/self/oom_score_adj'), '-5\n');
});

t.test('reads at an offset continue one snapshot; a read at the start makes a new one', async (t) => {
	const description = tryOpen('/proc/sys/kernel/random/uuid') as FileDescription;
	const first = new TestVector();
	first.length = 10;
	t.equal(description.read(self, first, AT_OFFSET), 10);
	const rest = new TestVector();
	t.equal(description.read(self, rest, AT_OFFSET), 27);
	const again = new TestVector();
	t.equal(description.read(self, again, 0), 37);
	t.not(again.taken[0]!.toString(), Buffer.concat([...first.taken, ...rest.taken]).toString());
	t.equal(description.seek(0, 2), -EINVAL);
	t.equal(description.seek(5, 0), 5);
});

t.test("/proc/sys is the guest kernel's and is not written", async (t) => {
	t.equal(read('/proc/sys/kernel/hostname'), 'guest-host\n');
	t.equal(read('/proc/sys/kernel/osrelease'), `${UTS_RELEASE}\n`);
	t.equal(read('/proc/sys/vm/overcommit_memory'), '0\n');
	t.equal(read('/proc/sys/net/core/somaxconn'), '4096\n');
	t.equal(write('/proc/sys/kernel/hostname', 'x', parent), -EACCES);
	t.match(read('/proc/version'), `Linux version ${UTS_RELEASE} `);
});

t.test('the other files of the root have the forms that programs parse', async (t) => {
	t.match(read('/proc/meminfo'), /^MemTotal: +\d+ kB\nMemFree: +\d+ kB\nMemAvailable: +\d+ kB\n/);
	t.match(read('/proc/uptime'), /^\d+\.\d\d \d+\.\d\d\n$/);
	t.match(read('/proc/loadavg'), /^\d+\.\d\d \d+\.\d\d \d+\.\d\d \d+\/\d+ \d+\n$/);
	t.match(read('/proc/stat'), /^cpu {2}\d+ 0 \d+ \d+ 0 0 0 0 0 0\ncpu0 /);
	t.match(read('/proc/cpuinfo'), /^processor\t: 0\n/);
	for (const name of ['cmdline', 'devices', 'filesystems', 'swaps', 'vmstat', 'net/dev']) t.type(read(`/proc/${name}`), 'string', name);
	t.equal(read('/proc/self/cgroup'), '0::/\n');
	t.equal(read('/proc/self/uid_map'), '         0          0 4294967295\n');
	const forms = (text: string): string[] => text.split('\n').map((line) => line.slice(0, 26) + line.slice(68));
	t.same(forms(read('/proc/self/limits') as string), forms(readFileSync('/proc/self/limits', 'latin1')));
	t.match(readlink('/proc/self/ns/pid'), /^pid:\[\d+\]$/);
	for (const name of list('/proc/self') as string[]) {
		if (name !== '.' && name !== '..')
			t.ok(typeof readlink(`/proc/self/${name}`) === 'string' || readlink(`/proc/self/${name}`) === -EINVAL || name === 'exe', name);
	}
});

t.test('a memory limit bounds meminfo', async (t) => {
	const limited = new ProcFileSystem(container);
	const file = limited.root.lookup('meminfo') as ProcFile;
	container.memoryLimitBytes = 64 << 20;
	t.match(file.text(self), /^MemTotal: +65536 kB\n/);
	container.memoryLimitBytes = Number.POSITIVE_INFINITY;
});

t.test('threads have directories, those that never trapped too', async (t) => {
	const names = list('/proc/self/task') as string[];
	t.ok(names.includes(String(process.pid)));
	t.ok(names.length > 3, "the host's other threads");
	const other = names.find((name) => name !== '.' && name !== '..' && name !== String(process.pid))!;
	t.match(read(`/proc/self/task/${other}/status`), `\nPid:\t${other}\n`);
	t.equal(tryOpen(`/proc/self/task/${process.ppid}`), -ENOENT);
	t.notOk((list(`/proc/self/task/${other}`) as string[]).includes('task'));
});

t.test('mem reads memory by address', async (t) => {
	const maps = read('/proc/self/maps') as string;
	const start = Number.parseInt(/^([0-9a-f]+)-[0-9a-f]+ r--p/m.exec(maps)![1]!, 16);
	const description = tryOpen('/proc/self/mem') as FileDescription;
	const vector = new TestVector();
	vector.length = 4;
	t.equal(description.read(self, vector, start), 4);
	t.equal(vector.taken[0]!.toString('latin1'), '\x7fELF');
	t.ok(description.read(self, new TestVector(), 0) < 0);
});

t.test('/sys tells the processors and lists them', async (t) => {
	t.equal(read('/sys/devices/system/cpu/online'), readFileSync('/sys/devices/system/cpu/online', 'latin1'));
	t.match(read('/sys/kernel/mm/transparent_hugepage/enabled'), '[madvise]');
	t.same(list('/sys/fs/cgroup'), ['.', '..']);
});

t.test('a dead process is gone', async (t) => {
	const description = tryOpen(`/proc/${process.ppid}/status`) as FileDescription;
	parent.group.isDead = true;
	container.groups.delete(process.ppid);
	container.pids.groups.delete(process.ppid);
	kernel.tasks.delete(process.ppid);
	t.equal(description.read(self, new TestVector(), AT_OFFSET), -ESRCH);
	t.equal(tryOpen(`/proc/${process.ppid}/status`), -ENOENT);
	t.notOk((list('/proc') as string[]).includes(String(process.ppid)));
});

t.test('a cgroup2 mount shows the limits and what the container’s processes use', async (t) => {
	const { mount, dentry } = place('/sys/fs/cgroup');
	mounts.attach(mount, dentry, new CgroupFileSystem(container), MS_RELATIME | 1, 'cgroup');
	container.memoryLimitBytes = 64 << 20;
	const cgroup = (name: string) => read(`/sys/fs/cgroup/${name}`);
	t.equal(cgroup('memory.max'), `${64 << 20}\n`);
	t.equal(cgroup('cpu.max'), 'max 100000\n');
	t.match(cgroup('cgroup.controllers'), /\bmemory\b/);
	t.match(cgroup('cgroup.procs'), /^\d+\n/);
	t.match(cgroup('memory.current'), /^[1-9]\d+\n$/);
	t.match(cgroup('cpu.stat'), /^usage_usec \d+\nuser_usec \d+\nsystem_usec \d+\n/);
	const fields = new Float64Array(10);
	new CgroupFileSystem(container).statfs(fields);
	t.equal(fields[0], 0x63677270, 'CGROUP2_SUPER_MAGIC: how programs tell the version');
});

t.test('the processors lie in sysfs with their places, in one node', async (t) => {
	const online = read('/sys/devices/system/cpu/online');
	t.equal(read('/sys/devices/system/node/node0/cpulist'), online);
	t.match(read('/sys/devices/system/cpu/cpu0/topology/thread_siblings_list'), /^0/);
	t.match(read('/sys/devices/system/cpu/cpu0/topology/core_siblings'), /^[0-9a-f]+(,[0-9a-f]{8})*\n$/);
	t.equal(maskText([0, 1], 1), '3');
	t.equal(maskText([0, 3, 33], 39), '02,00000009');
	t.equal(maskText([31], 31), '80000000');
});

t.test('the sums of smaps_rollup are those of smaps, the auxiliary vector ends with AT_NULL', async (t) => {
	const rollup = String(read('/proc/self/smaps_rollup'));
	t.match(rollup, /^[0-9a-f]+-[0-9a-f]+ ---p 00000000 00:00 0 +\[rollup\]\nRss: +[1-9]\d* kB\n/);
	const auxv = Buffer.from(String(read('/proc/self/auxv')), 'latin1');
	t.ok(auxv.length > 16 && auxv.length % 16 === 0);
	t.same(auxv.subarray(-16), Buffer.alloc(16));
	t.equal(read('/proc/self/stack'), -EPERM);
	t.match(read('/proc/self/schedstat'), /^\d+ \d+ \d+\n$/);
	t.match(read('/proc/self/syscall'), /^\S/);
	t.match(read('/proc/cgroups'), /^#subsys_name\t/);
	t.match(read('/proc/self/oom_adj'), /^-?\d+\n$/);
});
