import type { Container } from '../../container.js';
import type { ThreadGroup } from '../../task/thread-group.js';
import { ProcessDirectory } from './pid/process-directory.js';
import { ProcessTarget } from './pid/process-target.js';
import { ProcFile, type ProcText } from './proc-file.js';
import { PROC_ERRORS, PseudoFileSystem } from './pseudo-file-system.js';
import { RootDirectory } from './root-directory.js';

const PROC_SUPER_MAGIC = 0x9fa0;
/** Links in /proc lead to files of 1024-byte blocks, as Linux has it. */
const BLOCK_BYTES = 1024;
/** Threads of one process whose directories are kept. */
const MAX_THREAD_DIRECTORIES = 1024;

export interface ProcOptions {
	/** Files of /proc/net by name. */
	readonly netFiles?: ReadonlyMap<string, ProcText>;
}

/** A container's /proc, proc(5): its own processes, and what the guest kernel says of itself. Nothing of it is kept; each read makes it. */
export class ProcFileSystem extends PseudoFileSystem {
	override readonly root: RootDirectory;
	/** What /proc/net holds. */
	readonly netFiles = new Map<string, ProcFile>();
	private readonly directories = new WeakMap<ThreadGroup, ProcessDirectories>();

	constructor(
		readonly container: Container,
		options: ProcOptions = {},
	) {
		super('proc', PROC_SUPER_MAGIC, BLOCK_BYTES, PROC_ERRORS.create, PROC_ERRORS.link);
		this.root = new RootDirectory(this);
		for (const [name, text] of options.netFiles ?? []) this.netFiles.set(name, new ProcFile(this, this.allocateInos(1), 0o444, text));
	}

	/** The directory of a process (`tid` is its pid) or of one of its threads: the same one each time. */
	directoryOf(group: ThreadGroup, tid: number, isThread: boolean): ProcessDirectory {
		let known = this.directories.get(group);
		if (known === undefined) {
			known = { process: new Map(), threads: new Map() };
			this.directories.set(group, known);
		}
		const map = isThread ? known.threads : known.process;
		let directory = map.get(tid);
		if (directory === undefined) {
			if (map.size >= MAX_THREAD_DIRECTORIES) map.clear();
			directory = new ProcessDirectory(new ProcessTarget(this, group, tid, isThread));
			map.set(tid, directory);
		}
		return directory;
	}
}

interface ProcessDirectories {
	/** /proc/ID by the thread that was named: its leader, as a rule. */
	readonly process: Map<number, ProcessDirectory>;
	/** /proc/PID/task/TID. */
	readonly threads: Map<number, ProcessDirectory>;
}
