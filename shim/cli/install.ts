import { existsSync, lstatSync, mkdirSync, readFileSync, readlinkSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parse, stringify, type TomlTable } from 'smol-toml';
import { packageRoot } from '../../runtime/sandbox/launch.js';
import { OWN_ANNOTATIONS } from '../annotations.js';
import { checkHost } from './check.js';

/** The handlers, each with the runtime that containerd looks for as containerd-shim-NAME-v1. */
const HANDLERS = ['isopod', 'isopod-vm'] as const;
/** Without these the CRI plugin drops our annotations; the shim refuses those that the node's configuration doesn't allow. */
export const PASSED_ON = { pod_annotations: [`${OWN_ANNOTATIONS}*`], container_annotations: [`${OWN_ANNOTATIONS}*`] } as const;
/** One program: it looks at the name that it is called by. */
const SHIM = 'containerd-shim-isopod-v1';

export interface InstallOptions {
	/** containerd's configuration. */
	readonly config: string;
	/** Where containerd finds the shims: a folder of its PATH. */
	readonly binDir: string;
	readonly dryRun?: boolean;
}

/** A step of the one or the other: what it would change, and how. */
interface Change {
	readonly what: string;
	apply(): void;
}

/** `isopod install`: shims into place and runtimes into containerd's configuration; the exit status. Nothing is changed when the host can't run it. */
export function install(options: InstallOptions): number {
	if (checkHost() !== 0) {
		process.stderr.write('isopod: this host lacks what is needed (see above): nothing was installed\n');
		return 1;
	}
	const changes = HANDLERS.flatMap((handler) => linkShim(join(options.binDir, `containerd-shim-${handler}-v1`)));
	return perform([...changes, ...configure(options.config, withRuntimes)], options);
}

/** `isopod uninstall`: takes back what `install` did, and leaves what others wrote since. */
export function uninstall(options: InstallOptions): number {
	const changes = HANDLERS.flatMap((handler) => unlinkShim(join(options.binDir, `containerd-shim-${handler}-v1`)));
	return perform([...changes, ...configure(options.config, withoutRuntimes)], options);
}

function perform(changes: readonly Change[], { dryRun = false }: InstallOptions): number {
	if (changes.length === 0) process.stdout.write('nothing to change\n');
	for (const { what, apply } of changes) {
		if (!dryRun) apply();
		process.stdout.write(`${dryRun ? 'would change' : 'changed'} ${what}\n`);
	}
	if (changes.length > 0 && !dryRun) process.stdout.write('start containerd anew for this to take effect: systemctl restart containerd\n');
	return 0;
}

function linkShim(path: string): Change[] {
	const target = join(packageRoot(), 'native/build', SHIM);
	if (linkTarget(path) === target) return [];
	if (existsSync(path) && linkTarget(path) === null) throw new Error(`${path} is there already and is none of ours: remove it first`);
	const apply = (): void => {
		mkdirSync(dirname(path), { recursive: true });
		rmSync(path, { force: true });
		symlinkSync(target, path);
	};
	return [{ what: `${path}\n+ -> ${target}`, apply }];
}

function unlinkShim(path: string): Change[] {
	const target = linkTarget(path);
	if (target === null || !target.endsWith(SHIM)) return [];
	return [{ what: `${path}\n- -> ${target}`, apply: () => rmSync(path) }];
}

function linkTarget(path: string): string | null {
	const stat = lstatSync(path, { throwIfNoEntry: false });
	return stat?.isSymbolicLink() ? readlinkSync(path) : null;
}

/** Rewrites the configuration; what was there stays beside it. */
function configure(file: string, edit: (config: TomlTable) => TomlTable): Change[] {
	const before = existsSync(file) ? readFileSync(file, 'utf8') : '';
	const old = readToml(file, before);
	const changed = edit(structuredClone(old));
	// Comments and layout are lost in a rewrite: one that says the same isn't made.
	const [oldText, text] = [stringify(old), stringify(changed)];
	if (oldText === text) return [];
	const apply = (): void => {
		mkdirSync(dirname(file), { recursive: true });
		if (before !== '') writeFileSync(backup(file), before, { mode: 0o600 });
		writeFileSync(`${file}.new`, text, { mode: 0o644 });
		renameSync(`${file}.new`, file);
	};
	return [{ what: `${file}${before === '' ? '' : ` (before: ${backup(file)})`}\n${difference(oldText, text)}`, apply }];
}

function backup(file: string): string {
	for (let i = 0; ; i++) {
		const name = `${file}.before-isopod${i === 0 ? '' : `.${i}`}`;
		if (!existsSync(name)) return name;
	}
}

function readToml(file: string, text: string): TomlTable {
	try {
		return parse(text);
	} catch (error) {
		throw new Error(`Read ${file}: it is no TOML: ${error instanceof Error ? error.message : String(error)}`);
	}
}

/** Where the CRI plugin's runtimes are: version 2 is for containerd 1.x (2.x takes it, too), 3 for 2.0 and later, 4 for 2.3 and later. */
function runtimesPath(config: TomlTable): readonly string[] {
	const version = config['version'] ?? 2;
	if (version !== 2 && version !== 3 && version !== 4)
		throw new Error(`containerd's configuration has version ${String(version)}: want 2, 3 or 4 (containerd config migrate)`);
	const plugin = version === 2 ? 'io.containerd.grpc.v1.cri' : 'io.containerd.cri.v1.runtime';
	return ['plugins', plugin, 'containerd', 'runtimes'];
}

/** What containerd has when no runtime is named. */
const RUNC = { runtime_type: 'io.containerd.runc.v2' };

/** With the runtimes of all handlers. */
export function withRuntimes(config: TomlTable): TomlTable {
	config['version'] ??= 2;
	let table = config;
	for (const name of runtimesPath(config)) {
		table[name] ??= {};
		table = table[name] as TomlTable;
	}
	// containerd 1.x has its own runtime only as long as no other one is named.
	if (config['version'] === 2 && Object.keys(table).length === 0) table['runc'] = { ...RUNC };
	for (const handler of HANDLERS) {
		const own = (table[handler] ?? {}) as TomlTable;
		// What an operator has set beside it stays.
		const withOurs = (key: keyof typeof PASSED_ON): string[] => [...new Set([...((own[key] ?? []) as string[]), ...PASSED_ON[key]])];
		const passed = { pod_annotations: withOurs('pod_annotations'), container_annotations: withOurs('container_annotations') };
		table[handler] = { ...own, runtime_type: `io.containerd.${handler}.v1`, ...passed };
	}
	return config;
}

/** Without them, and without tables that were made for them alone. */
export function withoutRuntimes(config: TomlTable): TomlTable {
	const path = runtimesPath(config);
	const tables: TomlTable[] = [config];
	for (const name of path) {
		const next = tables.at(-1)![name];
		if (next === undefined) return config;
		tables.push(next as TomlTable);
	}
	const runtimes = tables.at(-1)!;
	for (const handler of HANDLERS) delete runtimes[handler];
	// By itself it says what containerd does without it.
	if (JSON.stringify(runtimes) === JSON.stringify({ runc: RUNC })) delete runtimes['runc'];
	for (let i = path.length - 1; i >= 0 && Object.keys(tables[i + 1]!).length === 0; i--) delete tables[i]![path[i]!];
	return config;
}

/** Lines that go and lines that come, each with those around them left out. */
function difference(before: string, after: string): string {
	const [old, now] = [before.split('\n'), after.split('\n')];
	let start = 0;
	while (start < old.length && start < now.length && old[start] === now[start]) start++;
	let end = 0;
	while (end < old.length - start && end < now.length - start && old.at(-1 - end) === now.at(-1 - end)) end++;
	const gone = old.slice(start, old.length - end).map((line) => `- ${line}`);
	const come = now.slice(start, now.length - end).map((line) => `+ ${line}`);
	return [...gone, ...come].join('\n');
}
