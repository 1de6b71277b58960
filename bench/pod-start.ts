import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { Containerd, IMAGE, RUNTIME } from '../shim/containerd/testing.js';
import { logsOf, Pod } from '../shim/containerd/testing-pod.js';
import type { SideName } from './sides.js';

/** Sides that containerd can run pods on; machines start as its configuration has it, from templates. */
export type PodSideName = Exclude<SideName, 'boot'>;

/** How long each step took, in milliseconds, in order. */
export type Steps = Readonly<Record<string, number>>;

/** A life's beginning: what its client waits for, and how long Isopod's shim took for its part of that (nothing on other sides). */
export interface Start {
	readonly steps: Steps;
	readonly shim: Steps;
}

const RUNSC = '/usr/bin/runsc';
const RUNC_SHIM = 'io.containerd.runc.v2';
/** Its own network stack doesn't start in a namespace that a plugin has made. runc's shim knows by runc's words that there is nothing left to kill. */
const RUNSC_FOR_SHIM = `#!/bin/sh
set -- --platform=ptrace --network=host --ignore-cgroups "$@"
case " $* " in
*" kill "*) ${RUNSC} "$@" || { echo 'container not running' >&2; exit 1; } ;;
*) exec ${RUNSC} "$@" ;;
esac
`;
const LIMIT_MS = 20_000;
let count = 0;

/** A containerd that runs what each side has; the host's is runc. Debian's gVisor has no shim of its own: runc's runs it. */
export class PodStarts {
	private constructor(
		private readonly containerd: Containerd,
		private readonly runsc: string,
	) {}

	/** Rejects when there is no containerd, or it doesn't start. */
	static async open(): Promise<PodStarts> {
		const containerd = new Containerd();
		const runsc = join(containerd.folder, 'runsc');
		writeFileSync(runsc, RUNSC_FOR_SHIM, { mode: 0o755 });
		const runtime = 'plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runsc';
		containerd.configure(`[${runtime}]\nruntime_type = "${RUNC_SHIM}"\n[${runtime}.options]\nBinaryName = "${runsc}"\n`);
		// Its shims say how long they take for each call.
		containerd.configure('[debug]\nlevel = "debug"\n');
		await containerd.start();
		return new PodStarts(containerd, runsc);
	}

	/** One sample of a workload, or why there is none. */
	async measure(workload: string, side: PodSideName): Promise<Start | string> {
		if (side === 'gvisor' && !existsSync(RUNSC)) return `there is no ${RUNSC}`;
		try {
			if (workload === 'ctr-run') return this.run(side);
			return await this.live({ host: 'runc', gvisor: 'runsc', isopod: 'isopod', clone: 'isopod-vm' }[side], workload === 'pod');
		} catch (error) {
			return error instanceof Error ? error.message : String(error);
		}
	}

	/** `ctr run`, to its end. */
	private run(side: PodSideName): Start | string {
		const flags = {
			host: [RUNC_SHIM],
			gvisor: [RUNC_SHIM, '--runc-binary', this.runsc],
			isopod: [RUNTIME],
			clone: ['io.containerd.isopod-vm.v1'],
		}[side];
		const start = performance.now();
		const { code, stderr } = this.containerd.ctr(['run', '--rm', '--runtime', ...flags, IMAGE, `bench${count++}`, '/bin/true']);
		return code === 0 ? { steps: { 'ctr run': performance.now() - start }, shim: {} } : stderr.trim();
	}

	/** A pod, with a container up to its first line if `hasContainer`. */
	private async live(handler: string, hasContainer: boolean): Promise<Start> {
		const steps: Record<string, number> = {};
		const startedAtMs = Date.now();
		const logged = this.containerd.log.length;
		let last = performance.now();
		const mark = (name: string): void => {
			steps[name] = performance.now() - last;
			last += steps[name];
		};
		const pod = await Pod.run(this.containerd, { handler });
		try {
			mark('RunPodSandbox');
			if (hasContainer) await this.startContainer(pod, mark);
			return { steps, shim: shimTimes(this.containerd.log.slice(logged), startedAtMs) };
		} finally {
			await pod.remove();
		}
	}

	private async startContainer(pod: Pod, mark: (name: string) => void): Promise<void> {
		const log = join(logsOf(this.containerd), 'main.log');
		mkdirSync(logsOf(this.containerd), { recursive: true });
		writeFileSync(log, '');
		const containerId = await pod.create('main', ['/bin/sh', '-c', 'echo ready; exec sleep 1000']);
		mark('CreateContainer');
		await this.containerd.cri.call('StartContainer', { containerId });
		mark('StartContainer');
		const endMs = performance.now() + LIMIT_MS;
		while (!readFileSync(log, 'latin1').includes('ready')) {
			if (performance.now() > endMs) throw new Error('its container says nothing');
			await new Promise((then) => setTimeout(then, 1));
		}
		mark('its first line');
	}

	close(): Promise<void> {
		return this.containerd.stop();
	}
}

/** What a shim of Isopod's has logged: when it was ready, counted from the pod's start, and each call that makes or starts something. */
function shimTimes(log: string, startedAtMs: number): Steps {
	const times: Record<string, number> = {};
	for (const line of log.split('\n')) {
		if (!line.startsWith('{') || !line.includes('"containerd-shim-isopod"')) continue;
		const { time, msg } = JSON.parse(line) as { readonly time: number; readonly msg: string };
		const [, call = '', ms = ''] = /^(Create|Start) took ([\d.]+) ms$/.exec(msg) ?? [];
		if (msg === 'The shim is ready') times['ready after'] = time - startedAtMs;
		else if (call !== '') times[`${call} of the ${times[`${call} of the pod`] === undefined ? 'pod' : 'container'}`] = Number(ms);
	}
	return times;
}
