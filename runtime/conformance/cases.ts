// The table of cases. A case is a shell script, run in an empty folder on a tmpfs with HOME=/tmp; whatever it prints must not depend on
// the time, on process ids or on the machine.

import { busyboxCases } from './cases-busybox.js';
import { coreutilsCases } from './cases-coreutils.js';
import { fileCases } from './cases-files.js';
import { mountCases } from './cases-mounts.js';
import { programCases } from './cases-programs.js';
import { pythonCases } from './cases-python.js';
import { shellCases } from './cases-shell.js';
import { socketCases } from './cases-sockets.js';
import { toolCases } from './cases-tools.js';

/** One thing to compare. */
export interface ConformanceCase {
	/** Unique in its group. */
	readonly name: string;
	readonly script: string;
	/** What runs the script: dash by default. */
	readonly shell?: 'sh' | 'bash';
	readonly stdin?: string;
	/** The exit status that Linux gives; 0 by default. */
	readonly status?: number;
}

/** Cases that share a container. */
export interface ConformanceGroup {
	readonly name: string;
	readonly cases: readonly ConformanceCase[];
	/** What the first process may beside what docker's may. */
	readonly capabilities?: readonly string[];
}

export const groups: readonly ConformanceGroup[] = [
	{ name: 'busybox', cases: busyboxCases },
	{ name: 'shell', cases: shellCases },
	{ name: 'coreutils', cases: coreutilsCases },
	{ name: 'tools', cases: toolCases },
	{ name: 'python', cases: pythonCases },
	{ name: 'programs', cases: programCases },
	{ name: 'files', cases: fileCases },
	{ name: 'sockets', cases: socketCases },
	{ name: 'mounts', cases: mountCases, capabilities: ['CAP_SYS_ADMIN'] },
];
