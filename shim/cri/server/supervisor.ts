import { HostError } from '../../../runtime/host-error.js';
import { native } from '../../../runtime/native.js';

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
/** sd_listen_fds(3). */
const FIRST_DESCRIPTOR = 3;

type Environment = Readonly<Record<string, string | undefined>>;

/** What systemd(1), or whoever speaks its protocols, wants to know of the server that it has started, and gives it. */
export class Supervisor {
	private timer: NodeJS.Timeout | undefined;

	constructor(private readonly environment: Environment = process.env) {}

	/** The listening socket that it was started with (sd_listen_fds(3)); null when it makes its own. Throws an Error for the user when there are several. */
	get listener(): number | null {
		const { LISTEN_PID, LISTEN_FDS } = this.environment;
		if (LISTEN_PID !== `${process.pid}` || LISTEN_FDS === undefined) return null;
		if (LISTEN_FDS !== '1') throw new Error(`LISTEN_FDS is ${LISTEN_FDS}: want one socket, CRI's`);
		return FIRST_DESCRIPTOR;
	}

	/** It answers. From now on the supervisor hears from it, if it asked for that (sd_watchdog_enabled(3)). */
	ready(): void {
		this.notify('READY=1');
		const { WATCHDOG_PID, WATCHDOG_USEC } = this.environment;
		const microseconds = Number(WATCHDOG_USEC);
		if (!(microseconds > 0) || (WATCHDOG_PID !== undefined && WATCHDOG_PID !== `${process.pid}`)) return;
		this.timer = setInterval(() => this.notify('WATCHDOG=1'), microseconds / 2000);
	}

	stopping(): void {
		clearInterval(this.timer);
		this.notify('STOPPING=1');
	}

	/** sd_notify(3). Throws HostError when the supervisor's socket can't be reached. */
	private notify(state: string): void {
		const path = this.environment['NOTIFY_SOCKET'] ?? '';
		if (path === '') return;
		const step = `Tell ${path} ${state}`;
		const fd = native.socketOpen(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (fd < 0) throw HostError.errno(step, -fd);
		try {
			const bytes = Buffer.from(state);
			let error = native.socketConnect(fd, address(path));
			if (error >= 0) error = native.socketSend(fd, bytes, 0, bytes.length, 0, null, null);
			if (error < 0) throw HostError.errno(step, -error);
		} finally {
			native.close(fd);
		}
	}
}

/** struct sockaddr_un; a path that begins with '@' is an abstract one (unix(7)). */
function address(path: string): Uint8Array {
	const isAbstract = path.startsWith('@');
	const name = Buffer.from(isAbstract ? `\0${path.slice(1)}` : `${path}\0`);
	const family = Buffer.alloc(2);
	family.writeUInt16LE(AF_UNIX);
	return Buffer.concat([family, name]);
}
