import { isopod } from '../../../proto/generated/sandbox.js';
import { EPOLLIN, EPOLLRDHUP } from '../../kernel/abi/poll-constants.js';
import type { Kernel } from '../../kernel/kernel.js';
import { native } from '../../native.js';
import { parseConfig, parseProcess } from '../../oci/config.js';
import { Section } from '../../oci/section.js';
import type { Ended } from '../exit-record.js';
import { type Frame, FrameReader, receiveFrames, sendFrame } from '../frames.js';
import type { Containers } from './containers.js';
import { inspect } from './inspect.js';
import { TraceStream } from './trace-stream.js';

const { Request, Response } = isopod.sandbox;
type RequestMessage = InstanceType<typeof Request>;

/** Front ends connected at a time, at most. */
const MAX_CONNECTIONS = 64;
const COMM_BYTES = 64;

/**
 * The sandbox process's end of the control channel: accepts front ends on an inherited listening socket and serves their calls within the loop.
 */
export class ControlServer {
	private connections = 0;
	private readonly traces = new Set<TraceStream>();

	constructor(
		private readonly kernel: Kernel,
		private readonly containers: Containers,
		private readonly listenFd: number,
		lifeLineFd: number | null,
	) {
		native.setNonBlocking(listenFd, true);
		const key = kernel.endpoints.add({ onEvent: () => this.accept() });
		native.watch(listenFd, key, EPOLLIN);
		this.accept();
		if (lifeLineFd !== null) this.hold(lifeLineFd);
	}

	/** A sandbox process that was started early ends when its life line is cut before it has a container (native/front). */
	private hold(fd: number): void {
		const cut = (): void => {
			native.unwatch(fd);
			native.close(fd);
			this.kernel.endpoints.remove(key);
			if (this.kernel.containers.size === 0) this.kernel.dispatcher.stop();
		};
		const key = this.kernel.endpoints.add({ onEvent: cut });
		native.watch(fd, key, EPOLLIN | EPOLLRDHUP);
	}

	/** The loop has ended: sends what traces have left. */
	finish(): void {
		for (const trace of this.traces) trace.finish();
	}

	private accept(): void {
		for (;;) {
			const fd = native.acceptUnix(this.listenFd);
			if (fd < 0) return;
			if (this.connections >= MAX_CONNECTIONS) native.close(fd);
			else this.serve(fd);
		}
	}

	private serve(fd: number): void {
		this.connections++;
		const reader = new FrameReader();
		const close = (): void => {
			native.unwatch(fd);
			this.kernel.endpoints.remove(key);
			reader.close();
			native.close(fd);
			this.connections--;
			isOpen = false;
			if (onMemory !== null) this.containers.memoryListeners.delete(onMemory);
			if (trace === null) return;
			trace.end();
			this.traces.delete(trace);
		};
		let isOpen = true;
		let trace: TraceStream | null = null;
		let onMemory: ((id: string) => void) | null = null;
		const receive = (): void => {
			let frames: Frame[] | null;
			try {
				frames = receiveFrames(fd, reader);
				for (const frame of frames ?? []) {
					if (trace !== null) throw new Error('a request on a connection that carries a trace');
					this.answer(frame, (response) => isOpen && sendFrame(fd, Response.encode(response).finish()));
					const { id, trace: wanted, watchMemory } = Request.decode(frame.body);
					if (watchMemory && isOpen && onMemory === null) {
						onMemory = (memoryEventOf) => sendFrame(fd, Response.encode(Response.create({ id, memoryEventOf })).finish());
						this.containers.memoryListeners.add(onMemory);
					}
					if (!wanted || !isOpen || !this.kernel.containers.has(wanted.containerId ?? '')) continue;
					trace = new TraceStream(this.kernel, fd, id, wanted);
					this.traces.add(trace);
				}
			} catch (error) {
				this.kernel.log('error', `Serve a front end: ${String(error)}`);
				frames = null;
			}
			if (frames === null && isOpen) close();
		};
		const key = this.kernel.endpoints.add({ onEvent: receive });
		native.setNonBlocking(fd, true);
		native.watch(fd, key, EPOLLIN | EPOLLRDHUP);
		receive();
	}

	private answer(frame: Frame, send: (response: InstanceType<typeof Response>) => unknown): void {
		const request = Request.decode(frame.body);
		const { id } = request;
		try {
			const whenEnded = (waitId: number, containerId: string, { status, atMs }: Ended): void => {
				// An exec may end after its container was forgotten.
				const counts = this.kernel.containers.has(containerId) ? this.counts(containerId) : null;
				send(Response.create({ id: waitId, status, endedAtMs: atMs, counts }));
			};
			const fields = this.call(request, frame.fds, whenEnded, (started) => send(Response.create({ id, ...started })));
			if (fields !== null) send(Response.create({ id, ...fields }));
		} catch (error) {
			for (const fd of frame.fds) native.close(fd);
			send(Response.create({ id, error: error instanceof Error ? error.message : String(error) }));
		}
	}

	/** Serves one call: the response's fields, or null when `whenEnded` or `whenStarted` is to answer. */
	private call(
		request: RequestMessage,
		fds: number[],
		whenEnded: (waitId: number, containerId: string, ended: Ended) => void,
		whenStarted: (fields: object) => void,
	): object | null {
		const { containers } = this;
		if (request.create) {
			const { containerId, config, pidContainerId, keptCount } = request.create;
			containers.create(containerId!, parseConfig(JSON.parse(config!)), pidContainerId ?? '', fds, keptCount ?? 0);
			return {};
		}
		if (request.start) {
			const { containerId, waitId, hookState } = request.start;
			containers.start(containerId!, hookState ?? '', (outsidePid, failure) => {
				whenStarted(failure === null ? { outsidePid } : { error: failure });
				if (failure === null && waitId) containers.wait(containerId!, '', (ended) => whenEnded(waitId, containerId!, ended));
			});
			return null;
		}
		if (request.exec) {
			const process = parseProcess(new Section(JSON.parse(request.exec.process!), 'process'));
			return containers.exec(request.exec.containerId!, request.exec.execId ?? '', process, fds);
		}
		if (request.signal) {
			const { containerId, signal, all, execId } = request.signal;
			containers.signal(containerId!, signal!, all ?? false, execId ?? '');
			return {};
		}
		if (request.wait) {
			const { containerId, execId } = request.wait;
			containers.wait(containerId!, execId ?? '', (ended) => whenEnded(request.id, containerId!, ended));
			return null;
		}
		if (request.joinCgroup) {
			containers.joinCgroup(request.joinCgroup.containerId!, fds, request.joinCgroup.hasMemoryEvents ?? false);
			return {};
		}
		if (request.pause) {
			containers.pause(request.pause.containerId!, request.pause.isPaused ?? false);
			return {};
		}
		if (request.delete) {
			const { containerId, execId } = request.delete;
			if (execId) containers.deleteExec(containerId!, execId);
			else containers.delete(containerId!);
			return {};
		}
		if (request.resize) {
			const { containerId, execId, rows, columns } = request.resize;
			containers.resize(containerId!, execId ?? '', rows ?? 0, columns ?? 0);
			return {};
		}
		if (request.watchMemory) return {};
		if (request.containers) return { containers: containers.list() };
		if (request.setMemoryLimit) {
			const { containerId, limitBytes } = request.setMemoryLimit;
			containers.get(containerId!).container.memoryLimitBytes = limitBytes ?? Number.POSITIVE_INFINITY;
			return {};
		}
		if (request.inspect) return { report: inspect(this.kernel, this.containers.get(request.inspect.containerId!).container) };
		if (request.trace) {
			this.containers.get(request.trace.containerId!);
			return {};
		}
		if (request.processes) return { processes: this.processes(request.processes.containerId!) };
		if (request.counts) return { counts: this.counts(request.counts.containerId!) };
		throw new Error('a call that this sandbox process does not know');
	}

	private processes(id: string): object[] {
		const { container } = this.containers.get(id);
		const comm = Buffer.alloc(COMM_BYTES);
		return [...container.groups.values()].map((group) => {
			const length = native.readProcFile(`${group.pid}/comm`, comm);
			return {
				pid: container.insideId(group.pid),
				outsidePid: group.pid,
				command: length > 0 ? comm.latin1Slice(0, length).trimEnd() : '?',
			};
		});
	}

	private counts(id: string): object {
		const { trapped, continued, lent, missing } = this.containers.get(id).container.counts;
		return { trapped, continued, lent, missing: [...missing].map(([name, count]) => ({ name, count })) };
	}
}
