import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { imageOf, imageServer, serve, tarOf } from '../../image/testing.js';
import { PodsBench, PROGRAM, podYaml, type ServerKind } from './testing.js';

/** What is sent to a local port and comes back. */
function talk(port: number, text: string): Promise<string> {
	return new Promise((resolve) => {
		let answer = '';
		const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }, () => socket.end(text));
		socket.setEncoding('utf8').on('data', (part: string) => {
			answer += part;
		});
		socket.on('error', () => undefined);
		socket.on('close', () => resolve(answer));
	});
}

/** Runs a shell's line at a terminal: the exit code and all that was shown. `onText` may type an answer to what has been shown by now. */
function onTerminal(
	bench: PodsBench,
	line: string,
	onText: (output: string, type: (text: string) => void) => void = () => undefined,
): Promise<{ readonly code: number | null; readonly output: string }> {
	const child = spawn('script', ['--quiet', '--return', '--command', line, '/dev/null'], {
		stdio: ['pipe', 'pipe', 'inherit'],
		env: bench.environment,
		timeout: 20_000,
	});
	let output = '';
	child.stdout.setEncoding('utf8').on('data', (text: string) => {
		output += text;
		onText(output, (typed) => child.stdin.write(typed));
	});
	return new Promise((resolve) => child.once('close', (code) => resolve({ code, output })));
}

/** Starts the pod `web`, whose container `main` echoes on port 8080 and whose `side` is `cat`. */
async function startWeb(t: Test, bench: PodsBench): Promise<void> {
	const script = 'ln -s busybox /bin/tar; for i in 1 2 3; do echo line $i; done; echo err >&2; while :; do nc -l -p 8080 -e cat; done';
	const side = '    - {name: side, image: "localhost/busybox:1", command: [sh, -c, "echo side; exec cat"], stdin: true}\n';
	const web = `${podYaml('web', script)}${side}`;
	const { code, stderr } = await bench.runWith(web, 'pod', 'run', '-d', '-');
	t.equal(code, 0, stderr);
	await bench.spawn('logs', '-f', 'web').until(/line 3/);
}

/** What works on containers that run, at a server of one kind. */
export function testCommands(kind: ServerKind): void {
	t.test(kind, async (t) => {
		const bench = await PodsBench.start(kind);
		t.teardown(() => bench.stop());
		await startWeb(t, bench);

		t.test('ps: formats, filters', async (t) => {
			const { stdout } = await bench.run('ps');
			t.match(stdout, /^CONTAINER ID +IMAGE +CREATED +STATE +NAME +RESTARTS +POD\n/);
			t.match(stdout, /^\w{13} +localhost\/busybox:1 +\d+s ago +Running +main +0 +web$/m);
			t.match((await bench.run('ps', '-o', 'wide', '--no-trunc')).stdout, /^\w{64} .* default +\w{64} +isopod$/m);
			const list = JSON.parse((await bench.run('ps', '-o', 'json')).stdout) as { name: string; state: string; pod: string }[];
			t.match(
				list.find(({ name }) => name === 'main'),
				{ state: 'Running', pod: 'web' },
			);
			t.match((await bench.run('ps', '-o', 'yaml', '--pod', 'web')).stdout, /^- id: /);
			t.same((await bench.run('ps', '-o', 'name')).stdout.trim().split('\n').sort(), ['web/main', 'web/side']);
			t.match(await bench.run('ps', '--pod', 'nothing'), { code: 1, stderr: 'isopod: pod "nothing" not found\n' });
			const nobody = await bench.run('ps', '-r', 'unix:///nonexistent/socket');
			t.match(nobody, { code: 1, stderr: /^isopod: no CRI server answers at unix:\/\/\/nonexistent\/socket: / });
		});

		t.test('logs', async (t) => {
			t.match(await bench.run('logs', 'web'), { code: 0, stdout: 'line 1\nline 2\nline 3\n', stderr: 'err\n' });
			t.equal((await bench.run('logs', '--tail', '0', 'web/main')).stdout, '');
			t.equal((await bench.run('logs', '--tail', '1', 'side')).stdout, 'side\n');
			t.match((await bench.run('logs', '--timestamps', '-c', 'main', 'web')).stdout, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\S* line 1\n/);
			t.equal((await bench.run('logs', '--since', '1h', 'side')).stdout, 'side\n');
			t.equal((await bench.run('logs', '--since', '2100-01-01T00:00:00Z', 'side')).stdout, '');
			t.match(await bench.run('logs', '-p', 'web'), { code: 1, stderr: /previous terminated container "main" in pod "web" not found/ });
			t.match(await bench.run('logs', '--since', 'soon', 'web'), { code: 1, stderr: /--since: want a duration/ });
			t.match(await bench.run('logs', 'web/nothing'), { code: 1, stderr: /not found/ });
		});

		t.test('exec: streams, exit codes, a terminal', async (t) => {
			t.match(await bench.run('exec', 'web', '--', 'sh', '-c', 'echo out; echo err >&2; exit 7'), {
				code: 7,
				stdout: 'out\n',
				stderr: 'err\n',
			});
			t.equal(
				(await bench.runWith('typed', 'exec', '-i', 'web', '-c', 'side', '--', 'cat', '-')).stdout,
				'typed',
				'options after the name',
			);
			t.equal((await bench.runWith('typed', 'exec', '-i', '-c', 'side', 'web', '--', 'cat')).stdout, 'typed');
			const large = Buffer.alloc(3_000_000, 'some bytes\n').toString('latin1');
			t.ok((await bench.runWith(large, 'exec', '-i', 'web', 'cat')).stdout === large);
			const missing = await bench.run('exec', 'web', 'nothing');
			t.match(missing, { code: 1, stderr: /nothing.*executable file not found/ });
			const typed = `'tty; until stty size | grep "33 91"; do sleep 0.1; done; read line; echo got:$line; exit 5'`;
			const command = `${PROGRAM} exec -it web -- sh -c ${typed}`;
			let isTyped = false;
			const { code, output } = await onTerminal(bench, `stty cols 91 rows 33; ${command}`, (shown, type) => {
				if (!isTyped && shown.includes('33 91')) type('hello\r');
				isTyped ||= shown.includes('33 91');
			});
			t.equal(code, 5, output);
			t.match(output, /\/dev\/pts\/\d/);
			t.match(output, /got:hello/);
		});

		t.test('attach', async (t) => {
			const attached = bench.spawn('attach', '-i', 'web/side');
			attached.child.stdin!.write('to cat\n');
			await attached.until(/to cat/);
			attached.child.kill('SIGKILL');
			t.match((await bench.run('logs', 'web/side')).stdout, 'side\nto cat\n');
		});

		t.test('cp: files and folders, both ways', async (t) => {
			const tree = join(bench.folder, 'tree-to-copy');
			mkdirSync(join(tree, 'deep/er'), { recursive: true });
			writeFileSync(join(tree, 'deep/er/file'), Buffer.alloc(1_000_000, 'x'));
			writeFileSync(join(tree, 'program'), '#!/bin/sh\necho ran\n', { mode: 0o755 });
			symlinkSync('program', join(tree, 'link'));
			t.match(await bench.run('cp', tree, 'web:/tmp/there'), { code: 0, stderr: '' });
			t.match(
				(await bench.run('exec', 'web', '--', 'sh', '-c', '/tmp/there/link; wc -c </tmp/there/deep/er/file')).stdout,
				/^ran\n1000000\n$/,
			);
			t.equal((await bench.run('cp', join(tree, 'program'), 'web/main:/tmp/')).code, 0);
			t.equal((await bench.run('exec', 'web', '/tmp/program')).stdout, 'ran\n');
			const back = join(bench.folder, 'back');
			const copied = await bench.run('cp', 'web:/tmp/there', back);
			t.match(copied, { code: 0, stderr: /skipping \.\/there\/link: a symlink/ });
			t.equal(readFileSync(join(back, 'deep/er/file')).length, 1_000_000);
			t.equal((await bench.run('cp', '-c', 'main', 'web:/tmp/program', back)).code, 0);
			t.equal(readFileSync(join(back, 'program'), 'utf8'), '#!/bin/sh\necho ran\n');
			t.match(await bench.run('cp', 'web:/nothing', back), { code: 1, stderr: /nothing/ });
			t.match(await bench.run('cp', '/etc/hostname', '/tmp/x'), { code: 1, stderr: /NAME:PATH/ });
			t.match(await bench.run('cp', '/nonexistent', 'web:/tmp'), { code: 1, stderr: /ENOENT/ });
		});

		t.test('port-forward', async (t) => {
			const forward = bench.spawn('port-forward', 'web', ':8080');
			await forward.until(/Forwarding from 127\.0\.0\.1:\d+ -> 8080/);
			const [, port] = /127\.0\.0\.1:(\d+)/.exec(forward.stdout)!;
			t.equal(await talk(Number(port), 'echoed'), 'echoed');
			// Between two connections nobody listens for a moment.
			let again = '';
			for (let tries = 0; again === '' && tries < 50; tries++) again = await talk(Number(port), 'again');
			t.equal(again, 'again');
			t.match(forward.stdout, /Handling connection for/);
			forward.child.kill('SIGINT');
			t.equal((await forward.ended).code, 130);
			t.match(await bench.run('port-forward', 'web', 'http'), { code: 1, stderr: /want ports/ });
		});
	});
}

/** What shows, pulls, completes and removes, at a server of one kind. */
export function testOverview(kind: ServerKind): void {
	t.test(kind, async (t) => {
		const bench = await PodsBench.start(kind);
		t.teardown(() => bench.stop());
		await startWeb(t, bench);

		t.test('stats, top, inspect, images', async (t) => {
			const stats = await bench.run('stats', 'web');
			t.match(stats.stdout, /^CONTAINER +POD +NAME +CPU % +MEM +LIMIT/, stats.stderr);
			t.match(stats.stdout, /^\w{13} +web +main +[\d.]+ +[\d.]+[KM]iB/m);
			t.equal((JSON.parse((await bench.run('stats', '-o', 'json', 'web/side')).stdout) as object[]).length, 1);
			const live = await onTerminal(bench, `stty cols 120 rows 10; timeout --preserve-status --signal INT 3 ${PROGRAM} stats`);
			t.equal(live.code, 0);
			t.ok((live.output.match(/CONTAINER +POD/g) ?? []).length >= 2, 'it is drawn again and again');
			t.ok(live.output.endsWith('\x1b[?1049l\x1b[?25h'), 'the terminal is left as it was');
			t.match((await bench.run('top', 'web')).stdout, /^main +1 +0 +\w +\S+ +\S+ +sh -c /m);
			t.match(JSON.parse((await bench.run('inspect', 'web/main')).stdout), { state: 'Running', metadata: { name: 'main' } });
			t.match((await bench.run('inspect', '-o', 'yaml', 'web')).stdout, /^state: Ready$/m);
			t.match((await bench.run('inspect', '--type', 'image', 'localhost/busybox:1')).stdout, /"localhost\/busybox:1"/);
			t.match(await bench.run('inspect', 'nothing'), { code: 1, stderr: /no pod, container or image/ });
			t.match((await bench.run('images')).stdout, /^localhost\/busybox +1 +\w{13} +[\d.]+MiB$/m);
			t.match(await bench.run('rmi', 'localhost/nothing:1'), { code: 1, stderr: /not found/ });
		});

		t.test('pull: lines in a pipe, a bar on a terminal; rmi', async (t) => {
			const image = imageOf([await tarOf([{ name: 'file', body: randomBytes(1_000_000) }])]);
			const isLayer = (url = ''): boolean => /blobs/.test(url) && (image.blobs.get(url.split('/').at(-1)!)?.length ?? 0) > 100_000;
			const { host } = await serve(
				t,
				imageServer(image, ({ url, headers }, response) => {
					if (!isLayer(url) || headers.range !== undefined) return false;
					const blob = image.blobs.get(url!.split('/').at(-1)!)!;
					response.writeHead(200, { 'content-length': blob.length }).write(blob.subarray(0, blob.length / 2));
					setTimeout(() => response.end(blob.subarray(blob.length / 2)), 1500);
					return true;
				}),
			);
			const name = `${host}/test/image:1`;
			const { code, output } = await onTerminal(bench, `stty cols 200; ${PROGRAM} pull ${name}`);
			t.equal(code, 0, output);
			t.match(output, `Pulling ${name}`);
			if (kind === 'isopod serve') t.match(output, /█░+ \d\d % of \d+KiB/);
			t.match(output, new RegExp(`Pulled ${name} in [\\d.]+ s`));
			t.match(await bench.run('pull', name), { code: 0, stderr: new RegExp(`^Pulling ${name}\nPulled ${name} in `), stdout: /sha256:/ });
			t.match((await bench.run('images')).stdout, new RegExp(`^${host}/test/image +1 `, 'm'));
			t.match(await bench.run('rmi', name), { code: 0, stdout: `${name}\n` });
			t.notMatch((await bench.run('images')).stdout, host);
			t.match(await bench.run('pull', 'UPPER CASE'), { code: 1, stderr: /^Pulling UPPER CASE\nisopod: pull UPPER CASE: / });
		});

		t.test('completion by bash itself', async (t) => {
			const words = (line: string): Promise<string> =>
				new Promise((resolve) => {
					const path = `${dirname(PROGRAM)}:${process.env['PATH']}`;
					const program = `source <(isopod completion bash); COMP_WORDS=(${line}); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _isopod; printf '%s ' "\${COMPREPLY[@]}"`;
					const child = spawn('bash', ['-c', program], { env: { ...bench.environment, PATH: path } });
					let output = '';
					child.stdout.on('data', (chunk: Buffer) => {
						output += chunk.toString();
					});
					child.once('close', () => resolve(output.trim()));
				});
			t.equal(await words('isopod po'), 'pod port-forward');
			t.equal(await words('isopod pod r'), 'run rm');
			t.equal(await words('isopod logs --f'), '--follow');
			t.equal(await words('isopod ps -o w'), 'wide');
			t.equal(await words('isopod port-forward w'), 'web');
			t.match((await words('isopod exec web/')).split(' ').sort(), ['web/main', 'web/side']);
			t.equal(await words('isopod rmi localhost/b'), 'localhost/busybox:1');
		});

		t.test('events, stop, rm', async (t) => {
			const events = bench.spawn('events', '-o', 'json');
			const pod = podYaml('short', 'exit 4');
			// The first look of one who asks again and again shows nothing.
			await new Promise((then) => setTimeout(then, 1000));
			await bench.runWith(pod.replace('[sh, -c, "exit 4"]', '[sh, -c, "sleep 2; exit 4"]'), 'pod', 'run', '-');
			await events.until(/"deleted"/);
			events.child.kill('SIGINT');
			const lines = (await events.ended).stdout
				.trim()
				.split('\n')
				.map((line) => JSON.parse(line) as { kind: string; container: string });
			t.match(
				lines.filter(({ container }) => container === 'main').map(({ kind: what }) => what),
				['created', 'started', 'stopped'],
			);
			t.match(
				lines.find(({ kind: what, container }) => what === 'stopped' && container === 'main'),
				{
					pod: 'short',
					// containerd 1.6 has no events: a container that is removed at once is seen no more.
					...(kind === 'containerd' ? {} : { exitCode: 4 }),
				},
			);
			t.match(await bench.run('rm', 'web/side'), { code: 1, stderr: /is running/ });
			t.match(await bench.run('stop', '-t', '0', 'web/side'), { code: 0, stdout: 'web/side\n' });
			t.equal((await bench.run('ps', '-q')).stdout.trim().split('\n').length, 1);
			t.match(await bench.run('rm', 'web/side'), { code: 0 });
			t.match(await bench.run('rm', '-f', 'web/main'), { code: 0 });
			t.equal((await bench.run('ps', '-a', '-q')).stdout, '');
			t.match(await bench.run('pod', 'rm', '-f', '--all'), { code: 0 });
		});
	});
}
