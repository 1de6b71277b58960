// The second half of `npm start`: an `isopod serve` of its own, one pod for each handler from a pod YAML, and the commands that show them.

import { spawn, spawnSync } from 'node:child_process';
import { createReadStream, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rootfsPath } from './rootfs.mjs';
import { root } from './steps.mjs';

const IMAGE = 'localhost/demo:1';
const BRIDGE = 'isopod-demo0';
const HANDLERS = ['isopod', 'isopod-vm'];
const START_LIMIT_MS = 30_000;

/** Runs it; the exit status. Leaves nothing, also when it is interrupted. */
export async function showPods() {
	const folder = mkdtempSync(join(tmpdir(), 'isopod-demo-'));
	const isopod = join(root, 'native/build/isopod');
	const socket = `unix://${folder}/isopod.sock`;
	const stop = new AbortController();
	const interrupted = () => stop.abort();
	for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, interrupted);
	/** Shows a command and runs it. */
	const show = (...args) => {
		if (stop.signal.aborted) throw new Error('interrupted');
		process.stdout.write(`\n$ isopod ${args.join(' ').replaceAll(`${folder}/`, '')}\n`);
		const { status } = spawnSync(isopod, args, {
			stdio: ['ignore', 'inherit', 'inherit'],
			env: { ...process.env, CONTAINER_RUNTIME_ENDPOINT: socket },
		});
		if (status !== 0) throw new Error(`isopod ${args[0]} ended with ${status}`);
	};
	let server = null;
	try {
		await addImage(folder);
		writeNetwork(folder);
		const log = openSync(join(folder, 'log'), 'a');
		const args = ['serve', '--listen', socket, '--root', join(folder, 'root'), '--state', join(folder, 'state')];
		server = spawn(isopod, [...args, '--cni-conf-dir', join(folder, 'net.d')], { stdio: ['ignore', log, log] });
		process.stdout.write(
			'\nPods, by `isopod serve`: one in the guest kernel, one in a virtual machine (the first one boots what the next are clones of)\n',
		);
		await answers(isopod, socket, server, join(folder, 'log'));
		for (const handler of HANDLERS) {
			const file = join(folder, `${handler}.yaml`);
			writeFileSync(file, podYaml(handler));
			if (handler === HANDLERS[0]) process.stdout.write(`\n$ cat ${handler}.yaml\n${podYaml(handler)}`);
			show('pod', 'run', '-d', '--data-dir', join(folder, 'data'), file);
		}
		show('pod', 'ls');
		show('ps');
		for (const handler of HANDLERS) show('exec', `hello-${handler}`, '--', 'cat', '/proc/version');
		for (const handler of HANDLERS) show('logs', `hello-${handler}`);
		show('stats', '--no-stream');
		return 0;
	} catch (error) {
		process.stderr.write(`isopod: ${error instanceof Error ? error.message : String(error)}\n`);
		return 1;
	} finally {
		if (server !== null) {
			spawnSync(isopod, ['pod', 'rm', '--force', ...HANDLERS.map((handler) => `hello-${handler}`)], {
				stdio: 'ignore',
				env: { ...process.env, CONTAINER_RUNTIME_ENDPOINT: socket },
			});
			const ended = new Promise((then) => server.once('exit', then));
			server.kill('SIGTERM');
			if (server.exitCode === null && server.signalCode === null) await ended;
		}
		spawnSync('ip', ['link', 'delete', BRIDGE], { stdio: 'ignore' });
		rmSync(folder, { recursive: true, force: true });
		for (const signal of ['SIGINT', 'SIGTERM']) process.off(signal, interrupted);
	}
}

function podYaml(handler) {
	return `apiVersion: v1
kind: Pod
metadata:
  name: hello-${handler}
spec:
  runtimeClassName: ${handler}
  containers:
    - name: hello
      image: ${IMAGE}
      command: ["sh", "-c", "echo hello from $(hostname); exec sleep 1000"]
      resources:
        limits:
          memory: 64Mi
`;
}

/** Makes an image of the root filesystem that the set-up has built, in the server's store. */
async function addImage(folder) {
	process.env.ISOPOD_ADDON ??= join(root, 'build/Release/isopod.node');
	const { ImageStore } = await import(join(root, 'dist/shim/image/image-store.js'));
	const { writeArchive } = await import(join(root, 'dist/shim/image/testing-archive.js'));
	const archive = join(folder, 'image.tar');
	writeArchive(archive, rootfsPath('base'), IMAGE, { Cmd: ['sh'], Env: ['PATH=/usr/local/bin:/usr/bin:/bin'] });
	mkdirSync(join(folder, 'root'));
	const images = await ImageStore.open(join(folder, 'root/images'));
	await images.import(createReadStream(archive), IMAGE);
	await images.close();
	rmSync(archive);
}

/** A bridge of the demonstration's own, without a way out. */
function writeNetwork(folder) {
	mkdirSync(join(folder, 'net.d'));
	const ipam = { type: 'host-local', dataDir: join(folder, 'leases'), ranges: [[{ subnet: '10.213.77.0/24' }]] };
	const plugins = [{ type: 'bridge', bridge: BRIDGE, isGateway: true, ipam }];
	writeFileSync(join(folder, 'net.d/10-demo.conflist'), JSON.stringify({ cniVersion: '1.0.0', name: BRIDGE, plugins }));
}

async function answers(isopod, socket, server, log) {
	for (let waitedMs = 0; ; waitedMs += 100) {
		const { status } = spawnSync(isopod, ['ps', '-q'], { stdio: 'ignore', env: { ...process.env, CONTAINER_RUNTIME_ENDPOINT: socket } });
		if (status === 0) return;
		if (waitedMs > START_LIMIT_MS || server.exitCode !== null) throw new Error(`isopod serve doesn't start:\n${readFileSync(log, 'utf8')}`);
		await new Promise((then) => setTimeout(then, 100));
	}
}
