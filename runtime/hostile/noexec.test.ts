import t from 'tap';
import { defaultCapabilities, runContainer } from '../testing/container.js';
import { makeProgramRoot } from './hostile-program.js';

const ATTACKS = ['private', 'shared', 'written', 'dup', 'reopened', 'large', 'nameless', 'moved', 'child'];

t.test('no mapping of a file of a noexec tmpfs becomes executable, at once or later', async (t) => {
	const root = makeProgramRoot('noexec');
	t.teardown(() => root.remove());
	const ended = await runContainer({
		root: root.path,
		isReadonly: false,
		args: ['/bin/prog'],
		mounts: [
			{ destination: '/noexec', type: 'tmpfs', source: 'tmpfs', options: ['noexec', 'mode=1777'] },
			{ destination: '/exec', type: 'tmpfs', source: 'tmpfs', options: ['mode=1777'] },
		],
		capabilities: [...defaultCapabilities, 'CAP_SYS_ADMIN'],
		timeoutMs: 30_000,
	});
	t.strictSame(
		ended.stdout.toString().trim().split('\n'),
		[
			'/noexec mmap EPERM',
			...ATTACKS.map((attack) => `/noexec ${attack} EACCES`),
			'/exec mmap ok',
			...ATTACKS.map((attack) => `/exec ${attack} runs`),
			'/twin mount ok',
			'/twin remount ok',
			'/twin first EACCES',
			'/exec then runs',
			'/twin shares ok',
			'end',
		],
		`${ended.stderr}${ended.log}`,
	);
});
