import { type ChildProcess, spawn } from 'node:child_process';
import { openSync, writeFileSync, writeSync } from 'node:fs';
import type { Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { HostError } from '../host-error.js';
import { native } from '../native.js';
import { type Config, ConfigError } from '../oci/config.js';
import { inNetworkNamespace } from '../oci/network-namespace.js';
import { MAX_SLOTS, processStart } from '../oci/state.js';
import { type Launched, packageRoot } from '../sandbox/launch.js';
import { findAccelerator } from './accelerator.js';
import { guestImage } from './image.js';
import { DEFAULT_SIZE, machineSize } from './machine-size.js';
import type { MachineSpec } from './monitor/machine.js';
import { joinNetwork, type Taps } from './network.js';
import { findTemplate, type TemplateSpec, templateMemoryMib } from './template.js';

/** What a monitor reads from a file. */
export type MonitorOptions = Omit<MachineSpec, 'logFd' | 'tapFds'>;

/** Host ids for a machine that is no pod's: the last ones that a pod would get. */
const TEMPLATE_SLOT = MAX_SLOTS - 1;
const STDERR_FD = 2;
const MAX_REPORT = 1 << 16;

/** A machine's monitor, with the process whose user namespace its trees are mapped to. */
export interface LaunchedMachine extends Launched {
	readonly treesPid: number;
	/** To be called once it has a container, or is of no use: a machine without one ends when its maker does. */
	release(): void;
}

/**
 * Starts a pod's virtual machine: its monitor, a child of the caller that outlives it, listens on `socketPath` when the machine is up. What the monitor, QEMU and the
 * virtiofs daemon say goes to `logPath`. Throws HostError with what failed; nothing is left then.
 */
export async function launchMachine(socketPath: string, logPath: string, idSlot: number, config: Config): Promise<LaunchedMachine> {
	const size = machineSize(config);
	const image = guestImage();
	const folder = dirname(socketPath);
	const { networkNamespace, sysctl } = config.linux;
	const { network, fds: tapFds } = networkNamespace === null ? NO_NETWORK : joinNetwork(networkNamespace);
	let listenFd = -1;
	let logFd = -1;
	try {
		logFd = openSync(logPath, 'a', 0o600);
		const options: MonitorOptions = {
			...(await templateOf(config, { image, accelerator: findAccelerator(image), ...size }, idSlot, logFd)),
			hostname: config.hostname,
			idSlot,
			folder,
			network,
			sysctls: Object.entries(sysctl).map(([name, value]) => `${name}=${value}`),
		};
		const optionsFile = join(folder, 'machine.json');
		writeFileSync(optionsFile, JSON.stringify(options), { mode: 0o600 });
		listenFd = native.listenUnix(socketPath);
		if (listenFd < 0) throw HostError.errno(`Listen on ${socketPath}`, -listenFd);
		const script = join(packageRoot(), 'dist/vm-monitor-start.cjs');
		const start = (): ChildProcess =>
			spawn(process.execPath, ['--max-semi-space-size=1', script, optionsFile], {
				stdio: ['ignore', logFd, logFd, listenFd, 'pipe', ...tapFds],
				detached: true,
				cwd: '/',
			});
		// Its namespaces stand for the pod's, and it needs none of the host's network.
		const child = networkNamespace === null ? start() : inNetworkNamespace(networkNamespace, start);
		child.unref();
		const reports = child.stdio[4] as Socket;
		const line = await readLine(reports);
		const report = JSON.parse(line === '' ? '{"error":"its monitor has ended"}' : line) as { treesPid?: number; error?: string };
		if (child.pid === undefined || report.treesPid === undefined) {
			reports.destroy();
			throw new HostError(`Start the virtual machine: ${report.error ?? 'its monitor did not run'}`, 'UNKNOWN');
		}
		reports.unref();
		return { pid: child.pid, pidStart: processStart(child.pid), treesPid: report.treesPid, release: () => reports.destroy() };
	} finally {
		for (const fd of [logFd, listenFd]) if (fd >= 0) native.close(fd);
		for (const fd of tapFds) native.close(fd);
	}
}

/** "false" makes a pod's machine boot, so that it shares no memory's content with another's. */
const TEMPLATE_ANNOTATION = 'dev.isopod.vm.template';
/** The same for all pods, in the environment of whoever starts them. */
const TEMPLATE_VARIABLE = 'ISOPOD_VM_TEMPLATE';

/** A machine's size, and the template that it is a clone of: none where that is not wanted, or can't be made, which is told in the log. */
async function templateOf(
	config: Config,
	spec: TemplateSpec,
	idSlot: number,
	logFd: number,
): Promise<TemplateSpec & { template: string | null }> {
	const wish = config.annotations[TEMPLATE_ANNOTATION] ?? process.env[TEMPLATE_VARIABLE] ?? 'true';
	if (wish !== 'true' && wish !== 'false')
		throw new ConfigError(`annotations.${TEMPLATE_ANNOTATION}`, `want "true" or "false", not ${JSON.stringify(wish)}`);
	if (wish === 'false') return { ...spec, template: null };
	const rounded = { ...spec, memoryMib: templateMemoryMib(spec.memoryMib) };
	try {
		return { ...rounded, template: await findTemplate(rounded, idSlot, logFd) };
	} catch (error) {
		writeSync(logFd, `${error instanceof Error ? error.message : error}: the machine boots instead\n`);
		return { ...spec, template: null };
	}
}

/** Makes the template of machines of the usual size, unless it is there: its folder. Throws HostError. */
export function prepareTemplate(): Promise<string> {
	const image = guestImage();
	const spec = {
		image,
		accelerator: findAccelerator(image),
		memoryMib: templateMemoryMib(DEFAULT_SIZE.memoryMib),
		cpus: DEFAULT_SIZE.cpus,
	};
	return findTemplate(spec, TEMPLATE_SLOT, STDERR_FD);
}

const NO_NETWORK: Taps = { network: { interfaces: [], routes: [], neighbors: [] }, fds: [] };

/** The first line of a stream, or all of it. It stays open. */
async function readLine(stream: Socket): Promise<string> {
	let text = '';
	for await (const bytes of stream.iterator({ destroyOnReturn: false })) {
		text += String(bytes);
		if (text.includes('\n') || text.length > MAX_REPORT) break;
	}
	return text.split('\n', 1)[0]!;
}
