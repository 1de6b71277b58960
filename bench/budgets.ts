import type { SideName } from './sides.js';

/** What a workload may cost, by DESIGN section 7: `factor` times what `of` costs, in the same run. */
export interface Budget {
	readonly of: 'host' | 'gvisor' | 'notify';
	readonly factor: number;
}

/** One line of the table. */
export interface Workload {
	/** Its name in workloads.c, and of `--only`. */
	readonly name: string;
	readonly title: string;
	/** Operations in one run, on the host and Isopod, and on gVisor, which takes much longer for a system call. */
	readonly count: number;
	readonly gvisorCount: number;
	readonly budget?: Budget;
	/**
	 * `start` is timed from outside, `memory` is read from /proc, `floor` is what no guest kernel on the notification lane can go below, measured in C on the
	 * host, `pod` goes through containerd, where the host's side is runc; everything else prints nanoseconds for one operation.
	 */
	readonly kind?: 'start' | 'memory' | 'floor' | 'pod';
	/** Sides that can't do it, and why. */
	readonly without?: Partial<Record<SideName, string>>;
}

/** The workloads, in the order of the table. */
export const WORKLOADS: readonly Workload[] = [
	{ name: 'notify', title: 'bare C notification round trip', count: 30_000, gvisorCount: 0, kind: 'floor' },
	{ name: 'umask', title: 'umask (a trapped call)', count: 30_000, gvisorCount: 2000, budget: { of: 'notify', factor: 1.5 } },
	{ name: 'getppid', title: 'getppid (a native call)', count: 100_000, gvisorCount: 2000 },
	{ name: 'read', title: 'read of 1 byte', count: 12_288, gvisorCount: 4096 },
	{ name: 'write', title: 'write of 1 byte', count: 12_288, gvisorCount: 4096 },
	{ name: 'pread', title: 'pread of 4 KiB', count: 10_000, gvisorCount: 2000 },
	{ name: 'open', title: 'open + close', count: 5000, gvisorCount: 500, budget: { of: 'gvisor', factor: 0.2 } },
	{ name: 'stat', title: 'stat', count: 5000, gvisorCount: 500, budget: { of: 'gvisor', factor: 0.2 } },
	{ name: 'pipe', title: 'pipe, there and back', count: 2000, gvisorCount: 500 },
	{ name: 'notify-fork', title: 'bare C, fork + exit + wait', count: 100, gvisorCount: 0, kind: 'floor' },
	{ name: 'fork', title: 'fork + exit + wait', count: 100, gvisorCount: 30, budget: { of: 'host', factor: 1.2 } },
	{ name: 'exec', title: 'fork + execve', count: 60, gvisorCount: 20, budget: { of: 'host', factor: 1.6 } },
	{ name: 'fault', title: 'page fault', count: 20_480, gvisorCount: 8192, budget: { of: 'host', factor: 1.05 } },
	{ name: 'thread', title: 'thread, created and joined', count: 1000, gvisorCount: 100, budget: { of: 'host', factor: 1.05 } },
	{ name: 'cpu', title: 'CPU work', count: 10_000_000, gvisorCount: 10_000_000, budget: { of: 'host', factor: 1.05 } },
	{ name: 'exit', title: 'run of a static binary', count: 1, gvisorCount: 1, budget: { of: 'gvisor', factor: 1 }, kind: 'start' },
	{ name: 'idle', title: 'memory added (PSS)', count: 1, gvisorCount: 1, budget: { of: 'gvisor', factor: 1 }, kind: 'memory' },
	{ name: 'ctr-run', title: 'ctr run of a static binary', count: 1, gvisorCount: 1, budget: { of: 'gvisor', factor: 1 }, kind: 'pod' },
	{ name: 'pod-sandbox', title: 'RunPodSandbox', count: 1, gvisorCount: 1, budget: { of: 'gvisor', factor: 1 }, kind: 'pod' },
	{
		name: 'pod',
		title: 'pod, to its first line',
		count: 1,
		gvisorCount: 1,
		kind: 'pod',
		// runc's shim waits for ever for the second container of a sandbox that runsc has started.
		without: { gvisor: "runc's shim can't start a pod's containers with runsc" },
	},
];
