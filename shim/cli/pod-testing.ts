import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type ConfigChanges, Workbench } from './testing.js';

/** A pod on the command line: its first container sleeps, as a pause container does; the others join it as containerd's CRI plugin says it. */
export class Pod {
	readonly volume: string;

	constructor(
		readonly bench: Workbench,
		readonly id = `pod-${process.pid}`,
	) {
		this.volume = join(bench.folder, 'volume');
		mkdirSync(this.volume);
		chmodSync(this.volume, 0o777);
		bench.configure(['/bin/sleep', '1000'], {
			hostname: 'pod-name',
			annotations: { 'io.kubernetes.cri.container-type': 'sandbox', 'io.kubernetes.cri.sandbox-id': id },
		});
		if (bench.leave(['run', '--detach', id]) !== 0) throw new Error('the first container did not start');
	}

	state(id = this.id): { readonly pid: number; readonly status: string } {
		return this.bench.state(id);
	}

	/** Writes the config of a container of this pod; `hasPids`: in the pod's PID namespace. */
	configure(args: readonly string[], { hasPids = false, ...changes }: ConfigChanges & { hasPids?: boolean } = {}): void {
		const { pid } = this.state();
		const shared = hasPids ? ['ipc', 'uts', 'pid'] : ['ipc', 'uts'];
		const path = (type: string): string => `/proc/${pid}/ns/${type}`;
		this.bench.configure(args, {
			...changes,
			annotations: { 'io.kubernetes.cri.container-type': 'container', 'io.kubernetes.cri.sandbox-id': this.id },
			linux: {
				namespaces: [
					...shared.map((type) => ({ type, path: path(type) })),
					{ type: 'network', path: path('net') },
					{ type: 'mount' },
					...(hasPids ? [] : [{ type: 'pid' }]),
				],
			},
			mounts: [{ destination: '/volume', type: 'bind', source: this.volume, options: ['rbind', 'rw'] }],
		});
	}

	sh(id: string, script: string, changes: ConfigChanges & { hasPids?: boolean } = {}): string {
		this.configure(['/bin/sh', '-c', script], changes);
		const { code, stdout, stderr } = this.bench.isopod(['run', id]);
		if (code !== 0) throw new Error(`${id} ended with ${code}: ${stderr}`);
		return stdout;
	}
}

/** A test with a pod that is cleaned up whatever happens. */
export function withPod(name: string, action: (t: Test, pod: Pod) => void | Promise<void>): void {
	t.test(name, async (t) => {
		const bench = new Workbench();
		t.teardown(() => bench.clean());
		await action(t, new Pod(bench));
	});
}
