import { closeSync, constants, existsSync, openSync, rmSync, writeSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import pino from 'pino';
import { containerd } from '../../proto/generated/task.js';
import { StateStore } from '../../runtime/oci/state.js';
import { destroyContainer } from '../../runtime/sandbox/guest-sandbox.js';
import { unmountRootfs } from '../../runtime/sandbox/rootfs.js';
import type { Handler } from '../../runtime/sandbox/sandbox.js';
import { unmountAll } from '../cri/runtime/unmount.js';
import { Publisher, timestampOf } from './publisher.js';
import { runtimeInfo } from './runtime-info.js';
import { podFiles, SandboxService } from './sandbox-service.js';
import { TaskService } from './task-service.js';
import { observed } from './ttrpc/observed.js';
import { TtrpcServer } from './ttrpc/server.js';
import type { Service } from './ttrpc/service.js';

/** The listening socket that native/shim left at this number. */
const LISTEN_FD = 3;
const SIGKILL_STATUS = 137;
/** How long the last events may take when everything else is done. */
const LAST_EVENTS_MS = 5000;

interface Options {
	readonly namespace: string;
	readonly id: string;
	/** The kind of sandbox. */
	readonly handler: Handler['name'];
	/** Where the records of this namespace's containers are. */
	readonly state: string;
	readonly socket: string;
	/** containerd's ttrpc socket, for events. */
	readonly events: string;
	readonly bundle: string;
	/** What is logged: info, or debug when containerd logs so. */
	readonly level: string;
}

/** What native/shim starts: `serve` is the shim of one pod, `delete` clears up after one that died, `info` says what the runtime can do. */
function main(): void {
	const { values, positionals } = parseArgs({
		options: Object.fromEntries(
			['namespace', 'id', 'handler', 'state', 'socket', 'events', 'bundle', 'level'].map((name) => [
				name,
				{ type: 'string', default: '' } as const,
			]),
		),
		allowPositionals: true,
	});
	const options = values as unknown as Options;
	if (positionals[0] === 'delete') cleanUp(options);
	else if (positionals[0] === 'info') writeSync(1, runtimeInfo(options.handler));
	else serve(options);
}

function serve({ namespace, handler, state, socket, events, bundle, level }: Options): void {
	const log = openLog(join(bundle, 'log'), namespace, level);
	// The bundle's folder is containerd's to remove.
	process.chdir('/');
	const publisher = new Publisher(events, namespace, (message) => log.warn(message));
	const listener = createServer();
	const stop = async (): Promise<void> => {
		listener.close();
		rmSync(socket, { force: true });
		await publisher.drained(LAST_EVENTS_MS);
		process.exit(0);
	};
	const store = new StateStore(state);
	const tasks = new TaskService(store, handler, namespace, publisher, (level, message) => log[level](message), stop);
	const sandboxes = new SandboxService(store, handler, tasks, stop);
	const told = (service: Service): Service => (log.isLevelEnabled('debug') ? observed(service, (message) => log.debug(message)) : service);
	const task = told(tasks.service);
	const services = {
		'containerd.task.v2.Task': task,
		'containerd.task.v3.Task': task,
		'containerd.runtime.sandbox.v1.Sandbox': told(sandboxes.service),
	};
	const server = new TtrpcServer(services, (error) => log.warn(`A client of the shim: ${error.message}`));
	server.serve(listener);
	listener.listen({ fd: LISTEN_FD });
	// They are for what runs in the pod; the shim ends when containerd says so.
	for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => log.info(`${signal} is ignored`));
	process.on('uncaughtException', (error) => log.error({ err: error }, 'A mistake of the shim'));
	process.on('unhandledRejection', (error) => log.error({ err: error }, 'A mistake of the shim'));
	log.info('The shim is ready');
}

/** Lines for containerd's log: its FIFO beside the bundle's config. What it doesn't take is lost. */
function openLog(path: string, namespace: string, level: string): pino.Logger {
	let fd = -1;
	try {
		fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
	} catch {
		// A client that isn't containerd has none.
	}
	const write = (line: string): void => {
		try {
			if (fd >= 0) writeSync(fd, line);
		} catch {
			// It is full, or nobody reads it.
		}
	};
	return pino({ name: 'containerd-shim-isopod', level: level || 'info', base: { namespace, pid: process.pid } }, { write });
}

/** Removes all that is left of a container whose shim is gone, and answers with its end. */
async function cleanUp({ id, state, bundle, socket }: Options): Promise<void> {
	const store = new StateStore(state);
	if (existsSync(store.folder(id))) {
		// Whoever served there is dead or dying.
		rmSync(socket, { force: true });
		try {
			await destroyContainer(store, store.load(id));
		} catch (error) {
			process.stderr.write(`isopod: ${error instanceof Error ? error.message : String(error)}\n`);
			store.remove(id);
		}
	}
	unmountRootfs(join(bundle, 'rootfs'));
	unmountAll(podFiles(bundle));
	const { DeleteResponse } = containerd.task;
	const answer = DeleteResponse.encode({ exitStatus: SIGKILL_STATUS, exitedAt: timestampOf(Date.now()) }).finish();
	writeSync(1, answer);
	closeSync(1);
}

main();
