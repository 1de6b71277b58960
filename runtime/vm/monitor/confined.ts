import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { HostError } from '../../host-error.js';
import { native } from '../../native.js';
import { idBase } from '../../oci/state.js';
import { packageRoot } from '../../sandbox/launch.js';

const SIGKILL = 9;
/** Where the launcher finds the first of the descriptors that it hands on. */
const FIRST_FD = 4;

export interface ConfinedOptions {
	/** For messages. */
	readonly name: string;
	readonly command: readonly string[];
	/** What its root has, SOURCE:TARGET each. */
	readonly files: readonly string[];
	/** Folders of its root that are a tmpfs each, in which the host's root alone makes anything. */
	readonly tmpfs: readonly string[];
	/** Descriptors, by the number that the program finds them at; they stay the caller's. */
	readonly fds: readonly (readonly [source: number, target: number])[];
	readonly idSlot: number;
	/** Capabilities in its own user namespace, as a mask. */
	readonly capabilities: number;
	/** Descriptor for what it says. */
	readonly logFd: number;
	/** Lists of processes of the control groups that it is to be in. */
	readonly cgroups: readonly string[];
}

/** A program of a pod's machine in namespaces of its own, which dies with this process. */
export class Confined {
	private constructor(
		readonly name: string,
		/** A child of this process. */
		readonly pid: number,
	) {}

	/** Throws HostError with what the launcher said. */
	static start(options: ConfinedOptions): Confined {
		const { fds } = options;
		const args = [
			...['--id-base', `${idBase(options.idSlot)}`, '--capabilities', options.capabilities.toString(16), '--death-signal', `${SIGKILL}`],
			...options.files.flatMap((file) => ['--file', file]),
			...options.tmpfs.flatMap((path) => ['--tmpfs', path]),
			...options.cgroups.flatMap((path) => ['--cgroup', path]),
			...fds.flatMap(([, target], i) => ['--fd', `${FIRST_FD + i}:${target}`]),
			...['--fd', '3:1', '--fd', '3:2', '--report-fd', '1', '--', ...options.command],
		];
		const launcher = join(packageRoot(), 'native/build/isopod-launcher');
		const result = spawnSync(launcher, args, {
			stdio: ['ignore', 'pipe', 'pipe', options.logFd, ...fds.map(([source]) => source)],
			encoding: 'utf8',
		});
		const pid = Number.parseInt(result.stdout, 10);
		if (result.status !== 0 || !(pid > 0)) {
			if (pid < 0) native.reap(-pid);
			throw new HostError(`Start ${options.name}: ${result.stderr.trim()}`, `exit status ${result.status}`);
		}
		return new Confined(options.name, pid);
	}

	kill(): void {
		try {
			process.kill(this.pid, 'SIGKILL');
		} catch {
			// It has ended.
		}
	}
}
