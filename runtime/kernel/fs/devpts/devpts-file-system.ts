import { DEV_PTMX } from '../../abi/device-number.js';
import { EIO, ENOENT, ENOSPC } from '../../abi/errno.js';
import { DT_CHR } from '../../abi/stat-constants.js';
import { bounds } from '../../bounds.js';
import type { Kernel } from '../../kernel.js';
import type { Task } from '../../task/task.js';
import { Pty, PtyMaster, type PtyPlace } from '../../tty/pty.js';
import type { Terminal } from '../../tty/terminal.js';
import { openTerminal } from '../../tty/terminal-description.js';
import { Dentry } from '../../vfs/dentry.js';
import type { DirectorySink, FileDescription } from '../../vfs/file-description.js';
import type { Inode } from '../../vfs/inode.js';
import { Path } from '../../vfs/path.js';
import { FIRST_ENTRY, PseudoDirectory } from '../proc/proc-directory.js';
import { PseudoFileSystem, SYSFS_ERRORS } from '../proc/pseudo-file-system.js';
import { BLOCK_BYTES, DevptsNode } from './devpts-node.js';

const DEVPTS_SUPER_MAGIC = 0x1cd1;
const ROOT_INO = 1;
const PTMX_INO = 2;
const FIRST_SLAVE_INO = 3;

/** Options of mount(8) for devpts. */
export interface DevptsOptions {
	/** Owner of new slaves; null: who opens the master. */
	readonly uid: number | null;
	readonly gid: number | null;
	/** Permission bits of slaves, and of ptmx. */
	readonly mode: number;
	readonly ptmxMode: number;
	/** Slaves at most. */
	readonly max: number;
}

/** /dev/pts of a container, an instance of its own as with `newinstance`: ptmx, and the slave of each pty whose master is open. */
export class DevptsFileSystem extends PseudoFileSystem implements PtyPlace {
	readonly root: DevptsDirectory;
	readonly ptmx: PtmxNode;
	/** By number, in the order of opening. */
	readonly slaves = new Map<number, SlaveNode>();

	constructor(
		readonly kernel: Kernel,
		readonly options: DevptsOptions,
	) {
		super('devpts', DEVPTS_SUPER_MAGIC, BLOCK_BYTES, SYSFS_ERRORS.create, SYSFS_ERRORS.link);
		this.root = new DevptsDirectory(this);
		this.ptmx = new PtmxNode(this);
	}

	slave(index: number): SlaveNode | null {
		return this.slaves.get(index) ?? null;
	}

	slavePath(master: Path, index: number): Path | null {
		const inode = this.slave(index);
		return inode === null ? null : new Path(master.mount, new Dentry(`${index}`, master.dentry.parent, inode));
	}

	remove(index: number): void {
		this.slaves.delete(index);
	}

	/** A new pty's master, ptmx(4): it has one reference. Errors: ENOSPC. */
	openMaster(path: Path, flags: number, task: Task): PtyMaster | number {
		const index = this.freeIndex();
		if (index < 0) return index;
		const pty = new Pty(this.kernel, index, this);
		this.add(pty.terminal, pty, task.credentials.fsuid, task.credentials.fsgid);
		return new PtyMaster(pty, path, this.ptmx, flags);
	}

	/** Gives a terminal of another kind a number and a name here: its node, or -ENOSPC. */
	addTerminal(make: (index: number) => Terminal, uid: number): SlaveNode | number {
		const index = this.freeIndex();
		return index < 0 ? index : this.add(make(index), null, uid, 0);
	}

	private add(terminal: Terminal, pty: Pty | null, uid: number, gid: number): SlaveNode {
		const node = new SlaveNode(this, terminal, pty, this.options.uid ?? uid, this.options.gid ?? gid);
		this.slaves.set(terminal.index, node);
		return node;
	}

	/** The lowest number that no terminal has, or -ENOSPC. */
	private freeIndex(): number {
		if (this.slaves.size >= this.options.max || this.kernel.terminals.count >= bounds.terminals) return -ENOSPC;
		let index = 0;
		while (this.slaves.has(index)) index++;
		return index;
	}
}

class DevptsDirectory extends PseudoDirectory {
	declare readonly fs: DevptsFileSystem;

	constructor(fs: DevptsFileSystem) {
		super(fs, ROOT_INO, 0o755, null);
	}

	override lookup(name: string): Inode | number {
		if (name === 'ptmx') return this.fs.ptmx;
		return (/^(0|[1-9]\d{0,6})$/.test(name) ? this.fs.slave(Number(name)) : null) ?? -ENOENT;
	}

	/** Offsets are inode numbers: ptmx, then the slaves by number. */
	override emit(_task: Task, description: FileDescription, sink: DirectorySink): number {
		if (description.offset === FIRST_ENTRY) {
			if (!sink.entry(PTMX_INO, FIRST_ENTRY + 1, DT_CHR, 'ptmx')) return 0;
			description.offset = FIRST_ENTRY + 1;
		}
		const first = description.offset - FIRST_SLAVE_INO;
		const indexes = [...this.fs.slaves.keys()].filter((index) => index >= first).sort((a, b) => a - b);
		for (const index of indexes) {
			const next = index + FIRST_SLAVE_INO + 1;
			if (!sink.entry(index + FIRST_SLAVE_INO, next, DT_CHR, `${index}`)) return 0;
			description.offset = next;
		}
		return 0;
	}
}

class PtmxNode extends DevptsNode {
	declare readonly fs: DevptsFileSystem;

	constructor(fs: DevptsFileSystem) {
		super(fs, PTMX_INO, fs.options.ptmxMode, 0, 0, DEV_PTMX);
	}

	override open(path: Path, flags: number, task: Task): FileDescription | number {
		return this.fs.openMaster(path, flags, task);
	}
}

/** A terminal's name, pts(4). */
export class SlaveNode extends DevptsNode {
	constructor(
		fs: DevptsFileSystem,
		readonly terminal: Terminal,
		/** Null for a terminal that isn't a pty of the container's. */
		private readonly pty: Pty | null,
		uid: number,
		gid: number,
	) {
		super(fs, terminal.index + FIRST_SLAVE_INO, fs.options.mode, uid, gid, terminal.deviceNumber);
	}

	override open(path: Path, flags: number, task: Task): FileDescription | number {
		if (this.terminal.isMasterClosed || this.pty?.isLocked) return -EIO;
		return openTerminal(this.terminal, path, this, flags, task);
	}
}
