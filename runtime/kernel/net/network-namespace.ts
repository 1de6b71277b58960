import { native } from '../../native.js';
import { ENFILE } from '../abi/errno.js';
import { AF_INET, SOCK_DGRAM } from '../abi/socket-constants.js';
import { bounds } from '../bounds.js';
import type { UnixSocket } from '../ipc/unix-socket.js';
import type { Task } from '../task/task.js';
import { interfaceIoctl } from './interface-ioctl.js';

/**
 * What a pod's containers share of the network: the names of unix sockets, and how many sockets there are. The host's network namespace of the
 * sandbox process is the rest of it.
 */
export class NetworkNamespace {
	/** Settings of the namespace that the pod was made with (net.ipv4.…) and their values: the host has them, and so /proc/sys shows them. */
	readonly sysctls = new Map<string, string>();
	/** Every unix socket, for /proc/net/unix. */
	readonly unixSockets = new Set<UnixSocket>();
	/** Abstract names, unix(7), each with its socket type before it: names of different types don't meet. */
	private readonly abstractNames = new Map<string, UnixSocket>();
	private hostSockets = 0;
	/** A host socket that is asked about interfaces; -1 before the first question. Owned, kept. */
	private queryFd = -1;
	private lastAutobind = 0;

	/** @param maxDescriptors The sandbox process's own limit, of which sockets get a quarter at most. */
	constructor(private readonly maxDescriptors: number) {}

	/** May one more unix socket be made? Those on their way to accept(2) count. Errors: ENFILE. */
	checkUnix(): number {
		return this.unixSockets.size < bounds.unixSockets ? 0 : -ENFILE;
	}

	/** Counts a socket of the host's that is about to be made. Errors: ENFILE. */
	acquireHost(): number {
		if (this.hostSockets >= Math.min(bounds.hostSockets, this.maxDescriptors >> 2)) return -ENFILE;
		this.hostSockets++;
		return 0;
	}

	releaseHost(): void {
		this.hostSockets--;
	}

	/** The requests of netdevice(7) for sockets that the host doesn't have. Errors: `interfaceIoctl`'s. */
	ioctl(task: Task, request: number, argument: number): number {
		if (this.queryFd < 0) this.queryFd = native.socketOpen(AF_INET, SOCK_DGRAM, 0);
		return this.queryFd < 0 ? this.queryFd : interfaceIoctl(task, this.queryFd, request, argument);
	}

	/** The socket with an abstract name (a byte string without the leading NUL), or null. */
	findAbstract(type: number, name: string): UnixSocket | null {
		return this.abstractNames.get(`${type}:${name}`) ?? null;
	}

	/** Gives `socket` an abstract name; false if it is taken. */
	bindAbstract(type: number, name: string, socket: UnixSocket): boolean {
		const key = `${type}:${name}`;
		if (this.abstractNames.has(key)) return false;
		this.abstractNames.set(key, socket);
		return true;
	}

	/** Gives `socket` a free name of five hexadecimal digits, unix(7), "Autobind"; "" if there is none. */
	autobind(type: number, socket: UnixSocket): string {
		for (let tried = 0; tried <= 0xfffff; tried++) {
			this.lastAutobind = (this.lastAutobind + 1) & 0xfffff;
			const name = this.lastAutobind.toString(16).padStart(5, '0');
			if (this.bindAbstract(type, name, socket)) return name;
		}
		return '';
	}

	unbindAbstract(type: number, name: string): void {
		this.abstractNames.delete(`${type}:${name}`);
	}
}
