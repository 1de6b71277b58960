// `npm run build`: the addon, the native programs, the compiled TypeScript, the bundles. What is newer than its sources is left alone.

import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { list } from './files.mjs';
import { buildProtocols } from './proto.mjs';
import { main, root, StepError } from './steps.mjs';

const addon = 'build/Release/isopod.node';
const command = 'dist/isopod.js';
const nativePrograms = ['isopod-loader', 'isopod-launcher', 'isopod', 'containerd-shim-isopod-v1', 'isopod-agent', 'isopod-pause'].map(
	(name) => `native/build/${name}`,
);

/** What is started often is one file each, so that a start loads one file, compiled already (scripts/starter.cjs). `flags`: of the Node that runs it. */
const bundles = [
	{ entry: 'shim/cli/main.ts', name: 'isopod', flags: [] },
	{ entry: 'shim/containerd/main.ts', name: 'shim', flags: ['--no-warnings', '--max-semi-space-size=1', '--initial-old-space-size=16'] },
	{ entry: 'shim/cri/server/main.ts', name: 'serve', flags: [] },
	{ entry: 'shim/image/unpack-main.ts', name: 'unpack', flags: ['--no-warnings', '--max-old-space-size=512'] },
	{ entry: 'shim/cli/pods/main.ts', name: 'pods', flags: [] },
	{ entry: 'runtime/vm/monitor/main.ts', name: 'vm-monitor', flags: [] },
	{ entry: 'runtime/sandbox/process/main.ts', name: 'sandbox', flags: ['--max-semi-space-size=1'] },
];
const bundleFiles = ({ name }) => [`dist/${name}.cjs`, `dist/${name}-start.cjs`, `dist/${name}.cache`];

const typeScriptFolders = ['native', 'runtime', 'shim', 'bench', 'proto'];

/** Builds the addon with node-gyp, the loader and the launcher with make. */
export async function buildNative(steps) {
	const headers = findNodeHeaders();
	const sources = [
		...list('native', (file) => !file.startsWith('native/build/') && !file.endsWith('.ts')),
		'binding.gyp',
		'scripts/build.mjs',
	];
	const state = [digest(sources), process.version, headers].join('\n');
	const stamp = join(root, 'build/native-stamp');
	const isBuilt = () => isUnchanged(stamp, state, [addon, ...nativePrograms]);
	if (isBuilt()) return 'already there';
	await steps.locked(join(root, 'scripts'), async () => {
		if (isBuilt()) return;
		const nodeGyp = createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js');
		// Only configure when the project or the Node changed: it makes the compiler start over.
		const configuration = [digest(['binding.gyp']), process.version, headers].join('\n');
		const configured = join(root, 'build/configure-stamp');
		const actions = isUnchanged(configured, configuration, ['build/Makefile']) ? ['build'] : ['configure', 'build'];
		for (const action of actions) {
			const jobs = action === 'build' ? ['--jobs', '2'] : [];
			await steps.run(process.execPath, [nodeGyp, action, `--nodedir=${headers}`, ...jobs]);
			if (action === 'configure') writeFileSync(configured, configuration);
		}
		await steps.run('make', ['-C', 'native', '-j2', '--no-print-directory']);
		writeFileSync(stamp, state);
	});
}

/** Compiles the TypeScript to dist/ and bundles what starts often. The output is written even when types are wrong, and then it fails. */
export async function buildTypeScript(steps) {
	const isSource = (file) => /\.(ts|proto)$/.test(file) && !file.startsWith('proto/generated/');
	const sources = typeScriptFolders.flatMap((folder) => list(folder, isSource));
	const settings = ['tsconfig.json', 'package.json', 'package-lock.json', 'scripts/build.mjs', 'scripts/starter.cjs', 'scripts/proto.mjs'];
	const state = [digest([...sources, ...settings]), process.version].join('\n');
	const stamp = join(root, 'dist/stamp');
	const outputs = [...bundles.flatMap(bundleFiles), command];
	const isBuilt = () => isUnchanged(stamp, state, outputs);
	if (isBuilt()) return 'already there';
	await steps.locked(join(root, 'scripts'), async () => {
		if (isBuilt()) return;
		removeOrphans();
		await buildProtocols();
		const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
		const compiled = await steps.run(process.execPath, [tsc, '-p', 'tsconfig.json', '--pretty', 'false'], { allowFailure: true });
		for (const bundle of bundles) await writeBundle(steps, bundle);
		// For `node dist/isopod.js`; the front goes to the starter itself.
		writeFileSync(join(root, command), "#!/usr/bin/env node\nimport './isopod-start.cjs';\n", { mode: 0o755 });
		await writeSandboxFiles();
		if (compiled.status !== 0) {
			throw new StepError('Compile the TypeScript: there are errors of type (dist/ is written all the same)', { output: compiled.output });
		}
		mkdirSync(dirname(stamp), { recursive: true });
		writeFileSync(stamp, state);
	});
}

async function writeBundle(steps, { entry, name, flags }) {
	const { build } = await import('esbuild');
	const file = `dist/${name}.cjs`;
	try {
		await build({
			absWorkingDir: root,
			entryPoints: [entry],
			outfile: file,
			bundle: true,
			platform: 'node',
			target: 'node20',
			format: 'cjs',
			// What is compiled from a cache has no import(): libraries' become require().
			supported: { 'dynamic-import': false },
			external: ['*.node'],
			// Names stay as they are written; `keepNames` would only add a call to each closure that the system-call path makes.
			minifySyntax: true,
			charset: 'ascii',
			legalComments: 'none',
			sourcemap: 'linked',
			logLevel: 'silent',
			banner: { js: "const importMetaUrl = require('node:url').pathToFileURL(__filename).href;" },
			define: { 'import.meta.url': 'importMetaUrl', 'import.meta.dirname': '__dirname', 'import.meta.filename': '__filename' },
		});
	} catch (cause) {
		if (!Array.isArray(cause.errors)) throw cause;
		const output = cause.errors.map(({ text, location }) => (location ? `${location.file}:${location.line}: ${text}` : text)).join('\n');
		throw new StepError(`Bundle ${entry}`, { output, cause });
	}
	const starter = join(root, `dist/${name}-start.cjs`);
	copyFileSync(join(root, 'scripts/starter.cjs'), starter);
	rmSync(join(root, `dist/${name}.cache`), { force: true });
	for (const cache of [join(root, `dist/${name}.cache`), '']) {
		await steps.run(process.execPath, [...flags, starter], { env: { ...process.env, ISOPOD_CODE_CACHE: cache } });
	}
}

/** Above are the guest kernel's private numbers. */
const MAX_SYSCALLS = 1024;

/** What the front (native/front) needs to know to start a sandbox process without asking Node, and a machine's monitor of system calls. */
async function writeSandboxFiles() {
	process.env.ISOPOD_ADDON ??= join(root, addon);
	const { sandboxFiles } = await import(join(root, 'dist/runtime/sandbox/launch.js'));
	const { SYSCALLS } = await import(join(root, 'dist/runtime/kernel/syscalls/table.js'));
	const numbers = Object.fromEntries(SYSCALLS.filter(({ number }) => number < MAX_SYSCALLS).map(({ name, number }) => [name, number]));
	writeFileSync(join(root, 'dist/syscall-numbers.json'), JSON.stringify(numbers));
	writeFileSync(join(root, 'dist/sandbox-files'), `${[realpathSync(process.execPath), ...sandboxFiles(root)].join('\n')}\n`);
}

/** Removes compiled files whose source is gone: a deleted test must not go on running. */
function removeOrphans() {
	for (const file of list('dist', (name) => /\.js(\.map)?$/.test(name))) {
		if (file === command) continue;
		const source = relative('dist', file).replace(/\.js(\.map)?$/, '');
		if (![`${source}.ts`, `${source}.d.ts`].some((name) => existsSync(join(root, name)))) rmSync(join(root, file));
	}
}

/** The folder that holds `include/node` of the Node that runs: the addon is built with these headers, none are downloaded. */
function findNodeHeaders() {
	const prefixOf = (program) => dirname(dirname(program));
	const candidates = new Set([
		prefixOf(process.execPath),
		prefixOf(realpathSync(process.execPath)),
		process.config.variables.node_prefix,
		'/usr/local',
		'/usr',
	]);
	for (const candidate of candidates) {
		const version = readIfThere(join(candidate, 'include/node/node_version.h'));
		const number = (name) => new RegExp(`#define NODE_${name}_VERSION (\\d+)`).exec(version)?.[1];
		const isSame = `v${number('MAJOR')}.${number('MINOR')}.${number('PATCH')}` === process.version;
		if (isSame && existsSync(join(candidate, 'include/node/node_api.h'))) return candidate;
	}
	throw new StepError(
		`Find the headers of Node ${process.version}: include/node/node_api.h of this version is in none of ${[...candidates].join(', ')}. ` +
			'Install Node from an archive or package that has them (those of nodejs.org and nodesource.com do).',
	);
}

/** A short name for the state of `files`: it changes when one is written, added or removed. */
function digest(files) {
	const hash = createHash('sha256');
	for (const file of files) {
		const stat = statSync(join(root, file), { throwIfNoEntry: false });
		hash.update(`${file} ${stat?.mtimeMs} ${stat?.size}\n`);
	}
	return hash.digest('hex');
}

function isUnchanged(stamp, state, outputs) {
	return readIfThere(stamp) === state && outputs.every((file) => existsSync(join(root, file)));
}

function readIfThere(file) {
	try {
		return readFileSync(file, 'utf8');
	} catch {
		return '';
	}
}

if (process.argv[1] === import.meta.filename) {
	await main('build', 2, async (steps) => {
		await steps.step('Building the native parts', buildNative);
		await steps.step('Building the TypeScript parts', buildTypeScript);
	});
}
