// Every case of the table, run on the host in a chroot and in the guest kernel from the same tree and the same sources: what a program
// prints, and how it ends, must be the same.

import { copyFileSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'tap';
import { groups } from './cases.js';
import { type CaseResult, conformanceFolder, runInChroot, runInGuest, runOnHost } from './sides.js';

const caseSeconds = 20;
const folder = mkdtempSync(join(tmpdir(), 'isopod-cases-'));
after(() => rmSync(folder, { recursive: true, force: true }));

mkdirSync(join(folder, 'cases'));
mkdirSync(join(folder, 'bin'));
copyFileSync(join(conformanceFolder, 'driver.sh'), join(folder, 'driver.sh'));
cpSync(join(conformanceFolder, 'programs'), join(folder, 'programs'), { recursive: true });

test('the programs compile with the tree’s own compiler', async (t) => {
	const script = 'for f in /mnt/programs/*.c; do b=${f##*/}; gcc -O1 -w -pthread -o "/mnt/bin/${b%.c}" "$f" || exit 1; done';
	const { status, stderr } = await runInChroot(folder, 'rw', ['/bin/sh', '-c', script]);
	t.equal(status, 0, stderr.toString());
});

const chosen = process.env['CONFORMANCE'] ? new RegExp(process.env['CONFORMANCE']) : /^/;

for (const group of groups) {
	const cases = group.cases.filter((each) => chosen.test(`${group.name}/${each.name}`));
	if (!cases.length) continue;
	test(group.name, async (t) => {
		const files = cases.map((each) => {
			const file = `${group.name}-${each.name}.${each.shell ?? 'sh'}`;
			writeFileSync(join(folder, 'cases', file), `${each.script}\n`);
			writeFileSync(join(folder, 'cases', `${group.name}-${each.name}.in`), each.stdin ?? '');
			return file;
		});
		const host = await runOnHost(folder, files, caseSeconds, group.capabilities);
		const guest = await runInGuest(folder, files, caseSeconds, 150_000, group.capabilities);
		for (const each of cases) {
			const name = `${group.name}-${each.name}`;
			const expected = host.cases.get(name);
			const found = guest.cases.get(name);
			if (!expected) t.fail(`${each.name}: no result from the host: ${host.note}`);
			else if (!found) t.fail(`${each.name}: no result from the guest kernel: ${guest.note}`);
			else {
				// A case that fails on the host by mistake would compare one error message with another.
				t.equal(expected.status, each.status ?? 0, `${each.name} on the host: ${expected.stderr}`);
				t.same(lines(found), lines(expected), each.name);
			}
		}
	});
}

function lines(result: CaseResult): object {
	return { status: result.status, stdout: result.stdout.split('\n'), stderr: result.stderr.split('\n') };
}
