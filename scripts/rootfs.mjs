// Root filesystems for containers, made from Debian packages: `node scripts/rootfs.mjs [base|full]…`. apt resolves and downloads the
// packages as for an empty machine, tar unpacks them, and what their maintainer scripts would do is done here: running those would
// take a chroot with /proc and most of the time that this saves over debootstrap.
//
// A tree lies in the cache, ${ISOPOD_CACHE:-${XDG_CACHE_HOME:-~/.cache}/isopod}/rootfs/NAME-HASH, and .isopod/rootfs/NAME links to it.

import { createHash } from 'node:crypto';
import {
	chmodSync,
	copyFileSync,
	existsSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	renameSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { main, onInterrupt, root, StepError, stateFolder } from './steps.mjs';

/** Part of a tree's name: a change of what this file does to the trees needs another one. */
const revision = 2;

const trees = JSON.parse(readFileSync(join(root, 'scripts/packages.json'), 'utf8')).rootfs;

/** Links that Debian's alternatives system would make: [link, target]. The first target that is there wins, as its highest priority would. */
const alternatives = [
	['usr/bin/awk', ['/usr/bin/gawk', '/usr/bin/mawk']],
	['usr/bin/nawk', ['/usr/bin/gawk', '/usr/bin/mawk']],
	['usr/bin/which', ['/usr/bin/which.debianutils']],
	['usr/bin/pager', ['/bin/more']],
	['usr/sbin/rmt', ['/usr/sbin/rmt-tar']],
	['usr/lib/cpp', ['/usr/bin/cpp']],
	['usr/bin/cc', ['/usr/bin/gcc']],
	['usr/bin/c89', ['/usr/bin/c89-gcc']],
	['usr/bin/c99', ['/usr/bin/c99-gcc']],
	['usr/bin/lzma', ['/usr/bin/xz']],
	['usr/bin/unlzma', ['/usr/bin/unxz']],
	...['cat', 'more', 'less', 'diff', 'cmp', 'grep', 'egrep', 'fgrep'].map((name) => [`usr/bin/lz${name}`, [`/usr/bin/xz${name}`]]),
];

/** What no program of a container reads; it would double the number of files. A tree has its own `leftOut` besides. */
const leftOut = ['./usr/share/doc/*', './usr/share/man/*', './usr/share/info/*', './usr/share/locale/*', './usr/share/lintian/*'];

/** The folder that the trees and the downloaded packages are kept in. */
export function cacheFolder() {
	return process.env.ISOPOD_CACHE || join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'isopod');
}

/** Where the tree `name` is, or will be once it is made. */
export function rootfsPath(name) {
	const { ID, VERSION_ID } = osRelease();
	const hash = createHash('sha256')
		.update(JSON.stringify([revision, ID, VERSION_ID, process.arch, packagesOf(name), leftOutOf(name), alternatives]))
		.digest('hex');
	return join(cacheFolder(), 'rootfs', `${name}-${hash.slice(0, 12)}`);
}

/** Makes the tree `name` unless it is there, and links .isopod/rootfs/NAME to it. A tree is there only when it is complete. */
export async function makeRootfs(steps, name) {
	if (trees[name] === undefined) throw new StepError(`Make a root filesystem: "${name}" is none of ${Object.keys(trees).join(', ')}`);
	const path = rootfsPath(name);
	if (existsSync(path)) {
		link(name, path);
		return 'already there';
	}
	if (process.getuid() !== 0)
		throw new StepError(`Make the root filesystem ${path}: only root can give its files their owners; run this as root`);
	mkdirSync(dirname(path), { recursive: true });
	await steps.locked(dirname(path), async () => {
		if (existsSync(path)) return;
		const partial = `${path}.partial`;
		const remove = () => rmSync(partial, { recursive: true, force: true });
		// One that was killed left it.
		remove();
		const forget = onInterrupt(remove);
		try {
			const archives = await download(steps, packagesOf(name));
			await unpack(steps, archives, leftOutOf(name), partial);
			await configure(steps, partial);
			renameSync(partial, path);
		} catch (error) {
			remove();
			throw error;
		} finally {
			forget();
		}
	});
	link(name, path);
}

function packagesOf(name) {
	const { extends: other, packages } = trees[name];
	return [...(other ? packagesOf(other) : []), ...packages].sort();
}

function leftOutOf(name) {
	return [...leftOut, ...(trees[name].leftOut ?? [])];
}

function link(name, path) {
	const file = join(stateFolder, 'rootfs', name);
	mkdirSync(dirname(file), { recursive: true });
	if (lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink() && readlinkSync(file) === path) return;
	rmSync(file, { recursive: true, force: true });
	symlinkSync(path, file);
}

function osRelease() {
	const text = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
	return Object.fromEntries(text.split('\n').map((line) => line.replaceAll('"', '').split('=')));
}

/** Downloads `packages` and what they depend on as if nothing were installed. Returns the archives' paths. */
async function download(steps, packages) {
	const state = join(cacheFolder(), 'packages');
	mkdirSync(join(state, 'archives/partial'), { recursive: true });
	writeFileSync(join(state, 'status'), '');
	// Lists, sources, keys and proxies are the host's; what is installed, and where packages go, is ours.
	const settings = Object.entries({
		'Dir::State::status': join(state, 'status'),
		'Dir::State::extended_states': join(state, 'extended_states'),
		'Dir::Cache::archives': join(state, 'archives'),
		'Dir::Cache::pkgcache': '',
		'Dir::Cache::srcpkgcache': '',
		'APT::Sandbox::User': 'root',
		'APT::Install-Recommends': 'false',
		'Debug::NoLocking': 'true',
		'Acquire::Retries': '3',
	}).flatMap(([key, value]) => ['-o', `${key}=${value}`]);
	const aptGet = (...args) => steps.run('apt-get', [...settings, ...args], { env: { LC_ALL: 'C.UTF-8' } });
	const attempt = async () => {
		const { stdout } = await aptGet('--simulate', 'install', ...packages);
		await aptGet('--yes', '--download-only', 'install', ...packages);
		return [...stdout.matchAll(/^Inst (\S+) \((\S+) .*\[(\S+)\]\)/gm)].map(([, name, version, architecture]) => {
			const file = `${name.replace(/:.*/, '')}_${version.replaceAll(':', '%3a')}_${architecture}.deb`;
			return join(state, 'archives', file);
		});
	};
	try {
		return await attempt();
	} catch (error) {
		if (!(error instanceof StepError)) throw error;
		// The lists are missing, or older than what the servers still have.
		await steps.run('apt-get', ['update']);
		return await attempt();
	}
}

/** Unpacks `archives` into the new folder `tree`, with owners and modes, but for the files that `patterns` name. */
async function unpack(steps, archives, patterns, tree) {
	mkdirSync(tree, { mode: 0o755 });
	// Debian's packages still name /bin, /sbin and /lib, which are links into /usr since Debian 12.
	for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
		mkdirSync(join(tree, 'usr', name), { recursive: true });
		symlinkSync(`usr/${name}`, join(tree, name));
	}
	const exclusions = patterns.map((pattern) => `--exclude='${pattern}'`).join(' ');
	const one = `dpkg-deb --fsys-tarfile "$1" | tar -x -p -C "$2" --numeric-owner --same-owner --keep-directory-symlink ${exclusions}`;
	// Two at a time: decompressing takes longer than writing.
	const all = 'tr "\\n" "\\0" | xargs -0 -P 2 -I{} bash -c "set -o pipefail; $2" unpack {} "$1"';
	await steps.run('bash', ['-c', all, 'unpack', tree, one], { input: archives.join('\n') });
}

/** Does what the packages' maintainer scripts would do. */
async function configure(steps, tree) {
	const at = (path) => join(tree, path);
	const copy = (from, to) => existsSync(at(from)) && copyFileSync(at(from), at(to));
	copy('usr/share/base-passwd/passwd.master', 'etc/passwd');
	copy('usr/share/base-passwd/group.master', 'etc/group');
	copy('usr/share/libc-bin/nsswitch.conf', 'etc/nsswitch.conf');
	copy('usr/share/base-files/profile', 'etc/profile');
	copy('usr/share/base-files/motd', 'etc/motd');
	copy('usr/share/base-files/dot.profile', 'root/.profile');
	copy('usr/share/base-files/dot.bashrc', 'root/.bashrc');
	writeFileSync(at('etc/hostname'), 'isopod\n');
	writeFileSync(at('etc/hosts'), '127.0.0.1\tlocalhost isopod\n::1\tlocalhost ip6-localhost ip6-loopback\n');
	writeFileSync(at('etc/resolv.conf'), '');
	writeFileSync(at('etc/shells'), '/bin/sh\n/bin/dash\n/bin/bash\n');

	const folders = { proc: 0o555, sys: 0o555, dev: 0o755, tmp: 0o1777, 'var/tmp': 0o1777, run: 0o755, 'run/lock': 0o1777, root: 0o700 };
	for (const name of ['home', 'mnt', 'srv', 'opt', 'media', 'etc/opt', 'var/opt', 'etc/alternatives']) folders[name] = 0o755;
	for (const [name, mode] of Object.entries(folders)) {
		mkdirSync(at(name), { recursive: true });
		chmodSync(at(name), mode);
	}
	for (const [name, target] of [
		['var/run', '/run'],
		['var/lock', '/run/lock'],
	]) {
		rmSync(at(name), { recursive: true, force: true });
		symlinkSync(target, at(name));
	}

	const isThere = (path) => lstatSync(at(path), { throwIfNoEntry: false }) !== undefined;
	const relink = (name, target) => {
		rmSync(at(name), { force: true });
		symlinkSync(target, at(name));
	};
	if (isThere('usr/bin/dash')) relink('usr/bin/sh', 'dash');
	for (const [name, targets] of alternatives) {
		const target = targets.find((path) => isThere(path.replace(/^\/bin\//, 'usr/bin/')));
		if (target === undefined) continue;
		const alternative = `/etc/alternatives/${name.split('/').at(-1)}`;
		relink(alternative, target);
		relink(name, alternative);
	}
	if (existsSync(at('usr/lib/x86_64-linux-musl')) && !isThere('usr/lib/x86_64-linux-musl/libc.so')) {
		symlinkSync('/lib/x86_64-linux-musl/libc.so', at('usr/lib/x86_64-linux-musl/libc.so'));
	}
	// For a plain chroot: git and perl don't start without /dev/null. A container's /dev hides them, and a host that is a container itself
	// may not allow them.
	for (const [name, minor] of Object.entries({ null: 3, zero: 5, full: 7, random: 8, urandom: 9 })) {
		await steps.run('mknod', ['-m', '0666', at(`dev/${name}`), 'c', '1', String(minor)], { allowFailure: true });
	}
	await steps.run('ldconfig', ['-r', tree], { env: withSbin() });
	// What Python would otherwise write into the tree when it first runs there.
	const python = readdirSync(at('usr/lib')).find((name) => /^python3\.\d+$/.test(name));
	if (python) {
		const folders = [`/usr/lib/${python}`, '/usr/lib/python3/dist-packages'].filter((path) => existsSync(at(path)));
		// CPython's own tests have files that must not compile. One job: more would need /dev/shm.
		const compile = ['-m', 'compileall', '-q', '-x', '/bad[^/]*[.]py$|/lib2to3/tests/data/'];
		await steps.run('chroot', [tree, '/usr/bin/python3', ...compile, ...folders], { env: withSbin() });
	}
}

/** A user's PATH may lack the folders of ldconfig and chroot. */
function withSbin() {
	return { PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
}

if (process.argv[1] === import.meta.filename) {
	const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(trees);
	await main('rootfs', names.length, async (steps) => {
		for (const name of names) await steps.step(`Making the root filesystem "${name}"`, () => makeRootfs(steps, name));
	});
}
