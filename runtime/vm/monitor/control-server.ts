import { isopod } from '../../../proto/generated/sandbox.js';
import { native } from '../../native.js';
import { parseConfig } from '../../oci/config.js';
import type { Resources } from '../../oci/resources.js';
import { type Frame, FrameReader, receiveFrames, sendFrame } from '../../sandbox/frames.js';
import type { VmContainers } from './containers.js';
import type { HostLoop } from './host-loop.js';
import type { ProgramEnd } from './program.js';

const { Request, Response } = isopod.sandbox;
type RequestMessage = InstanceType<typeof Request>;

const EPOLLIN = 1;
const EPOLLRDHUP = 0x2000;
/** Front ends connected at a time, at most. */
const MAX_CONNECTIONS = 64;

/** The monitor's end of the control channel: the same calls as a sandbox process's. */
export class VmControlServer {
	private connections = 0;

	constructor(
		private readonly loop: HostLoop,
		private readonly containers: VmContainers,
		private readonly listenFd: number,
		private readonly log: (text: string) => void,
	) {
		native.setNonBlocking(listenFd, true);
		loop.watch(listenFd, EPOLLIN, () => this.accept());
		this.accept();
	}

	private accept(): void {
		for (let fd = native.acceptUnix(this.listenFd); fd >= 0; fd = native.acceptUnix(this.listenFd)) {
			if (this.connections >= MAX_CONNECTIONS) native.close(fd);
			else this.serve(fd);
		}
	}

	private serve(fd: number): void {
		this.connections++;
		const reader = new FrameReader();
		let isOpen = true;
		let key = 0;
		const receive = (): void => {
			if (!isOpen) return;
			let frames: Frame[] | null;
			try {
				frames = receiveFrames(fd, reader);
				for (const frame of frames ?? [])
					void this.answer(frame, (response) => isOpen && sendFrame(fd, Response.encode(response).finish()));
			} catch (error) {
				this.log(`Serve a front end: ${String(error)}`);
				frames = null;
			}
			if (frames !== null) return;
			isOpen = false;
			this.loop.unwatch(fd, key);
			reader.close();
			native.close(fd);
			this.connections--;
		};
		native.setNonBlocking(fd, true);
		key = this.loop.watch(fd, EPOLLIN | EPOLLRDHUP, receive);
		receive();
	}

	private async answer(frame: Frame, send: (response: InstanceType<typeof Response>) => unknown): Promise<void> {
		const request = Request.decode(frame.body);
		const { id } = request;
		const ended = (waitId: number, { status, atMs, reason = '' }: ProgramEnd, containerId: string): void => {
			send(Response.create({ id: waitId, status, endedAtMs: atMs, reason, oomKills: this.containers.oomKills(containerId) }));
		};
		try {
			const fields = await this.call(request, frame.fds, ended, send);
			if (fields !== null) send(Response.create({ id, ...fields }));
			// After the answer: a program may have ended already.
			const { containerId, waitId } = request.start ?? {};
			if (waitId) this.containers.wait(containerId!, '', (end) => ended(waitId, end, containerId!));
		} catch (error) {
			send(Response.create({ id, error: error instanceof Error ? error.message : String(error) }));
		}
	}

	/** Serves one call: the response's fields, or null when `ended` is to answer. */
	private async call(
		request: RequestMessage,
		fds: readonly number[],
		ended: (waitId: number, end: ProgramEnd, containerId: string) => void,
		send: (response: InstanceType<typeof Response>) => unknown,
	): Promise<isopod.sandbox.IResponse | null> {
		const { containers } = this;
		if (request.create) {
			const { containerId, config, pidContainerId } = request.create;
			await containers.create(containerId!, parseConfig(JSON.parse(config!)), pidContainerId ?? '', fds);
			return {};
		}
		if (request.exec) {
			const { containerId, execId, process } = request.exec;
			// The guest's processes are none of the host's: the monitor stands for them.
			return { execId: await containers.exec(containerId!, execId ?? '', process!, fds), outsidePid: globalThis.process.pid };
		}
		// What came along without being asked for.
		for (const fd of fds) native.close(fd);
		if (request.start) {
			await containers.start(request.start.containerId!);
			return { outsidePid: globalThis.process.pid };
		}
		if (request.signal) {
			const { containerId, signal, all, execId } = request.signal;
			await containers.signal(containerId!, execId ?? '', signal ?? 0, all ?? false);
			return {};
		}
		if (request.wait) {
			const { containerId, execId } = request.wait;
			containers.wait(containerId!, execId ?? '', (end) => ended(request.id, end, containerId!));
			return null;
		}
		if (request.pause) {
			await containers.freeze(request.pause.containerId!, request.pause.isPaused ?? false);
			return {};
		}
		if (request.resize) {
			const { containerId, execId, rows, columns } = request.resize;
			await containers.resize(containerId!, execId ?? '', rows ?? 0, columns ?? 0);
			return {};
		}
		if (request.delete) {
			await containers.delete(request.delete.containerId!, request.delete.execId ?? '');
			return {};
		}
		if (request.update) {
			await containers.update(request.update.containerId!, JSON.parse(request.update.resources!, textAsUnlimited) as Resources);
			return {};
		}
		if (request.groupFiles) return { groupFiles: await containers.groupFiles(request.groupFiles.containerId!) };
		if (request.watchMemory) {
			containers.watchMemory((id, kills) => send(Response.create({ memoryEventOf: id, oomKills: kills })) !== false);
			return {};
		}
		if (request.containers) return { containers: containers.list() };
		if (request.processes) {
			const processes = await containers.processes(request.processes.containerId!);
			return { processes: processes.map((process) => ({ ...process, outsidePid: globalThis.process.pid })) };
		}
		// The guest's own control group has the limits; the host's is QEMU's.
		if (request.joinCgroup) return {};
		throw new Error('a call that a virtual machine does not know');
	}
}

function textAsUnlimited(_: string, value: unknown): unknown {
	return value === 'unlimited' ? Number.POSITIVE_INFINITY : value;
}
