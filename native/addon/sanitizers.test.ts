import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import t from 'tap';

// The addon under AddressSanitizer and UndefinedBehaviorSanitizer: its own tests, guests among them, run once more with it. (A sandbox process can't have a
// sanitizer's run time: its launcher passes no LD_PRELOAD on.)
const SANITIZE = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'];
const DEFINES = ['-DNAPI_VERSION=9', '-D_GNU_SOURCE', '-DNODE_GYP_MODULE_NAME=isopod'];
const TESTS = ['channel', 'files', 'filter', 'memory', 'sockets', 'spawn', 'traps'];

t.test("the addon's own tests pass with sanitizers in it", (t) => {
	const folder = mkdtempSync(join(tmpdir(), 'isopod-sanitizers-'));
	t.teardown(() => rmSync(folder, { recursive: true }));
	const addon = join(folder, 'isopod.node');
	const sources = [...new Set(readFileSync('binding.gyp', 'utf8').match(/native\/addon\/[\w-]+\.cc/g))];
	const headers = join(dirname(dirname(process.execPath)), 'include/node');
	const options = ['-std=c++20', '-g', '-O1', '-fPIC', '-shared', '-fno-exceptions', '-fno-rtti', '-fvisibility=hidden', `-I${headers}`];
	execFileSync('g++', [...options, ...DEFINES, ...SANITIZE, '-Wl,-z,now', '-o', addon, ...sources]);
	const runtime = execFileSync('gcc', ['-print-file-name=libasan.so'], { encoding: 'utf8' }).trim();
	// What Node itself never gives back is no leak of the addon's.
	const env = { ...process.env, LD_PRELOAD: runtime, ASAN_OPTIONS: 'detect_leaks=0', ISOPOD_ADDON: addon, TAP: '1' };
	for (const name of TESTS) {
		const { status, stdout, stderr } = spawnSync(process.execPath, [resolve(`dist/native/addon/${name}.test.js`)], {
			encoding: 'utf8',
			env,
		});
		if (!t.equal(status, 0, name)) t.comment(`${stderr.slice(0, 8000)}${stdout.slice(-2000)}`);
	}
	t.end();
});
