import { EACCES, EINVAL, ENOENT, EPERM, ESRCH } from '../../../abi/errno.js';
import { S_IFDIR, S_IFLNK, S_IFREG } from '../../../abi/stat-constants.js';
import type { Task } from '../../../task/task.js';
import { direntType } from '../../../vfs/dirent-type.js';
import type { DirectorySink, FileDescription } from '../../../vfs/file-description.js';
import type { Inode } from '../../../vfs/inode.js';
import type { Path } from '../../../vfs/path.js';
import { linkText } from '../../../vfs/path-text.js';
import { FIRST_ENTRY, PseudoDirectory } from '../proc-directory.js';
import { ProcFile, type ProcFileOptions, type ProcText } from '../proc-file.js';
import { ProcLink } from '../proc-link.js';
import { cmdlineText, environText } from './arguments.js';
import { auxvText } from './auxv.js';
import { childrenText } from './children.js';
import { readComm, writeComm } from './comm.js';
import { FdDirectory, FdInfoDirectory } from './descriptors.js';
import { ioText } from './io.js';
import { limitsText } from './limits.js';
import { mapsText } from './maps.js';
import { MemoryFile } from './memory.js';
import { mountInfoText, mountStatsText, mountsText } from './mounts.js';
import { NamespacesDirectory } from './namespaces.js';
import { NetDirectory } from './net.js';
import { oomAdjText, oomScoreAdjText, oomScoreText, writeOomAdj, writeOomScoreAdj } from './oom.js';
import { PageMapFile } from './pagemap.js';
import { canInspect, checkInspect, type ProcessTarget } from './process-target.js';
import { smapsRollupText } from './smaps-rollup.js';
import { statmText, statText } from './stat.js';
import { statusText } from './status.js';
import { TasksDirectory } from './tasks.js';
import { timersText } from './timers.js';

interface Entry {
	readonly name: string;
	/** Type and permission bits. */
	readonly mode: number;
	/** Only in /proc/PID (not in task/TID), or only there. */
	readonly only?: 'process' | 'thread';
	make(ino: number, target: ProcessTarget): Inode;
}

/** The maps of the only user and group ids there are to a guest, user_namespaces(7). */
const ID_MAP = `${'0'.padStart(10)} ${'0'.padStart(10)} ${'4294967295'.padStart(10)}\n`;

function file(
	name: string,
	permissions: number,
	text: (target: ProcessTarget, reader: Task) => string | number,
	options: {
		readonly only?: 'process' | 'thread';
		readonly isGuarded?: boolean;
		readonly set?: (target: ProcessTarget, writer: Task, text: string) => number;
	} = {},
): Entry {
	const { only, isGuarded, set } = options;
	return {
		name,
		mode: S_IFREG | permissions,
		...(only === undefined ? {} : { only }),
		make(ino, target) {
			const content: ProcText = (reader) => text(target, reader);
			const fileOptions: ProcFileOptions = {
				owner: target.fileOwner,
				...(isGuarded ? { guard: (opener: Task) => checkInspect(opener, target) } : {}),
				...(set === undefined ? {} : { setter: (writer: Task, written: string) => set(target, writer, written) }),
			};
			return new ProcFile(target.fs, ino, permissions, content, fileOptions);
		},
	};
}

/** A magic link: only those who may trace the process can read or follow it. */
function link(name: string, place: (target: ProcessTarget) => Path | null): Entry {
	return {
		name,
		mode: S_IFLNK | 0o777,
		make(ino, target) {
			const find = (task: Task): Path | number => {
				if (!canInspect(task, target)) return -EACCES;
				return (target.isGone ? null : place(target)) ?? -ENOENT;
			};
			return new ProcLink(
				target.fs,
				ino,
				(task) => {
					const found = find(task);
					return typeof found === 'number' ? found : linkText(found, task.fs.root);
				},
				{ owner: target.fileOwner, jump: find },
			);
		},
	};
}

function alive(text: (target: ProcessTarget) => string): (target: ProcessTarget) => string | number {
	return (target) => (target.isGone ? -ESRCH : text(target));
}

/** What /proc/PID and /proc/PID/task/TID hold, in Linux's order (fs/proc/base.c, tgid_base_stuff and tid_base_stuff). */
const ENTRIES: readonly Entry[] = [
	{ name: 'task', mode: S_IFDIR | 0o555, only: 'process', make: (ino, target) => new TasksDirectory(ino, target) },
	{ name: 'fd', mode: S_IFDIR | 0o500, make: (ino, target) => new FdDirectory(ino, target, false) },
	{ name: 'fdinfo', mode: S_IFDIR | 0o555, make: (ino, target) => new FdInfoDirectory(ino, target, false) },
	{ name: 'ns', mode: S_IFDIR | 0o511, make: (ino, target) => new NamespacesDirectory(ino, target) },
	{ name: 'net', mode: S_IFDIR | 0o555, make: (ino, target) => new NetDirectory(ino, target) },
	file('environ', 0o400, environText, { isGuarded: true }),
	file('auxv', 0o400, auxvText, { isGuarded: true }),
	file('status', 0o444, statusText),
	file('personality', 0o400, (target, reader) => (canInspect(reader, target) ? '00000000\n' : -EPERM)),
	file(
		'limits',
		0o444,
		alive((target) => limitsText(target.group.limits)),
	),
	file('comm', 0o644, readComm, { set: (target, writer, text) => writeComm(writer, target, text) }),
	file('syscall', 0o400, (target) => target.readHost('syscall') || 'running\n', { isGuarded: true }),
	file('cmdline', 0o444, cmdlineText),
	file('stat', 0o444, (target, reader) => statText(reader, target)),
	file('statm', 0o444, statmText),
	file('maps', 0o444, (target, reader) => mapsText(reader, target, 'maps'), { isGuarded: true }),
	{ name: 'mem', mode: S_IFREG | 0o600, make: (ino, target) => new MemoryFile(ino, target) },
	{ name: 'pagemap', mode: S_IFREG | 0o400, make: (ino, target) => new PageMapFile(ino, target) },
	link('cwd', (target) => target.group.fs.cwd),
	link('root', (target) => target.group.fs.root),
	link('exe', (target) => target.group.executable),
	file('mounts', 0o444, mountsText),
	file('mountinfo', 0o444, mountInfoText),
	file('mountstats', 0o400, mountStatsText, { only: 'process' }),
	file('smaps', 0o444, (target, reader) => mapsText(reader, target, 'smaps'), { isGuarded: true }),
	file('smaps_rollup', 0o444, (target, reader) => smapsRollupText(reader, target), { isGuarded: true }),
	file(
		'wchan',
		0o444,
		alive(() => '0'),
	),
	// Stacks of the kernel are for nobody in a container.
	file('stack', 0o400, () => -EPERM),
	file(
		'schedstat',
		0o444,
		alive((target) => target.readHost('schedstat') || '0 0 0\n'),
	),
	file(
		'cpuset',
		0o444,
		alive(() => '/\n'),
	),
	file(
		'cgroup',
		0o444,
		alive(() => '0::/\n'),
	),
	file('oom_score', 0o444, oomScoreText),
	file('oom_adj', 0o644, oomAdjText, { set: (target, writer, text) => writeOomAdj(writer, target, text) }),
	file('oom_score_adj', 0o644, oomScoreAdjText, { set: (target, writer, text) => writeOomScoreAdj(writer, target, text) }),
	file(
		'loginuid',
		0o644,
		alive(() => '4294967295'),
		{ set: () => -EPERM },
	),
	file(
		'sessionid',
		0o444,
		alive(() => '4294967295'),
	),
	file(
		'coredump_filter',
		0o644,
		alive(() => '00000033\n'),
		{ only: 'process', set: () => -EINVAL },
	),
	file('io', 0o400, ioText, { isGuarded: true }),
	file(
		'uid_map',
		0o644,
		alive(() => ID_MAP),
		{ set: () => -EPERM },
	),
	file(
		'gid_map',
		0o644,
		alive(() => ID_MAP),
		{ set: () => -EPERM },
	),
	file(
		'projid_map',
		0o644,
		alive(() => ID_MAP),
		{ set: () => -EPERM },
	),
	file(
		'setgroups',
		0o644,
		alive(() => 'allow\n'),
		{ set: () => -EPERM },
	),
	file('timers', 0o444, alive(timersText), { only: 'process' }),
	file(
		'timerslack_ns',
		0o666,
		alive(() => '50000\n'),
		{ only: 'process', set: () => -EPERM },
	),
	file('children', 0o444, childrenText, { only: 'thread' }),
];
const PROCESS_ENTRIES = ENTRIES.filter((entry) => entry.only !== 'thread');
const THREAD_ENTRIES = ENTRIES.filter((entry) => entry.only !== 'process');
const PROCESS_INDEX = new Map(PROCESS_ENTRIES.map((entry, index) => [entry.name, index]));
const THREAD_INDEX = new Map(THREAD_ENTRIES.map((entry, index) => [entry.name, index]));

/** /proc/PID or /proc/PID/task/TID. Entries are made when they are first asked for. */
export class ProcessDirectory extends PseudoDirectory {
	private readonly entries: readonly Entry[];
	private readonly index: ReadonlyMap<string, number>;
	private readonly made: (Inode | undefined)[] = [];
	private readonly firstIno: number;
	private ownFd: FdDirectory | null = null;

	constructor(readonly target: ProcessTarget) {
		super(target.fs, target.fs.allocateInos(1), 0o555, target.directoryOwner);
		this.entries = target.isThread ? THREAD_ENTRIES : PROCESS_ENTRIES;
		this.index = target.isThread ? THREAD_INDEX : PROCESS_INDEX;
		this.firstIno = target.fs.allocateInos(this.entries.length);
	}

	override get linkCount(): number {
		return this.target.isThread ? 7 : 9;
	}

	override lookup(name: string, task: Task): Inode | number {
		const { target } = this;
		if (target.isGone) return -ENOENT;
		const index = this.index.get(name);
		if (index === undefined) return -ENOENT;
		const ino = this.firstIno + index;
		if (name === 'fd' && !target.group.isDumpable && task.group === target.group) {
			this.ownFd ??= new FdDirectory(ino, target, true);
			return this.ownFd;
		}
		const made = this.made[index] ?? this.entries[index]!.make(ino, target);
		this.made[index] = made;
		return made;
	}

	override emit(_task: Task, description: FileDescription, sink: DirectorySink): number {
		if (this.target.isGone) return -ENOENT;
		for (;;) {
			const index = description.offset - FIRST_ENTRY;
			const entry = this.entries[index];
			if (entry === undefined || !sink.entry(this.firstIno + index, description.offset + 1, direntType(entry.mode), entry.name)) return 0;
			description.offset++;
		}
	}
}
