import { appendFileSync, cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { imageFolder } from '../../runtime/vm/image.js';
import { isTemplate } from '../../runtime/vm/template.js';
import { Workbench } from './testing.js';

const VM = ['--handler', 'isopod-vm'];
/** What no two machines share, one to a line, and the number of places for devices. */
const IDENTITY = [
	'head -c 16 /dev/urandom | od -An -tx1',
	'cat /proc/sys/kernel/random/uuid /proc/sys/kernel/hostname',
	'date +%s',
	'set -- /sys/bus/platform/devices/LNRO0005*; echo $#',
].join('; ');
/** Places that only a template's kernel knows of. */
const CLONE_PLACES = '5';

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
	const [random, uuid, hostname, time, places] = first;
	t.equal(places, CLONE_PLACES);
	t.equal(second[4], CLONE_PLACES);
	t.not(random, second[0]);
	t.not(uuid, second[1]);
	t.equal(hostname, 'host-c1');
	t.equal(second[2], 'host-c2');
	for (const seconds of [Number(time), Number(second[3])]) t.ok(seconds >= before && seconds <= Date.now() / 1000 + 1, `${seconds}`);
	t.strictSame(bench.leftovers, []);
	t.end();
});

t.test('a machine that is to share nothing boots', (t) => {
	const bench = new Workbench();
	t.teardown(() => bench.clean());
	t.not(machine(t, bench, 'c1', { 'dev.isopod.vm.template': 'false' })[4], CLONE_PLACES);
	bench.configure(['true'], { process: { terminal: false }, annotations: { 'dev.isopod.vm.template': 'maybe' } });
	t.match(bench.isopod([...VM, 'run', 'c2']), { code: 1, stderr: /io\.isopod\.vm\.template.*"maybe"/ });
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
