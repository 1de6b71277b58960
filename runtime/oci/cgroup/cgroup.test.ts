import { spawn } from 'node:child_process';
import { existsSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parseResources, type Resources } from '../resources.js';
import { Section } from '../section.js';
import { Cgroup, closeProcs } from './cgroup.js';
import { settingsV1, settingsV2 } from './cgroup-settings.js';
import { findHierarchies } from './hierarchies.js';
import { oomKills, readStats } from './stats.js';

const resources = (value: object): Resources => parseResources(new Section(value, 'resources'));
const lines = (settings: ReturnType<typeof settingsV1>): string[] =>
	settings.map(({ controller, file, value }) => `${controller} ${file} ${value}`);

const EVERYTHING = resources({
	memory: { limit: 1 << 20, reservation: 1 << 19, swap: 1 << 21, swappiness: 10, disableOOMKiller: true, kernel: 5 },
	cpu: { shares: 1024, quota: 50000, period: 100000, burst: 1000, cpus: '0-1', mems: '0', idle: 0 },
	pids: { limit: 10 },
	blockIO: {
		weight: 500,
		throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 600 }],
		throttleWriteIOPSDevice: [{ major: 8, minor: 1, rate: 0 }],
	},
	hugepageLimits: [{ pageSize: '2MB', limit: 1 << 22 }],
});

t.test('resources as cgroup v1 has them', async (t) => {
	t.strictSame(lines(settingsV1(EVERYTHING)), [
		'cpuset cpuset.cpus 0-1',
		'cpuset cpuset.mems 0',
		'memory memory.limit_in_bytes 1048576',
		'memory memory.memsw.limit_in_bytes 2097152',
		'memory memory.soft_limit_in_bytes 524288',
		'memory memory.swappiness 10',
		'memory memory.oom_control 1',
		'cpu cpu.shares 1024',
		'cpu cpu.cfs_period_us 100000',
		'cpu cpu.cfs_quota_us 50000',
		'cpu cpu.cfs_burst_us 1000',
		'cpu cpu.idle 0',
		'pids pids.max 10',
		'blkio blkio.weight 500',
		'blkio blkio.throttle.read_bps_device 8:0 600',
		'blkio blkio.throttle.write_iops_device 8:1 0',
		'hugetlb hugetlb.2MB.limit_in_bytes 4194304',
	]);
	t.strictSame(lines(settingsV1(resources({ memory: { limit: -1 }, pids: { limit: 0 }, cpu: { quota: -1 } }))), [
		'memory memory.limit_in_bytes -1',
		'cpu cpu.cfs_quota_us -1',
		'pids pids.max max',
	]);
});

t.test('resources as cgroup v2 has them', async (t) => {
	t.strictSame(lines(settingsV2(EVERYTHING)), [
		'cpuset cpuset.cpus 0-1',
		'cpuset cpuset.mems 0',
		'memory memory.max 1048576',
		'memory memory.low 524288',
		'memory memory.swap.max 1048576',
		'cpu cpu.weight 39',
		'cpu cpu.max 50000 100000',
		'cpu cpu.max.burst 1000',
		'cpu cpu.idle 0',
		'pids pids.max 10',
		'io io.bfq.weight 500',
		'io io.max 8:0 rbps=600',
		'io io.max 8:1 wiops=max',
		'hugetlb hugetlb.2MB.max 4194304',
	]);
	const unlimited = resources({ memory: { limit: -1, swap: -1 }, cpu: { quota: -1, shares: 2 }, unified: { 'memory.high': '5' } });
	t.strictSame(lines(settingsV2(unlimited)), [
		'memory memory.max max',
		'memory memory.swap.max max',
		'cpu cpu.weight 1',
		'cpu cpu.max max',
		'memory memory.high 5',
	]);
	t.throws(() => settingsV2(resources({ memory: { limit: 10, swap: 5 } })), /memory.swap \(5\) is below memory.limit \(10\)/);
	t.throws(() => settingsV2(resources({ memory: { swap: 5 } })), /means nothing without memory.limit/);
});

t.test('what is no limit is refused by name', async (t) => {
	t.throws(() => resources({ cpu: { cpus: '0-' } }), /resources.cpu.cpus: want a list such as 0-2,7, got "0-"/);
	t.throws(() => resources({ hugepageLimits: [{ pageSize: '2', limit: 1 }] }), /resources.hugepageLimits\[0\].pageSize/);
	t.throws(() => resources({ unified: { '../x': '1' } }), /resources.unified/);
	t.throws(() => resources({ memory: { limits: 1 } }), /resources.memory.limits/);
	t.throws(() => resources({ rdma: { mlx5: { hcaHandles: 1 } } }), /resources.rdma/);
});

t.test('the hierarchies of a host with v1, with v2, with both, with none', async (t) => {
	const v1 =
		'30 24 0:26 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n31 24 0:27 / /a\\040b rw - cgroup cgroup rw,memory\n';
	const v2 = '32 24 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n';
	const both = findHierarchies(v1 + v2);
	t.equal(both.version, 1);
	t.strictSame(
		[...both.mounts],
		[
			['cpu', '/sys/fs/cgroup/cpu,cpuacct'],
			['cpuacct', '/sys/fs/cgroup/cpu,cpuacct'],
			['memory', '/a b'],
		],
	);
	t.strictSame([...findHierarchies(v2).mounts], [['', '/sys/fs/cgroup/unified']]);
	t.throws(() => findHierarchies('1 1 0:1 / / rw - ext4 /dev/sda rw\n'), /no cgroup file system is mounted/);
});

t.test("a path, and systemd's way of writing one", async (t) => {
	t.equal(Cgroup.at('a/../../b').path, '/b');
	t.equal(Cgroup.at('/kubepods/pod1/c').path, '/kubepods/pod1/c');
	t.equal(Cgroup.at('user-1000.slice:isopod:x').path, '/user.slice/user-1000.slice/isopod-x.scope');
	t.equal(Cgroup.at(':isopod:x').path, '/system.slice/isopod-x.scope');
});

/** The host's own hierarchy, and a v2 one beside it if there is one: without controllers, but with processes and a freezer. */
const hosts = [findHierarchies()];
const unified = /^\S+ \S+ \S+ \S+ (\S+) .* - cgroup2 /m.exec(readFileSync('/proc/self/mountinfo', 'latin1'))?.[1];
if (unified !== undefined && hosts[0]!.version === 1) hosts.push({ version: 2, mounts: new Map([['', unified]]) });

for (const hierarchies of hosts) {
	t.test(`a group of cgroup v${hierarchies.version} is made, holds, freezes and kills its processes, and is removed`, async (t) => {
		const cgroup = Cgroup.at(`/isopod-test-${process.pid}/a`, hierarchies);
		const limits = hierarchies.version === 1 ? { memory: { limit: 64 << 20 }, pids: { limit: 5 } } : {};
		const [point] = hierarchies.mounts.values();
		t.teardown(() => {
			cgroup.remove();
			for (const folder of new Set(hierarchies.mounts.values())) rmdirSync(join(folder, `isopod-test-${process.pid}`));
		});
		cgroup.make(resources(limits));
		const child = spawn('sh', ['-c', 'while :; do :; done'], { stdio: 'ignore' });
		const procs = cgroup.openProcs();
		for (const fd of procs) writeFileSync(fd, `${child.pid}`);
		closeProcs(procs);
		t.strictSame(cgroup.processes(), [child.pid]);
		t.notOk(cgroup.isFrozen());
		cgroup.freeze(true);
		t.ok(cgroup.isFrozen());
		const spent = (): string => readFileSync(`/proc/${child.pid}/stat`, 'latin1').split(' ').slice(13, 15).join();
		const before = spent();
		await new Promise((resolve) => setTimeout(resolve, 150));
		t.equal(spent(), before, 'it does not run');
		cgroup.freeze(false);
		t.notOk(cgroup.isFrozen());
		if (hierarchies.version === 1) {
			t.match(readStats(cgroup), { memory: { usage: { limit: 64 << 20 } }, pids: { current: 1, limit: 5 } });
			t.equal(oomKills(cgroup), 0);
			t.ok(readStats(cgroup).cpu.usage.total > 0);
			t.throws(() => cgroup.set(resources({ unified: { 'memory.high': '1' } })), /linux.resources.unified: the host has cgroup v1/);
			t.throws(() => cgroup.set(resources({ cpu: { cpus: '4000' } })), /Write 4000 to .*cpuset.cpus/);
		}
		const ended = new Promise((resolve) => child.once('exit', (_, signal) => resolve(signal)));
		cgroup.remove();
		t.equal(await ended, 'SIGKILL');
		t.notOk(existsSync(join(point!, cgroup.path)));
		cgroup.remove();
	});
}
