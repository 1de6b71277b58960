import { readFileSync, writeSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { native } from '../../native.js';
import type { MonitorOptions } from '../launch.js';
import type { TemplateSpec } from '../template.js';
import { confineMonitor } from './confinement.js';
import { VmContainers } from './containers.js';
import { VmControlServer } from './control-server.js';
import { HostLoop } from './host-loop.js';
import { Machine, type MachineSpec } from './machine.js';
import { makeTemplate } from './template-maker.js';

/** The descriptors that the front end leaves: the listening control socket, a pipe for one line (what came of the start), and taps from FIRST_TAP_FD on. */
const CONTROL_FD = 3;
const REPORT_FD = 4;
const FIRST_TAP_FD = 5;
const EPOLLIN = 1;
const EPOLLRDHUP = 0x2000;
const STDERR_FD = 2;
/** How long a pod that has ended waits for front ends to hear of it. */
const FAREWELL_MS = 200;

function log(msg: string): void {
	writeSync(STDERR_FD, `${JSON.stringify({ level: 30, time: Date.now(), pid: process.pid, name: 'vm', msg })}\n`);
}

/** The monitor of one pod's virtual machine: holds its programs' streams and answers front ends, until the pod's first container has ended. */
async function main(): Promise<void> {
	const [file = '', text = ''] = process.argv.slice(2);
	if (file === 'template') {
		await serveTemplate(text);
		return;
	}
	// Started without one by the build, to compile it.
	if (!isAbsolute(file)) return;
	const options = JSON.parse(readFileSync(file, 'utf8')) as MonitorOptions;
	const loop = new HostLoop();
	setImmediate(() => loop.run());
	// Whoever starts it keeps the other end until it has a container: without either it is nobody's, and its parts end with it.
	let hasContainer = (): boolean => false;
	loop.watch(REPORT_FD, EPOLLIN | EPOLLRDHUP, () => {
		if (!hasContainer()) process.exit(1);
	});
	let machine: Machine;
	try {
		const tapFds = options.network.interfaces.map((_, i) => FIRST_TAP_FD + i);
		machine = await startMachine(loop, { ...options, logFd: STDERR_FD, tapFds });
		// QEMU has its own: they are to go when it does.
		for (const fd of tapFds) native.close(fd);
	} catch (error) {
		writeSync(REPORT_FD, `${JSON.stringify({ error: error instanceof Error ? error.message : String(error) })}\n`);
		process.exit(1);
	}
	const end = async (): Promise<void> => {
		await machine.powerOff(loop);
		loop.after(FAREWELL_MS, () => process.exit(0));
	};
	try {
		confineMonitor(machine, options.folder);
	} catch (error) {
		writeSync(REPORT_FD, `${JSON.stringify({ error: String(error) })}\n`);
		machine.kill();
		process.exit(1);
	}
	const containers = new VmContainers(loop, machine, () => void end());
	hasContainer = () => containers.hasAny;
	machine.ended.then((why) => {
		log(`the virtual machine has ended: ${why}`);
		machine.kill();
		loop.after(FAREWELL_MS, () => process.exit(1));
	});
	new VmControlServer(loop, containers, CONTROL_FD, log);
	writeSync(REPORT_FD, `${JSON.stringify({ treesPid: machine.virtiofsd!.pid })}\n`);
}

/** A template that can't be cloned costs its machines time, not their lives. */
async function startMachine(loop: HostLoop, spec: MachineSpec): Promise<Machine> {
	if (spec.template === null) return Machine.start(loop, spec);
	try {
		return await Machine.start(loop, spec);
	} catch (error) {
		log(`clone the template ${spec.template}: ${error instanceof Error ? error.message : error}; the machine boots instead`);
		return Machine.start(loop, { ...spec, template: null });
	}
}

/** Makes a template and exits; what fails is said on standard output. */
async function serveTemplate(text: string): Promise<void> {
	const { spec, idSlot } = JSON.parse(text) as { spec: TemplateSpec; idSlot: number };
	const loop = new HostLoop();
	setImmediate(() => loop.run());
	try {
		await makeTemplate(loop, spec, idSlot, STDERR_FD);
		process.exit(0);
	} catch (error) {
		process.stdout.write(`${error instanceof Error ? error.message : error}\n`, () => process.exit(1));
	}
}

void main();
