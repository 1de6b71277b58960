// The two sides of the comparison: the host (a chroot of the tree) and the guest kernel (a container on the same tree). Each runs a whole
// group of cases by one driver script, because a container's start costs more than most cases.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ContainerResult, checkoutRoot, defaultCapabilities, rootfsPath, runContainer, type TreeName } from '../testing/container.js';

/** How one case ended. */
export interface CaseResult {
	readonly status: number;
	readonly stdout: string;
	readonly stderr: string;
}

/** What one side did with a group. */
export interface SideResult {
	readonly cases: ReadonlyMap<string, CaseResult>;
	/** What the side itself said on its standard error, and its log: shown when a case has no result. */
	readonly note: string;
}

/** The folder of the cases' sources. */
export const conformanceFolder = join(checkoutRoot, 'runtime/conformance');

const environment = ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'HOME=/tmp', 'LANG=C.UTF-8', 'TERM=xterm'];

/** The driver's argv for `files`, which lie in the cases' folder. */
function driverArguments(files: readonly string[], caseSeconds: number): string[] {
	return ['/bin/sh', '/mnt/driver.sh', `${caseSeconds}`, ...files];
}

/** Runs `files` in a chroot of the tree on the host. `folder` is mounted on /mnt. */
export async function runOnHost(
	folder: string,
	files: readonly string[],
	caseSeconds: number,
	capabilities: readonly string[] = [],
): Promise<SideResult> {
	const { stdout, stderr } = await runInChroot(folder, 'ro', driverArguments(files, caseSeconds), 'full', capabilities);
	return { cases: parseResults(stdout), note: stderr.toString() };
}

/** Runs one program in a chroot of the tree on the host, with `folder` on /mnt; rejects when it can't be started. */
export async function runInChroot(
	folder: string,
	mode: 'ro' | 'rw',
	args: readonly string[],
	tree: TreeName = 'full',
	moreCapabilities: readonly string[] = [],
): Promise<{ status: number; stdout: Buffer; stderr: Buffer }> {
	const point = mkdtempSync(join(tmpdir(), 'isopod-host-'));
	try {
		return await new Promise((resolve, reject) => {
			const unshare = ['-mpfuin', '--kill-child', '--propagation', 'private'];
			const script = ['sh', join(conformanceFolder, 'host.sh'), rootfsPath(tree), folder, point, mode];
			const child = spawn('unshare', [...unshare, ...script, ...args], {
				stdio: ['ignore', 'pipe', 'pipe'],
				env: { ...process.env, MORE_CAPABILITIES: moreCapabilities.map((name) => `,+${name.slice(4).toLowerCase()}`).join('') },
			});
			const stdout: Buffer[] = [];
			const stderr: Buffer[] = [];
			child.stdout.on('data', (bytes: Buffer) => stdout.push(bytes));
			child.stderr.on('data', (bytes: Buffer) => stderr.push(bytes));
			child.on('error', reject);
			child.on('close', (code) => resolve({ status: code ?? -1, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr) }));
		});
	} finally {
		rmSync(point, { recursive: true, force: true });
	}
}

/** Runs `files` in a container. `folder` is mounted on /mnt. */
export async function runInGuest(
	folder: string,
	files: readonly string[],
	caseSeconds: number,
	timeoutMs: number,
	capabilities: readonly string[] = [],
): Promise<SideResult> {
	const result = await runProgramInGuest(folder, driverArguments(files, caseSeconds), 'full', timeoutMs, capabilities);
	const end = result.hasTimedOut ? 'killed at its time limit' : `status ${result.status}`;
	return { cases: parseResults(result.stdout), note: `${end}\n${result.stderr.toString()}${result.log.slice(-4000)}` };
}

/** Runs one program in a container on a tree, with `folder` on /mnt. */
export function runProgramInGuest(
	folder: string,
	args: readonly string[],
	tree: TreeName,
	timeoutMs: number,
	moreCapabilities: readonly string[] = [],
): Promise<ContainerResult> {
	return runContainer({
		capabilities: [...defaultCapabilities, ...moreCapabilities],
		root: rootfsPath(tree),
		isReadonly: true,
		args,
		env: environment,
		mounts: [
			{ destination: '/tmp', type: 'tmpfs', source: 'tmpfs', options: ['mode=1777'] },
			{ destination: '/mnt', type: 'bind', source: folder, options: ['bind', 'ro'] },
		],
		timeoutMs,
	});
}

/** Reads what the driver wrote. A result that breaks off is left out. */
function parseResults(bytes: Buffer): Map<string, CaseResult> {
	const results = new Map<string, CaseResult>();
	let offset = 0;
	for (;;) {
		const end = bytes.indexOf('\n', offset);
		const head = /^=CASE (\S+) (\d+) (\d+) (\d+)$/.exec(end < 0 ? '' : bytes.toString('latin1', offset, end));
		if (!head?.[1]) return results;
		const outEnd = end + 1 + Number(head[3]);
		const errEnd = outEnd + Number(head[4]);
		if (bytes.length <= errEnd) return results;
		results.set(head[1], {
			status: Number(head[2]),
			stdout: bytes.toString('latin1', end + 1, outEnd),
			stderr: bytes.toString('latin1', outEnd, errEnd),
		});
		offset = errEnd + 1;
	}
}
