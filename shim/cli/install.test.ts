import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, type TomlTable } from 'smol-toml';
import t from 'tap';
import { CONTAINERD } from '../containerd/testing.js';
import { PASSED_ON, withoutRuntimes, withRuntimes } from './install.js';
import { PROGRAM } from './testing.js';

t.test('runtimes are merged into what is there, and taken out again', async (t) => {
	for (const [version, plugin] of [
		[2, 'io.containerd.grpc.v1.cri'],
		[3, 'io.containerd.cri.v1.runtime'],
		[4, 'io.containerd.cri.v1.runtime'],
	] as const) {
		const text = `version = ${version}\nroot = "/x"\n[plugins."${plugin}".containerd.runtimes.runc]\nruntime_type = "io.containerd.runc.v2"\nruntime_path = "/x"\n`;
		const merged = withRuntimes(parse(text));
		t.match(merged, {
			root: '/x',
			plugins: {
				[plugin]: {
					containerd: {
						runtimes: {
							runc: { runtime_type: 'io.containerd.runc.v2', runtime_path: '/x' },
							isopod: { runtime_type: 'io.containerd.isopod.v1', ...PASSED_ON },
							'isopod-vm': { runtime_type: 'io.containerd.isopod-vm.v1', ...PASSED_ON },
						},
					},
				},
			},
		});
		t.same(withoutRuntimes(merged), parse(text));
	}
	t.hasProp(runtimesOf(withRuntimes(parse(''))), 'runc', 'containerd 1.x would have lost it');
	t.same(withoutRuntimes(withRuntimes(parse(''))), { version: 2 });
	t.throws(() => withRuntimes(parse('version = 1')), /want 2, 3 or 4/);
});

t.test('install and uninstall change files, --dry-run does not', async (t) => {
	const folder = mkdtempSync(join(tmpdir(), 'isopod-install-'));
	t.teardown(() => rmSync(folder, { recursive: true }));
	const config = join(folder, 'config.toml');
	const before = '# ours\nversion = 2\n';
	writeFileSync(config, before);
	const isopod = (...args: string[]): { status: number | null; stdout: string; stderr: string } =>
		spawnSync(process.execPath, [PROGRAM, ...args, '--config', config, '--bin-dir', join(folder, 'bin')], { encoding: 'utf8' });
	const dry = isopod('install', '--dry-run');
	t.equal(dry.status, 0, dry.stderr);
	t.match(dry.stdout, /\+ runtime_type = "io.containerd.isopod.v1"/);
	t.same(readdirSync(folder), ['config.toml']);
	t.equal(isopod('install').status, 0);
	t.match(readFileSync(config, 'utf8'), /io\.containerd\.isopod\.v1/);
	t.equal(readFileSync(`${config}.before-isopod`, 'utf8'), before);
	t.match(readlinkSync(join(folder, 'bin/containerd-shim-isopod-v1')), /native\/build\/containerd-shim-isopod-v1$/);
	t.match(readlinkSync(join(folder, 'bin/containerd-shim-isopod-vm-v1')), /native\/build\/containerd-shim-isopod-v1$/);
	t.match(isopod('install').stdout, /nothing to change/);
	t.equal(isopod('uninstall').status, 0);
	t.same(readdirSync(join(folder, 'bin')), []);
	t.same(parse(readFileSync(config, 'utf8')), { version: 2 });
});

t.test('containerd reads what install has written, and nothing else has changed for it', (t) => {
	const folder = mkdtempSync(join(tmpdir(), 'isopod-install-'));
	t.teardown(() => rmSync(folder, { recursive: true }));
	const containerd = (...args: string[]): string => {
		const { status, stdout, stderr } = spawnSync(CONTAINERD, args, { encoding: 'utf8' });
		t.equal(status, 0, stderr);
		return stdout;
	};
	const own = containerd('config', 'default');
	for (const [name, text] of [
		['none', ''],
		['its own', own],
		['version 2', 'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\nmax_concurrent_downloads = 7\n'],
	] as const) {
		const config = join(folder, `${name}.toml`);
		writeFileSync(config, text);
		const dump = (): TomlTable => parse(containerd('--config', config, 'config', 'dump'));
		const before = dump();
		const args = ['install', '--config', config, '--bin-dir', join(folder, 'bin')];
		t.equal(spawnSync(process.execPath, [PROGRAM, ...args]).status, 0);
		const after = dump();
		const runtimes = runtimesOf(after);
		for (const handler of ['isopod', 'isopod-vm']) {
			t.match(runtimes[handler], { runtime_type: `io.containerd.${handler}.v1` }, name);
			delete runtimes[handler];
		}
		for (const config of [before, after]) dropZeros(runtimesOf(config));
		t.strictSame(after, before, name);
	}
	t.end();
});

/** The runtimes of a whole configuration, of whichever version. */
function runtimesOf(config: TomlTable): TomlTable {
	const plugins = config['plugins'] as Record<string, { readonly containerd: { readonly runtimes: TomlTable } }>;
	return (plugins['io.containerd.cri.v1.runtime'] ?? plugins['io.containerd.grpc.v1.cri'])!.containerd.runtimes;
}

/** Options that say what they would if they weren't there. */
function dropZeros(runtimes: TomlTable): void {
	for (const { options } of Object.values(runtimes) as { readonly options?: TomlTable }[])
		for (const [name, value] of Object.entries(options ?? {})) if (value === '' || value === 0 || value === false) delete options![name];
}
