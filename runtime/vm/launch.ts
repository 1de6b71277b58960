import { spawn } from 'node:child_process';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { HostError } from '../host-error.js';
import { native } from '../native.js';
import { type Config, ConfigError } from '../oci/config.js';
import { processStart } from '../oci/state.js';
import { type Launched, packageRoot } from '../sandbox/launch.js';
import { findAccelerator } from './accelerator.js';
import { guestImage } from './image.js';
import type { MachineSpec } from './monitor/machine.js';

/** What a monitor reads from a file. */
export type MonitorOptions = Omit<MachineSpec, 'logFd'>;

const MIB = 1 << 20;
/** What the guest's kernel and agent need beside the containers. */
const OVERHEAD_MIB = 96;
const DEFAULT_MEMORY_MIB = 512;
const MAX_REPORT = 1 << 16;

/** A machine's monitor, with the process whose user namespace its trees are mapped to. */
export interface LaunchedMachine extends Launched {
	readonly treesPid: number;
}

/**
 * Starts a pod's virtual machine: its monitor, a child of the caller that outlives it, listens on `socketPath` when the machine is up. What the monitor, QEMU and the
 * virtiofs daemon say goes to `logPath`. Throws HostError with what failed; nothing is left then.
 */
export async function launchMachine(socketPath: string, logPath: string, idSlot: number, config: Config): Promise<LaunchedMachine> {
	refuseUnsupported(config);
	const { memoryLimitBytes } = config.linux.resources;
	const isLimited = memoryLimitBytes !== null && Number.isFinite(memoryLimitBytes) && memoryLimitBytes > 0;
	const image = guestImage();
	const options: MonitorOptions = {
		image,
		accelerator: findAccelerator(image),
		memoryMib: isLimited ? Math.ceil(memoryLimitBytes / MIB) + OVERHEAD_MIB : DEFAULT_MEMORY_MIB,
		cpus: 1,
		hostname: config.hostname,
		idSlot,
		folder: dirname(socketPath),
	};
	const optionsFile = join(options.folder, 'machine.json');
	writeFileSync(optionsFile, JSON.stringify(options), { mode: 0o600 });
	const listenFd = native.listenUnix(socketPath);
	if (listenFd < 0) throw HostError.errno(`Listen on ${socketPath}`, -listenFd);
	const logFd = openSync(logPath, 'a', 0o600);
	try {
		const script = join(packageRoot(), 'dist/vm-monitor-start.cjs');
		const child = spawn(process.execPath, ['--max-semi-space-size=1', script, optionsFile], {
			stdio: ['ignore', logFd, logFd, listenFd, 'pipe'],
			detached: true,
			cwd: '/',
		});
		child.unref();
		const line = await readLine(child.stdio[4] as Readable);
		const report = JSON.parse(line === '' ? '{"error":"its monitor has ended"}' : line) as { treesPid?: number; error?: string };
		if (child.pid === undefined || report.treesPid === undefined)
			throw new HostError(`Start the virtual machine: ${report.error ?? 'its monitor did not run'}`, 'UNKNOWN');
		return { pid: child.pid, pidStart: processStart(child.pid), treesPid: report.treesPid };
	} finally {
		closeSync(logFd);
		native.close(listenFd);
	}
}

/** What would be left out in silence, or land in the host's own network: machines have no network yet, and no system-call profile. */
function refuseUnsupported({ linux: { networkNamespace, sysctl, seccomp } }: Config): void {
	if (networkNamespace !== null) throw new ConfigError('linux.namespaces', 'a virtual machine joins no network namespace in this version');
	if (Object.keys(sysctl).length > 0) throw new ConfigError('linux.sysctl', 'is not honoured in a virtual machine by this version');
	if (seccomp !== null) throw new ConfigError('linux.seccomp', 'is not honoured in a virtual machine by this version');
}

/** The first line of a stream, or all of it. */
async function readLine(stream: Readable): Promise<string> {
	let text = '';
	for await (const bytes of stream) {
		text += String(bytes);
		if (text.includes('\n') || text.length > MAX_REPORT) break;
	}
	stream.destroy();
	return text.split('\n', 1)[0]!;
}
