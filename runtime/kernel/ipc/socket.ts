import { EDOM, EINVAL, ENOPROTOOPT, EOPNOTSUPP } from '../abi/errno.js';
import { O_RDWR } from '../abi/fcntl.js';
import {
	MSG_DONTWAIT,
	SO_ACCEPTCONN,
	SO_BROADCAST,
	SO_DEBUG,
	SO_DOMAIN,
	SO_DONTROUTE,
	SO_ERROR,
	SO_KEEPALIVE,
	SO_LINGER,
	SO_OOBINLINE,
	SO_PASSCRED,
	SO_PRIORITY,
	SO_PROTOCOL,
	SO_RCVBUF,
	SO_RCVLOWAT,
	SO_RCVTIMEO,
	SO_REUSEADDR,
	SO_REUSEPORT,
	SO_SNDBUF,
	SO_SNDLOWAT,
	SO_SNDTIMEO,
	SO_TYPE,
	SOL_SOCKET,
} from '../abi/socket-constants.js';
import { S_IFSOCK } from '../abi/stat-constants.js';
import { FOREVER, setTimeoutOf } from '../event/timeout-argument.js';
import type { Task } from '../task/task.js';
import type { IoVector } from '../trap/guest-memory.js';
import { AnonymousFileSystem, AnonymousInode } from '../vfs/anonymous-inode.js';
import { FileDescription } from '../vfs/file-description.js';
import { type SocketMessage, socketMessage } from './socket-message.js';

const SOCKFS_MAGIC = 0x534f434b;
/** net.core.wmem_max and rmem_max, socket(7); what is asked for is doubled. */
const BUFFER_MAX = 212992;
const BUFFER_DEFAULT = 212992;
const SEND_BUFFER_MIN = 4608;
const RECEIVE_BUFFER_MIN = 2304;
const NS_PER_SECOND = 1e9;
const NS_PER_MICROSECOND = 1000;

const socketFs = new AnonymousFileSystem('sockfs', SOCKFS_MAGIC);

/** Options that are numbers without an effect here: what is set can be read back. */
const PLAIN_OPTIONS: ReadonlySet<number> = new Set([
	SO_DEBUG,
	SO_REUSEADDR,
	SO_DONTROUTE,
	SO_BROADCAST,
	SO_KEEPALIVE,
	SO_OOBINLINE,
	SO_PRIORITY,
	SO_REUSEPORT,
]);

/** A socket, socket(7): what every family has. Addresses are byte arrays in the guest's layout, family first. */
export abstract class Socket extends FileDescription {
	/** SO_SNDBUF, SO_RCVBUF, in bytes. */
	sendBufferBytes = BUFFER_DEFAULT;
	receiveBufferBytes = BUFFER_DEFAULT;
	/** SO_RCVTIMEO, SO_SNDTIMEO in ns. */
	receiveTimeoutNs = FOREVER;
	sendTimeoutNs = FOREVER;
	/** SO_RCVLOWAT in bytes. */
	receiveLowWater = 1;
	/** SO_ERROR: an errno that the next call is told, once; 0 for none. */
	error = 0;
	private readonly plain = new Map<number, number>();

	constructor(
		task: Task,
		readonly domain: number,
		/** SOCK_*, without flags. */
		readonly socketType: number,
		readonly protocol: number,
		statusFlags: number,
	) {
		const { fsuid, fsgid } = task.credentials;
		super(null, new AnonymousInode(socketFs, S_IFSOCK | 0o777, fsuid, fsgid), O_RDWR | statusFlags);
	}

	/** Bytes sent, -errno, or BLOCKED. `message.rights` that were sent are null afterwards. */
	abstract send(task: Task, vector: IoVector, message: SocketMessage): number;
	/** Bytes received, -errno, or BLOCKED. */
	abstract receive(task: Task, vector: IoVector, message: SocketMessage): number;
	/** shutdown(2); `how` is valid. */
	abstract shutdown(how: number): number;
	abstract bind(task: Task, address: Uint8Array): number;
	abstract connect(task: Task, address: Uint8Array): number;
	abstract listen(task: Task, backlog: number): number;
	/** A connection, -errno, or BLOCKED. */
	abstract accept(task: Task, statusFlags: number): Socket | number;
	/** Own address, the peer's; ENOTCONN. */
	abstract name(): Uint8Array | number;
	abstract peerName(): Uint8Array | number;
	get isListening(): boolean {
		return false;
	}

	override read(task: Task, vector: IoVector): number {
		if (vector.length === 0) return 0;
		const bytes = this.receive(task, vector, socketMessage.begin(0));
		// Descriptors that come with bytes read this way are lost, as on Linux.
		socketMessage.end();
		return bytes;
	}

	override write(task: Task, vector: IoVector): number {
		return this.send(task, vector, socketMessage.begin(0));
	}

	/** May this call wait? Gives it its deadline if so. */
	protected mayWait(task: Task, flags: number, timeoutNs: number): boolean {
		if (this.isNonBlocking || (flags & MSG_DONTWAIT) !== 0 || task.trap.hasTimedOut) return false;
		setTimeoutOf(task, timeoutNs);
		return true;
	}

	/** The pending error as a result, which is told once; 0 for none. */
	takeError(): number {
		const { error } = this;
		this.error = 0;
		return -error;
	}

	/** Told that SO_SNDBUF or SO_RCVBUF has changed. */
	protected buffersChanged(): void {}

	/** SO_PASSCRED: does the receiver want to know who sends? Families without credentials don't have it. */
	passesCredentials = false;

	/** getsockopt(2): stores the value into `out`, zeroed by the caller, and returns its length. Errors: EOPNOTSUPP (level), ENOPROTOOPT. */
	getOption(_task: Task, level: number, option: number, out: DataView): number {
		if (level !== SOL_SOCKET) return -EOPNOTSUPP;
		switch (option) {
			case SO_LINGER:
				out.setInt32(0, this.plain.get(SO_LINGER) === undefined ? 0 : 1, true);
				out.setInt32(4, this.plain.get(SO_LINGER) ?? 0, true);
				return 8;
			case SO_RCVTIMEO:
			case SO_SNDTIMEO:
				return putTimeval(option === SO_RCVTIMEO ? this.receiveTimeoutNs : this.sendTimeoutNs, out);
			default: {
				const value = this.intOption(option);
				if (value === null) return -ENOPROTOOPT;
				out.setInt32(0, value, true);
				return 4;
			}
		}
	}

	private intOption(option: number): number | null {
		switch (option) {
			case SO_TYPE:
				return this.socketType;
			case SO_DOMAIN:
				return this.domain;
			case SO_PROTOCOL:
				return this.protocol;
			case SO_ERROR:
				return -this.takeError();
			case SO_SNDBUF:
				return this.sendBufferBytes;
			case SO_RCVBUF:
				return this.receiveBufferBytes;
			case SO_RCVLOWAT:
				return this.receiveLowWater;
			case SO_SNDLOWAT:
				return 1;
			case SO_ACCEPTCONN:
				return this.isListening ? 1 : 0;
			case SO_PASSCRED:
				return this.passesCredentials ? 1 : 0;
			default:
				return PLAIN_OPTIONS.has(option) ? (this.plain.get(option) ?? 0) : null;
		}
	}

	/** setsockopt(2) of `length` bytes in `value`. Errors: EOPNOTSUPP (level), EINVAL (too short), EDOM, ENOPROTOOPT. */
	setOption(_task: Task, level: number, option: number, value: DataView, length: number): number {
		if (level !== SOL_SOCKET) return -EOPNOTSUPP;
		if (length < 4) return -EINVAL;
		const int = value.getInt32(0, true);
		switch (option) {
			case SO_SNDBUF:
				this.sendBufferBytes = Math.max(SEND_BUFFER_MIN, Math.min(int >>> 0, BUFFER_MAX) * 2);
				this.buffersChanged();
				return 0;
			case SO_RCVBUF:
				this.receiveBufferBytes = Math.max(RECEIVE_BUFFER_MIN, Math.min(int >>> 0, BUFFER_MAX) * 2);
				this.buffersChanged();
				return 0;
			case SO_RCVLOWAT:
				this.receiveLowWater = int < 0 ? 0x7fffffff : Math.max(1, int);
				return 0;
			case SO_LINGER:
				if (length < 8) return -EINVAL;
				if (int === 0) this.plain.delete(SO_LINGER);
				else this.plain.set(SO_LINGER, value.getInt32(4, true));
				return 0;
			case SO_RCVTIMEO:
			case SO_SNDTIMEO:
				return this.setTimeout(option, value, length);
			case SO_PASSCRED:
				this.passesCredentials = int !== 0;
				return 0;
			default:
				if (!PLAIN_OPTIONS.has(option)) return -ENOPROTOOPT;
				this.plain.set(option, option === SO_PRIORITY || int === 0 ? int : 1);
				return 0;
		}
	}

	private setTimeout(option: number, value: DataView, length: number): number {
		if (length < 16) return -EINVAL;
		const seconds = value.getInt32(4, true) * 0x1_0000_0000 + value.getUint32(0, true);
		const microseconds = value.getInt32(12, true) * 0x1_0000_0000 + value.getUint32(8, true);
		if (microseconds < 0 || microseconds >= 1e6) return -EDOM;
		// Nothing at all means forever; a negative one, not to wait.
		const ns = seconds < 0 ? 0 : seconds * NS_PER_SECOND + microseconds * NS_PER_MICROSECOND || FOREVER;
		if (option === SO_RCVTIMEO) this.receiveTimeoutNs = ns;
		else this.sendTimeoutNs = ns;
		return 0;
	}
}

function putTimeval(ns: number, out: DataView): number {
	const seconds = ns === FOREVER ? 0 : Math.floor(ns / NS_PER_SECOND);
	out.setUint32(0, seconds % 0x1_0000_0000, true);
	out.setUint32(4, Math.floor(seconds / 0x1_0000_0000), true);
	out.setUint32(8, ns === FOREVER ? 0 : Math.floor((ns - seconds * NS_PER_SECOND) / NS_PER_MICROSECOND), true);
	out.setUint32(12, 0, true);
	return 16;
}
