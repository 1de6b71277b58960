import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { defaultCapabilities, runContainer } from '../testing/container.js';
import { makeProgramRoot } from './hostile-program.js';

t.test('lengths, counts and offsets that no caller should give get the errno that the host gives', async (t) => {
	const root = makeProgramRoot('lengths');
	t.teardown(() => root.remove());
	const onHost = execFileSync('chroot', [root.path, '/bin/prog'], { stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8' });
	rmSync(join(root.path, 'tmp'), { recursive: true });
	mkdirSync(join(root.path, 'tmp'));
	const ended = await runContainer({
		root: root.path,
		isReadonly: false,
		args: ['/bin/prog'],
		capabilities: defaultCapabilities,
		timeoutMs: 50_000,
	});
	t.equal(ended.status, 0, ended.log);
	t.strictSame(ended.stdout.toString().split('\n'), onHost.split('\n'));
});
