import { readdirSync, readFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import { CAP_NAMES } from '../../runtime/oci/names.js';
import { processStart } from '../../runtime/oci/state.js';
import { ending, printed, until, Workbench } from './testing.js';

const VM = ['--handler', 'isopod-vm'];
/** The processes of a machine: its monitor, QEMU, the virtiofs daemon. */
const PARTS = 3;
const ALL = Object.fromEntries(['bounding', 'effective', 'permitted', 'inheritable'].map((set) => [set, [...CAP_NAMES]]));
/** Root of a guest with everything that a runtime can give it. */
const POWERFUL = { process: { terminal: false, capabilities: ALL }, linux: { maskedPaths: [], readonlyPaths: [] } };
const SYSFS = { mounts: [{ destination: '/mnt', type: 'sysfs', source: 'sysfs', options: ['rw'] }] };

interface Part {
	readonly pid: number;
	readonly start: string;
	readonly name: string;
}

/** The monitor of a container's machine and its children. */
function partsOf(monitor: number): Part[] {
	const children = readFileSync(`/proc/${monitor}/task/${monitor}/children`, 'latin1').trim().split(' ').map(Number);
	return [monitor, ...children].map((pid) => ({
		pid,
		start: processStart(pid),
		name: readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0', 1)[0]!.split('/').at(-1)!,
	}));
}

function isGone({ pid, start }: Part): boolean {
	return processStart(pid) !== start;
}

/** Mounts of the host's that are a bench's. */
function mountsOf(bench: Workbench): string[] {
	return readFileSync('/proc/self/mountinfo', 'latin1')
		.split('\n')
		.filter((line) => line.includes(bench.folder));
}

async function nothingIsLeft(t: Test, bench: Workbench, parts: readonly Part[]): Promise<void> {
	await until(() => parts.every(isGone));
	t.strictSame(bench.leftovers, []);
	t.strictSame(mountsOf(bench), []);
}

function test(name: string, body: (t: Test, bench: Workbench) => Promise<void>): void {
	t.test(name, async (t) => {
		const bench = new Workbench();
		t.teardown(() => bench.clean());
		await body(t, bench);
	});
}

const MACHINE = 'the virtual machine has ended: ';
for (const [victim, reason] of [
	['qemu-system-x86_64', `${MACHINE}QEMU has ended: it was killed`],
	['virtiofsd', `${MACHINE}the virtiofs daemon has ended`],
	['node', 'the sandbox process has ended'],
] as const)
	test(`kill -9 of ${victim} is the end of its machine, which is told with the reason`, async (t, bench) => {
		bench.configure(['sh', '-c', 'echo ready; sleep 1000'], { process: { terminal: false } });
		const run = bench.start([...VM, 'run', 'c1']);
		const end = ending(run);
		await printed(run, 'ready');
		const exec = bench.start(['exec', 'c1', 'sh', '-c', 'echo ready; sleep 1000']);
		const execEnd = ending(exec);
		await printed(exec, 'ready');
		const parts = partsOf(bench.state('c1').pid);
		t.equal(parts.length, PARTS);
		process.kill(parts.find(({ name }) => name === victim)!.pid, 'SIGKILL');
		const { code, stderr } = await end;
		t.equal(code, 137);
		t.match(stderr, reason);
		t.equal((await execEnd).code, 137, 'an exec has ended, too');
		await nothingIsLeft(t, bench, parts);
	});

for (const [what, script] of [
	['whose kernel gives up', 'echo c >/proc/sysrq-trigger'],
	['that is reset', 'echo b >/proc/sysrq-trigger'],
	// The agent's channel is one of the devices; without it there is nothing that the agent could do.
	['whose agent loses its channel', 'cd /mnt/bus/virtio/drivers/virtio_console && for i in virtio*; do echo $i >unbind; done'],
] as const)
	test(`a machine ${what} has ended, which is told with the reason`, async (t, bench) => {
		bench.configure(['sh', '-c', `echo ready; read line; ${script}; sleep 1000`], { ...POWERFUL, ...SYSFS });
		const run = bench.start([...VM, 'run', 'c1']);
		const end = ending(run);
		await printed(run, 'ready');
		const parts = partsOf(bench.state('c1').pid);
		run.stdin!.write('\n');
		const { code, stderr } = await end;
		t.equal(code, 137);
		t.match(stderr, `${MACHINE}QEMU has ended: the guest's kernel has given up, or its agent has ended`);
		await nothingIsLeft(t, bench, parts);
	});

test('the command that runs a container is killed: it goes on, and can be deleted', async (t, bench) => {
	bench.configure(['sh', '-c', 'echo ready; sleep 1000'], { process: { terminal: false } });
	const run = bench.start([...VM, 'run', 'c1']);
	await printed(run, 'ready');
	const parts = partsOf(bench.state('c1').pid);
	run.kill('SIGKILL');
	t.match(bench.isopod(['exec', 'c1', 'echo', 'alive']), { code: 0, stdout: 'alive\n' });
	t.equal(bench.isopod(['delete', '--force', 'c1']).code, 0);
	await nothingIsLeft(t, bench, parts);
});

test('whoever starts a machine is killed at some moment of that: nothing is left after a delete', async (t, bench) => {
	bench.configure(['sleep', '1000'], { process: { terminal: false } });
	const ours = (): string[] =>
		readdirSync('/proc').filter((pid) => {
			try {
				return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(bench.root);
			} catch {
				return false;
			}
		});
	for (const delayMs of [100, 200, 300, 400, 500, 600]) {
		const create = bench.start([...VM, 'create', 'c1'], { stdio: 'ignore' });
		await new Promise((then) => setTimeout(then, delayMs));
		create.kill('SIGKILL');
		bench.isopod(['delete', '--force', 'c1']);
		await until(() => ours().length === 0);
		t.strictSame([...bench.leftovers, ...mountsOf(bench)], [], `${delayMs} ms after its start`);
	}
});
