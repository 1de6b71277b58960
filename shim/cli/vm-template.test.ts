import { appendFileSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Stats } from '../../runtime/oci/cgroup/stats.js';
import { imageFolder } from '../../runtime/vm/image.js';
import { isTemplate } from '../../runtime/vm/template.js';
import { ending, until, Workbench } from './testing.js';

const VM = ['--handler', 'isopod-vm'];
/** What no two machines share, one to a line, and the number of places for devices. */
const IDENTITY = [
	'head -c 16 /dev/urandom | od -An -tx1',
	'cat /proc/sys/kernel/random/uuid /proc/sys/kernel/hostname',
	'cat /proc/sys/kernel/random/boot_id',
	'date +%s',
	'set -- /sys/bus/platform/devices/LNRO0005*; echo $#',
].join('; ');
/** Places that only a template's kernel knows of. */
const CLONE_PLACES = '6';

function machine(t: Test, bench: Workbench, name: string, annotations: Record<string, string> = {}): string[] {
	bench.configure(['sh', '-c', IDENTITY], {
		process: { terminal: false },
		root: { readonly: true },
		hostname: `host-${name}`,
		annotations,
	});
	const { code, stdout, stderr } = bench.isopod([...VM, 'run', name]);
	t.equal(code, 0, stderr);
	return stdout.trim().split('\n');
}

function templates(): string[] {
	return readdirSync(imageFolder()).filter((name) => name.startsWith('template-'));
}

t.test('two machines of one template differ in random numbers and host name, and know the time', (t) => {
	const bench = new Workbench();
	t.teardown(() => bench.clean());
	const before = Math.floor(Date.now() / 1000);
	const [first, second] = [machine(t, bench, 'c1'), machine(t, bench, 'c2')] as const;
	const [random, uuid, hostname, boot, time, places] = first;
	t.equal(places, CLONE_PLACES);
	t.equal(second[5], CLONE_PLACES);
	t.not(random, second[0]);
	t.not(uuid, second[1]);
	t.equal(hostname, 'host-c1');
	t.equal(second[2], 'host-c2');
	t.not(boot, second[3], 'the boot id');
	for (const seconds of [Number(time), Number(second[4])]) t.ok(seconds >= before && seconds <= Date.now() / 1000 + 1, `${seconds}`);
	t.strictSame(bench.leftovers, []);
	t.end();
});

t.test('a machine that is to share nothing boots', (t) => {
	const bench = new Workbench();
	t.teardown(() => bench.clean());
	t.not(machine(t, bench, 'c1', { 'dev.isopod.vm.template': 'false' })[5], CLONE_PLACES);
	bench.configure(['true'], { process: { terminal: false }, annotations: { 'dev.isopod.vm.template': 'maybe' } });
	t.match(bench.isopod([...VM, 'run', 'c2']), { code: 1, stderr: /dev\.isopod\.vm\.template.*"maybe"/ });
	t.end();
});

t.test('a template that was written to, or is not whole, is none', (t) => {
	const [name = ''] = templates();
	for (const file of ['memory', 'state'] as const) {
		const folder = mkdtempSync(join(tmpdir(), 'isopod-template-'));
		t.teardown(() => rmSync(folder, { recursive: true, force: true }));
		cpSync(join(imageFolder(), name), folder, { recursive: true });
		t.ok(isTemplate(folder));
		appendFileSync(join(folder, file), 'x');
		t.notOk(isTemplate(folder), `${file} has changed`);
		cpSync(join(imageFolder(), name), folder, { recursive: true });
		rmSync(join(folder, file));
		t.notOk(isTemplate(folder), `${file} is missing`);
	}
	t.end();
});

/** What a machine's memory takes of the host's, MiB: that of QEMU's descriptor of it. */
function memoryOf(monitor: number, memoryMib: number): number {
	for (const pid of readFileSync(`/proc/${monitor}/task/${monitor}/children`, 'latin1').trim().split(' '))
		for (const fd of readdirSync(`/proc/${pid}/fd`)) {
			const { size, blocks } = statSync(`/proc/${pid}/fd/${fd}`);
			if (size === memoryMib << 20) return blocks / 2048;
		}
	throw new Error('Find the memory of the machine');
}

t.test('what a program has had of memory goes back to the host', async (t) => {
	const bench = new Workbench();
	t.teardown(() => bench.clean());
	bench.configure(['sleep', '1000'], { process: { terminal: false } });
	t.equal(bench.leave([...VM, 'run', '-d', 'c1']), 0);
	const { pid } = bench.state('c1');
	const used = (): number => memoryOf(pid, 512);
	const before = used();
	const script = 'BEGIN { s = "x"; while (length(s) < 60000000) s = s s; getline; print length(s) }';
	const hungry = bench.start(['exec', 'c1', 'busybox', 'awk', script]);
	await until(() => used() > before + 100);
	hungry.stdin!.end('\n');
	t.equal((await ending(hungry)).code, 0);
	await until(() => used() < before + 40);
	t.end();
});

t.test('a machine has as many processors as its pod may use', (t) => {
	const bench = new Workbench();
	t.teardown(() => bench.clean());
	const cpus = Math.min(2, availableParallelism());
	bench.configure(['grep', '-c', '^processor', '/proc/cpuinfo'], {
		process: { terminal: false },
		annotations: { 'io.kubernetes.cri.sandbox-cpu-quota': '150000', 'io.kubernetes.cri.sandbox-cpu-period': '100000' },
	});
	t.match(bench.isopod([...VM, 'run', 'c1']), { code: 0, stdout: `${cpus}\n` });
	t.end();
});

t.test("a container's limits and its usage are those inside of its machine", (t) => {
	const bench = new Workbench();
	t.teardown(() => bench.clean());
	bench.configure(['sh', '-c', 'exec sleep 1000'], {
		process: { terminal: false },
		linux: { resources: { memory: { limit: 100 << 20 } } },
	});
	t.equal(bench.leave([...VM, 'create', 'c1']), 0);
	t.equal(bench.isopod(['start', 'c1']).code, 0);
	const usage = (): Stats => (JSON.parse(bench.isopod(['events', '--stats', 'c1']).stdout) as { data: Stats }).data;
	const before = usage();
	t.equal(before.memory.usage.limit, 100 << 20);
	t.ok(before.memory.usage.usage > 0 && before.memory.usage.usage < 50 << 20, `${before.memory.usage.usage}`);
	t.equal(before.pids.current, 1);
	bench.isopod(['exec', 'c1', 'sh', '-c', 'i=0; while test $i -lt 20000; do i=$((i+1)); done']);
	t.ok(usage().cpu.usage.total > before.cpu.usage.total);
	t.equal(bench.isopod(['update', '--memory', `${64 << 20}`, 'c1']).code, 0);
	t.equal(usage().memory.usage.limit, 64 << 20);
	t.match(bench.isopod(['update', '--memory', `${2 ** 40}`, 'c1']), { code: 1, stderr: /its virtual machine has \d+ MiB/ });
	const { pid } = bench.state('c1');
	const group = (of: number): string => readFileSync(`/proc/${of}/cgroup`, 'latin1');
	const parts = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim().split(' ').map(Number);
	t.equal(parts.length, 2);
	for (const part of parts) t.equal(group(part), group(pid), 'QEMU and the virtiofs daemon are in the control group of the sandbox');
	t.not(group(pid), group(process.pid));
	t.end();
});
