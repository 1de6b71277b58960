import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'tap';
import { runContainer } from '../testing/container.js';
import { makeProgramRoot } from './hostile-program.js';

test('a container that may mount stays within its bounds and what the operator has set', async (t) => {
	const root = makeProgramRoot('mounts');
	const folder = mkdtempSync(join(tmpdir(), 'isopod-readonly-'));
	try {
		mkdirSync(join(root.path, 'readonly'));
		const result = await runContainer({
			root: root.path,
			isReadonly: false,
			args: ['/bin/prog'],
			capabilities: ['CAP_SYS_ADMIN', 'CAP_DAC_OVERRIDE'],
			mounts: [{ destination: '/readonly', type: 'bind', source: folder, options: ['bind', 'ro'] }],
			timeoutMs: 50_000,
		});
		t.equal(result.stdout.toString(), 'done\n', result.stderr.toString() + result.log.slice(-2000));
		t.equal(result.status, 0);
		t.same(readdirSync(folder), [], 'nothing came into the read-only folder');
		t.notMatch(result.log, /"level":50/, 'no handler failed');
	} finally {
		root.remove();
		rmSync(folder, { recursive: true, force: true });
	}
});
