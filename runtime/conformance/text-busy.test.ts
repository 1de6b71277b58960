// Writing to programs and executing what is written to, on host trees: the container's own, and one that two mounts show. (On a tmpfs: the case of that name.)

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { runContainer } from '../testing/container.js';
import { conformanceFolder } from './sides.js';

t.test('ETXTBSY on host trees is as on the host', async (t) => {
	const folder = mkdtempSync(join(tmpdir(), 'isopod-busy-'));
	t.teardown(() => rmSync(folder, { recursive: true, force: true }));
	for (const name of ['root/bin', 'root/own', 'root/bound', 'root/proc', 'root/dev', 'bound', 'host']) {
		mkdirSync(join(folder, name), { recursive: true });
	}
	const program = join(folder, 'root/bin/prog');
	execFileSync('gcc', ['-O1', '-w', '-static', '-o', program, join(conformanceFolder, 'programs/text-busy.c')]);
	const expected = execFileSync(program, [join(folder, 'host')], { encoding: 'utf8' });
	t.match(expected, /execve, by nobody: ok/);
	for (const place of ['/own', '/bound']) {
		const ended = await runContainer({
			root: join(folder, 'root'),
			isReadonly: false,
			args: ['/bin/prog', place],
			mounts: [{ destination: '/bound', type: 'bind', source: join(folder, 'bound'), options: ['bind', 'rw'] }],
			timeoutMs: 20_000,
		});
		t.strictSame(ended.stdout.toString().split('\n'), expected.split('\n'), `${place}: ${ended.stderr}${ended.log}`);
	}
});
