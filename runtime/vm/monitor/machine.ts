import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { isopod } from '../../../proto/generated/agent.js';
import { HostError } from '../../host-error.js';
import { native } from '../../native.js';
import type { GuestImage } from '../image.js';
import { addressBytes, type MachineNetwork, macBytes } from '../network.js';
import { type Accelerator, QEMU_FDS, qemuCommand, qemuFiles } from '../qemu.js';
import { SHARE, VIRTIOFSD_CAPABILITIES, VIRTIOFSD_LISTEN_FD, virtiofsdCommand, virtiofsdFiles } from '../virtiofsd.js';
import { AGENT_VERSION, AgentClient } from './agent-client.js';
import { Confined } from './confined.js';
import type { HostLoop } from './host-loop.js';
import { Qmp } from './qmp.js';

/** How long a machine may take until its agent answers: emulated ones on a busy host are slow. */
const BOOT_LIMIT_MS = 60_000;
const POWER_OFF_LIMIT_MS = 3000;
const ENTROPY_BYTES = 64;
const MACHINE_ID_BYTES = 16;

export interface MachineSpec {
	readonly image: GuestImage;
	readonly accelerator: Accelerator;
	readonly memoryMib: number;
	readonly cpus: number;
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
		readonly virtiofsd: Confined,
		/** The daemon's mount namespace, where trees are attached. */
		private readonly mountNamespace: number,
		/** Resolves, with why, when the machine has ended: it is of no use when one of its parts has. */
		readonly ended: Promise<string>,
	) {}

	/** Rejects when the machine doesn't come up; nothing of it is left then. */
	static async start(loop: HostLoop, spec: MachineSpec): Promise<Machine> {
		const opened: number[] = [];
		const pair = (): [number, number] => {
			const fds = new Int32Array(2);
			const error = native.socketPair(fds);
			if (error < 0) throw HostError.errno('Make a socket pair', -error);
			opened.push(fds[1]!);
			return [fds[0]!, fds[1]!];
		};
		const parts: Confined[] = [];
		const start = (options: Omit<Parameters<typeof Confined.start>[0], 'idSlot' | 'logFd' | 'cgroups'>): Confined => {
			const part = Confined.start({ ...options, idSlot: spec.idSlot, logFd: spec.logFd, cgroups: [] });
			parts.push(part);
			return part;
		};
		try {
			const socket = join(spec.folder, 'share.sock');
			const listenFd = native.listenUnix(socket);
			if (listenFd < 0) throw HostError.errno(`Listen on ${socket}`, -listenFd);
			opened.push(listenFd);
			// The daemon waits in accept(2).
			native.setNonBlocking(listenFd, false);
			const virtiofsd = start({
				name: 'the virtiofs daemon',
				command: virtiofsdCommand(),
				files: virtiofsdFiles(),
				tmpfs: [SHARE],
				fds: [[listenFd, VIRTIOFSD_LISTEN_FD]],
				capabilities: VIRTIOFSD_CAPABILITIES,
			});
			const shareFd = native.connectUnix(socket);
			if (shareFd < 0) throw HostError.errno(`Connect to ${socket}`, -shareFd);
			opened.push(shareFd);
			rmSync(socket);
			const [qmpFd, qemuQmpFd] = pair();
			const [agentFd, qemuAgentFd] = pair();
			const command = qemuCommand({ ...spec, hasShare: true, macs: spec.network.interfaces.map(({ mac }) => mac), console: null });
			const qemu = start({
				name: 'QEMU',
				command,
				files: [...qemuFiles(spec.image), ...(spec.accelerator === 'kvm' ? ['/dev/kvm:/dev/kvm'] : [])],
				tmpfs: [],
				fds: [
					[qemuQmpFd, QEMU_FDS.qmp],
					[qemuAgentFd, QEMU_FDS.agent],
					[shareFd, QEMU_FDS.share],
					...spec.tapFds.map((fd, i) => [fd, QEMU_FDS.taps + i] as const),
				],
				capabilities: 0,
			});
			const mountNamespace = native.openNamespace(virtiofsd.pid, 'mnt');
			if (mountNamespace < 0) throw HostError.errno("Open the virtiofs daemon's mount namespace", -mountNamespace);
			const agent = new AgentClient(loop, agentFd);
			const qmp = new Qmp(loop, qmpFd);
			const ended = new Promise<string>((resolve) => {
				for (const part of parts)
					loop.watchEnd(part.pid, () => {
						native.reap(part.pid);
						resolve(`${part.name} has ended`);
					});
				agent.closed.then(resolve);
			});
			const machine = new Machine(agent, qmp, qemu, virtiofsd, mountNamespace, ended);
			await machine.configure(loop, spec);
			return machine;
		} catch (error) {
			for (const part of parts) part.kill();
			throw error;
		} finally {
			for (const fd of opened) native.close(fd);
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

	kill(): void {
		this.qemu.kill();
		this.virtiofsd.kill();
	}

	private async configure(loop: HostLoop, spec: MachineSpec): Promise<void> {
		const gone = this.ended.then((why) => {
			throw new Error(`The machine ended before its agent answered: ${why}`);
		});
		gone.catch(() => {});
		const hello = await withLimit(loop, BOOT_LIMIT_MS, Promise.race([this.agent.hello, gone]), 'boot the machine');
		const { version } = hello.hello ?? {};
		if (version !== AGENT_VERSION) throw new Error(`The agent speaks version ${version} of its protocol, the monitor ${AGENT_VERSION}`);
		await this.agent.call({
			configure: {
				hostname: spec.hostname,
				timeNs: Date.now() * 1e6,
				entropy: randomBytes(ENTROPY_BYTES),
				machineId: randomBytes(MACHINE_ID_BYTES).toString('hex'),
				...networkMessages(spec.network),
				sysctls: [...spec.sysctls],
			},
		});
		await this.agent.call({ shareFiles: { tag: 'share' } });
	}
}

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
