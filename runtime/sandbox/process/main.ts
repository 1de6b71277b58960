import { writeSync } from 'node:fs';
import { RLIMIT_NOFILE } from '../../kernel/abi/resource.js';
import { MemoryFolders, useMemoryFolders } from '../../kernel/fs/tmpfs/memory-folders.js';
import { Kernel } from '../../kernel/kernel.js';
import { compileGuestFilter } from '../../kernel/syscalls/filter.js';
import { SYSCALLS } from '../../kernel/syscalls/table.js';
import { native } from '../../native.js';
import { confineProcess } from './confinement.js';
import { Containers, openNativeRoot } from './containers.js';
import { ControlServer } from './control-server.js';

/** The listening control socket that the launcher left at this number. */
const CONTROL_FD = 3;
const STDERR_FD = 2;

/**
 * The sandbox process: one pod's guest kernel. The launcher has confined it already; this installs the last of it, the system-call allow-list,
 * before the first guest instruction, and then serves guests and front ends until the last container has ended.
 */
function main(): void {
	const levels = { info: 30, warn: 40, error: 50 };
	const limits = new Float64Array(2);
	native.prlimit(0, RLIMIT_NOFILE, null, limits);
	const nativeRootFd = openNativeRoot();
	useMemoryFolders(MemoryFolders.open('/memory', '/memory-noexec'));
	const filter = compileGuestFilter(SYSCALLS);
	const kernel = new Kernel({
		nativeRootFd,
		filter,
		table: SYSCALLS.map((call) => ({
			number: call.number,
			name: call.name,
			handler: call.handler ?? null,
			...(call.errno === undefined ? {} : { missing: call.errno }),
			...(call.restart === undefined ? {} : { restart: call.restart }),
		})),
		maxDescriptors: limits[1]!,
		// pino's format, written at once: the loop has no event loop beneath it.
		log: (level, msg, fields) => {
			writeSync(
				STDERR_FD,
				`${JSON.stringify({ level: levels[level], time: Date.now(), pid: process.pid, name: 'sandbox', ...fields, msg })}\n`,
			);
		},
	});
	let status = 0;
	const containers = new Containers(kernel, nativeRootFd, filter, (waitStatus) => {
		status = waitStatus;
		kernel.dispatcher.stop();
	});
	confineProcess();
	const lifeLine = process.env['ISOPOD_LIFE_LINE'];
	const server = new ControlServer(kernel, containers, CONTROL_FD, lifeLine === undefined ? null : Number(lifeLine));
	kernel.dispatcher.run();
	server.finish();
	process.exit(exitCode(status));
}

/** The shell's convention: 128 + signal for a process that a signal ended. */
function exitCode(status: number): number {
	return (status & 0x7f) !== 0 ? 128 + (status & 0x7f) : (status >> 8) & 0xff;
}

main();
