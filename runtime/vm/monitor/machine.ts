import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { isopod } from '../../../proto/generated/agent.js';
import { HostError } from '../../host-error.js';
import { native } from '../../native.js';
import { addressBytes, type MachineNetwork, macBytes } from '../network.js';
import { CLONE_SHARE, IGNORE_SHARED, type MachineOptions, QEMU_FDS, qemuCommand, qemuFiles } from '../qemu.js';
import { STATE_FILE, type TemplateSpec } from '../template.js';
import { SHARE, VIRTIOFSD_CAPABILITIES, VIRTIOFSD_LISTEN_FD, virtiofsdCommand, virtiofsdFiles } from '../virtiofsd.js';
import { AGENT_VERSION, AgentClient, type AgentMessage } from './agent-client.js';
import { Confined } from './confined.js';
import type { HostLoop } from './host-loop.js';
import { HostStream } from './host-stream.js';
import { newMemory, restoreMemory } from './machine-memory.js';
import { Qmp } from './qmp.js';

/** How long a machine may take until its agent answers: emulated ones on a busy host are slow. */
const BOOT_LIMIT_MS = 60_000;
const POWER_OFF_LIMIT_MS = 3000;
/** How long QEMU's end may come after that of its connections. */
const CLOSE_MS = 300;
const QEMU_NAME = 'QEMU';
/** Why QEMU ended, by what it said last. The machine has no power switch: a kernel that gave up, and an agent that ended, are a reset. */
const SHUTDOWN_TEXT: Readonly<Record<string, string>> = {
	'': ': it was killed, or failed',
	'guest-reset': ": the guest's kernel has given up, or its agent has ended",
	'guest-panic': ": the guest's kernel has given up",
};
const ENTROPY_BYTES = 64;
const MACHINE_ID_BYTES = 16;

export interface MachineSpec extends TemplateSpec {
	/** Folder of the template that it is a clone of, null: it boots. */
	readonly template: string | null;
	readonly hostname: string;
	readonly idSlot: number;
	/** For sockets that live for a moment. */
	readonly folder: string;
	readonly network: MachineNetwork;
	/** NAME=VALUE of the network namespace's settings. */
	readonly sysctls: readonly string[];
	readonly logFd: number;
	/** One for each interface. */
	readonly tapFds: readonly number[];
}

/** One pod's virtual machine: QEMU, the virtiofs daemon, and the agent inside. */
export class Machine {
	private constructor(
		readonly agent: AgentClient,
		readonly qmp: Qmp,
		private readonly qemu: Confined,
		/** Of a machine that is to be a template: null. */
		readonly virtiofsd: Confined | null,
		/** The daemon's mount namespace, where trees are attached. */
		private readonly mountNamespace: number,
		/** Resolves, with why, when the machine has ended: it is of no use when one of its parts has. */
		readonly ended: Promise<string>,
		readonly memoryMib: number,
	) {}

	/** Rejects when the machine doesn't come up; nothing of it is left then. */
	static async start(loop: HostLoop, spec: MachineSpec): Promise<Machine> {
		const parts = new Parts(loop, spec.idSlot, spec.logFd);
		try {
			const socket = join(spec.folder, 'share.sock');
			const listenFd = parts.own(native.listenUnix(socket), `Listen on ${socket}`);
			// The daemon waits in accept(2).
			native.setNonBlocking(listenFd, false);
			const virtiofsd = parts.start({
				name: 'the virtiofs daemon',
				command: virtiofsdCommand(),
				files: virtiofsdFiles(),
				tmpfs: [SHARE],
				fds: [[listenFd, VIRTIOFSD_LISTEN_FD]],
				capabilities: VIRTIOFSD_CAPABILITIES,
			});
			const shareFd = parts.own(native.connectUnix(socket), `Connect to ${socket}`);
			rmSync(socket);
			const { template } = spec;
			const memoryFd = template === null ? -1 : parts.own(newMemory(spec.memoryMib), 'Make memory');
			const stateEnds = template === null ? null : parts.pipe();
			const options = { hasShare: true, macs: spec.network.interfaces.map(({ mac }) => mac), console: null };
			const { qemu, agent, qmp } = parts.startQemu(spec, { ...options, start: template === null ? 'boot' : 'clone' }, [
				[shareFd, QEMU_FDS.share],
				...(stateEnds === null
					? []
					: ([
							[memoryFd, QEMU_FDS.memory],
							[stateEnds.read, QEMU_FDS.state],
						] as const)),
				...spec.tapFds.map((fd, i) => [fd, QEMU_FDS.taps + i] as const),
			]);
			const mountNamespace = native.openNamespace(virtiofsd.pid, 'mnt');
			if (mountNamespace < 0) throw HostError.errno("Open the virtiofs daemon's mount namespace", -mountNamespace);
			const machine = new Machine(agent, qmp, qemu, virtiofsd, mountNamespace, parts.ended(agent, qmp), spec.memoryMib);
			if (template !== null) {
				// QEMU starts meanwhile. It runs the guest when it has the state.
				restoreMemory(template, memoryFd);
				const state = new HostStream(loop, native.dup(stateEnds!.write), ignore, ignore);
				state.write(readFileSync(join(template, STATE_FILE)));
				state.end();
				await machine.answering(loop, restore(qmp));
			}
			await machine.configure(loop, spec);
			return machine;
		} catch (error) {
			parts.kill();
			throw error;
		} finally {
			parts.closeFds();
		}
	}

	/** A machine that is there to be saved, when its agent has answered: it has no share, no network and no name. Its memory's descriptor is the caller's. Rejects as `start` does. */
	static async startTemplate(
		loop: HostLoop,
		spec: TemplateSpec,
		idSlot: number,
		logFd: number,
	): Promise<{ machine: Machine; memoryFd: number }> {
		const parts = new Parts(loop, idSlot, logFd);
		const memoryFd = newMemory(spec.memoryMib);
		try {
			const options = { hasShare: false, macs: [], console: null, start: 'template' } as const;
			const { qemu, agent, qmp } = parts.startQemu(spec, options, [[memoryFd, QEMU_FDS.memory]]);
			const machine = new Machine(agent, qmp, qemu, null, -1, parts.ended(agent, qmp), spec.memoryMib);
			await machine.awaitHello(loop);
			return { machine, memoryFd };
		} catch (error) {
			parts.kill();
			native.close(memoryFd);
			throw error;
		} finally {
			parts.closeFds();
		}
	}

	/** Attaches a detached mount at `name` of the share. Throws HostError. */
	attach(treeFd: number, name: string): void {
		const error = native.attachTree(this.mountNamespace, treeFd, `${SHARE}/${name}`);
		if (error < 0) throw HostError.errno(`Attach ${name} to the share`, -error);
	}

	/** Makes such a mount read-only for whoever reaches it through the share. Throws HostError. */
	seal(name: string): void {
		const error = native.sealTree(this.mountNamespace, `${SHARE}/${name}`);
		if (error < 0) throw HostError.errno(`Make ${name} of the share read-only`, -error);
	}

	/** Takes such a mount off. */
	detach(name: string): void {
		native.detachTree(this.mountNamespace, `${SHARE}/${name}`);
	}

	/** Ends the machine in order, or at once when that takes too long. */
	async powerOff(loop: HostLoop): Promise<void> {
		this.agent.call({ powerOff: {} }).catch(() => {});
		await withLimit(loop, POWER_OFF_LIMIT_MS, this.ended, 'power off').catch(() => {});
		this.kill();
	}

	/** Of its parts, children of the monitor. */
	get pids(): number[] {
		return [this.qemu, this.virtiofsd].flatMap((part) => (part === null ? [] : [part.pid]));
	}

	kill(): void {
		this.qemu.kill();
		this.virtiofsd?.kill();
	}

	private async awaitHello(loop: HostLoop): Promise<void> {
		const hello = await this.answering(loop, this.agent.hello);
		checkVersion(hello);
	}

	/** Rejects when `promise` takes longer than a boot, or when the machine ends. */
	private answering<T>(loop: HostLoop, promise: Promise<T>): Promise<T> {
		const gone = this.ended.then((why) => {
			throw new Error(`The machine ended before its agent answered: ${why}`);
		});
		gone.catch(() => {});
		return withLimit(loop, BOOT_LIMIT_MS, Promise.race([promise, gone]), 'start the machine');
	}

	private async configure(loop: HostLoop, spec: MachineSpec): Promise<void> {
		// A clone's agent has said its hello to the one who saved it, and QEMU's protocol was opened to restore it.
		if (spec.template === null) {
			await this.awaitHello(loop);
			await this.qmp.execute('qmp_capabilities');
		}
		const configured = this.agent.call({
			configure: {
				hostname: spec.hostname,
				timeNs: Date.now() * 1e6,
				entropy: randomBytes(ENTROPY_BYTES),
				machineId: randomBytes(MACHINE_ID_BYTES).toString('hex'),
				...networkMessages(spec.network),
				sysctls: [...spec.sysctls],
			},
		});
		checkVersion(await this.answering(loop, configured));
		if (spec.template !== null) await this.qmp.execute('device_add', CLONE_SHARE);
		await this.agent.call({ shareFiles: { tag: 'share' } });
	}
}

function checkVersion({ hello }: AgentMessage): void {
	const { version } = hello ?? {};
	if (version !== AGENT_VERSION) throw new Error(`The agent speaks version ${version} of its protocol, the monitor ${AGENT_VERSION}`);
}

/** The processes of a machine that starts, and descriptors that it needs for that only. */
class Parts {
	private readonly started: Confined[] = [];
	private readonly fds: number[] = [];

	constructor(
		private readonly loop: HostLoop,
		private readonly idSlot: number,
		private readonly logFd: number,
	) {}

	/** Takes a descriptor over that some call has returned. Throws HostError with what the call was for when that has failed. */
	own(fd: number, what: string): number {
		if (fd < 0) throw HostError.errno(what, -fd);
		this.fds.push(fd);
		return fd;
	}

	pipe(): { readonly read: number; readonly write: number } {
		const ends = new Int32Array(2);
		const error = native.pipe(ends);
		if (error < 0) throw HostError.errno('Make a pipe', -error);
		this.fds.push(...ends);
		return { read: ends[0]!, write: ends[1]! };
	}

	start(options: Omit<Parameters<typeof Confined.start>[0], 'idSlot' | 'logFd' | 'cgroups'>): Confined {
		const part = Confined.start({ ...options, idSlot: this.idSlot, logFd: this.logFd, cgroups: [] });
		this.started.push(part);
		return part;
	}

	startQemu(
		spec: TemplateSpec,
		options: Pick<MachineOptions, 'hasShare' | 'macs' | 'console' | 'start'>,
		fds: readonly (readonly [source: number, target: number])[],
	): { readonly qemu: Confined; readonly agent: AgentClient; readonly qmp: Qmp } {
		const [qmpFd, qemuQmpFd] = this.pair();
		const [agentFd, qemuAgentFd] = this.pair();
		const qemu = this.start({
			name: QEMU_NAME,
			command: qemuCommand({ ...spec, ...options }),
			files: [...qemuFiles(spec.image), ...(spec.accelerator === 'kvm' ? ['/dev/kvm:/dev/kvm'] : [])],
			tmpfs: [],
			fds: [[qemuQmpFd, QEMU_FDS.qmp], [qemuAgentFd, QEMU_FDS.agent], ...fds],
			capabilities: 0,
		});
		return { qemu, agent: new AgentClient(this.loop, agentFd), qmp: new Qmp(this.loop, qmpFd) };
	}

	/** Resolves, with why, when one of them has ended. */
	ended(agent: AgentClient, qmp: Qmp): Promise<string> {
		return new Promise((resolve) => {
			// With QEMU the others end: its end is the better reason, when it comes.
			const resolveLater = (why: string): void => void this.loop.after(CLOSE_MS, () => resolve(why));
			for (const { pid, name } of this.started)
				this.loop.watchEnd(pid, () => {
					native.reap(pid);
					if (name !== QEMU_NAME) resolveLater(`${name} has ended`);
					// What it said last may still be there to be read.
					else qmp.closed.then((shutdown) => resolve(`${name} has ended${SHUTDOWN_TEXT[shutdown] ?? ''}`));
				});
			agent.closed.then(resolveLater);
		});
	}

	kill(): void {
		for (const part of this.started) part.kill();
	}

	closeFds(): void {
		for (const fd of this.fds.splice(0)) native.close(fd);
	}

	/** Ours, and one for a process that is started. */
	private pair(): [number, number] {
		const ends = new Int32Array(2);
		const error = native.socketPair(ends);
		if (error < 0) throw HostError.errno('Make a socket pair', -error);
		this.fds.push(ends[1]!);
		return [ends[0]!, ends[1]!];
	}
}

async function restore(qmp: Qmp): Promise<void> {
	await qmp.execute('qmp_capabilities');
	await qmp.execute('migrate-set-capabilities', IGNORE_SHARED);
	await qmp.execute('migrate-incoming', { uri: `fd:${QEMU_FDS.state}` });
}

function ignore(): void {}

function networkMessages({
	interfaces,
	routes,
	neighbors,
}: MachineNetwork): Pick<isopod.agent.IConfigure, 'interfaces' | 'routes' | 'neighbors'> {
	return {
		interfaces: interfaces.map(({ name, mac, mtu, addresses }) => ({
			...{ name, mtu, mac: macBytes(mac) },
			addresses: addresses.map(({ address, prefixLength }) => ({ address: addressBytes(address), prefixLength })),
		})),
		routes: routes.map(({ destination, gateway, source, interface: name, scope, metric, isIPv6 }) => ({
			destination: destination === null ? EMPTY : addressBytes(destination.address),
			prefixLength: destination?.prefixLength ?? 0,
			gateway: gateway === null ? EMPTY : addressBytes(gateway),
			source: source === null ? EMPTY : addressBytes(source),
			...{ interface: name, scope, metric },
			addressBytes: isIPv6 ? 16 : 4,
		})),
		neighbors: neighbors.map(({ address, mac, interface: name }) => ({
			address: addressBytes(address),
			mac: macBytes(mac),
			interface: name,
		})),
	};
}

const EMPTY = Buffer.alloc(0);

/** Rejects when `promise` takes longer. */
function withLimit<T>(loop: HostLoop, limitMs: number, promise: Promise<T>, what: string): Promise<T> {
	return new Promise((resolve, reject) => {
		const timer = loop.after(limitMs, () => reject(new Error(`Could not ${what} within ${limitMs / 1000} s`)));
		promise.then(resolve, reject).finally(() => loop.cancel(timer));
	});
}
