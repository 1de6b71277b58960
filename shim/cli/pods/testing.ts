import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Containerd } from '../../containerd/testing.js';
import { ServeBench } from '../../cri/server/testing.js';

/** What users start. */
export const PROGRAM = resolve(import.meta.dirname, '../../../../native/build/isopod');
const LIMIT_MS = 60_000;

export interface Ended {
	readonly code: number;
	readonly stdout: string;
	readonly stderr: string;
}

/** A CRI server of the test's own: isopod's, or Debian's containerd with this shim. */
export type ServerKind = 'isopod serve' | 'containerd';

/** The commands for pods, at such a server. */
export class PodsBench {
	private readonly server: ServeBench | Containerd;
	private readonly children = new Set<ChildProcess>();

	private constructor(readonly kind: ServerKind) {
		this.server = kind === 'containerd' ? new Containerd() : new ServeBench();
	}

	static async start(kind: ServerKind): Promise<PodsBench> {
		const bench = new PodsBench(kind);
		await bench.server.start();
		mkdirSync(bench.data);
		return bench;
	}

	get folder(): string {
		return this.server.folder;
	}

	/** Where the folders of the pods are. */
	get data(): string {
		return join(this.folder, 'pods-data');
	}

	get cri(): ServeBench['cri'] {
		return this.server.cri;
	}

	get environment(): NodeJS.ProcessEnv {
		// What the test runner loads into each Node makes its start four times as long.
		const { NODE_OPTIONS: _, ...own } = process.env;
		return { ...own, CONTAINER_RUNTIME_ENDPOINT: `unix://${this.server.socket}` };
	}

	/** Starts a command that goes on beside the test. */
	spawn(...args: string[]): Running {
		const words = args[0] === 'pod' && args[1] === 'run' ? ['pod', 'run', '--data-dir', this.data, ...args.slice(2)] : args;
		const child = spawn(PROGRAM, words, { stdio: 'pipe', env: this.environment });
		this.children.add(child);
		child.once('exit', () => this.children.delete(child));
		return new Running(child);
	}

	/** Runs a command to its end. */
	async run(...args: string[]): Promise<Ended> {
		const running = this.spawn(...args);
		running.child.stdin!.end();
		return running.ended;
	}

	async runWith(input: string | Buffer, ...args: string[]): Promise<Ended> {
		const running = this.spawn(...args);
		running.child.stdin!.end(input);
		return running.ended;
	}

	/** Writes a file for a command: its path. */
	file(name: string, text: string): string {
		const path = join(this.folder, name);
		writeFileSync(path, text);
		return path;
	}

	async stop(): Promise<void> {
		for (const child of this.children) child.kill('SIGKILL');
		await this.server.stop();
	}
}

/** A command that runs. */
export class Running {
	stdout = '';
	stderr = '';
	readonly ended: Promise<Ended>;

	constructor(readonly child: ChildProcess) {
		child.stdout!.setEncoding('latin1').on('data', (text: string) => {
			this.stdout += text;
		});
		child.stderr!.setEncoding('utf8').on('data', (text: string) => {
			this.stderr += text;
		});
		child.stdin!.on('error', () => undefined);
		const timer = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS);
		this.ended = new Promise((resolve) => {
			child.once('close', (code) => {
				clearTimeout(timer);
				resolve({ code: code ?? 255, stdout: this.stdout, stderr: this.stderr });
			});
		});
	}

	/** Waits until something is printed. Throws when the command ends without. */
	async until(pattern: RegExp, what: 'stdout' | 'stderr' = 'stdout'): Promise<void> {
		while (!pattern.test(this[what])) {
			if (this.child.exitCode !== null || this.child.signalCode !== null)
				throw new Error(`it ended without ${pattern}: ${this.stdout}${this.stderr}`);
			await new Promise((then) => setTimeout(then, 20));
		}
	}
}

/** YAML of a pod of busybox; `spec` and `main` are lines of YAML for the pod and its container `main`, indented as there. */
export function podYaml(name: string, script: string, { spec = '', main = '' } = {}): string {
	return `apiVersion: v1
kind: Pod
metadata:
  name: ${name}
spec:
  runtimeClassName: isopod
  restartPolicy: Never
  terminationGracePeriodSeconds: 2
${spec}  containers:
    - name: main
      image: localhost/busybox:1
      command: [sh, -c, ${JSON.stringify(script)}]
${main}`;
}
