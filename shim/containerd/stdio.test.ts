import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Containerd, type Ended, IMAGE, RUNTIME } from './testing.js';

const containerd = new Containerd();
await containerd.start();
t.teardown(() => containerd.stop());

let count = 0;
/** `ctr run` of a script whose output goes to a URI. */
function run(uri: string, script: string): Ended {
	const id = `c${count++}`;
	return containerd.ctr(['run', '--rm', '--runtime', RUNTIME, '--log-uri', uri, IMAGE, id, '/bin/sh', '-c', script]);
}

/** The content of a file that a logger writes when it has seen all. */
async function whole(file: string): Promise<string> {
	for (let tries = 0; !existsSync(file); tries++) {
		if (tries > 200) throw new Error(`${file} is not written`);
		await new Promise((then) => setTimeout(then, 25));
	}
	return readFileSync(file, 'latin1');
}

/** A logger by containerd's rules: output on 3 and 4, and 5 is closed when it is ready. It says what it was given. */
function makeLogger(body: string): string {
	const file = join(containerd.folder, `logger${count}`);
	writeFileSync(file, `#!/bin/sh\n${body}\n`);
	chmodSync(file, 0o755);
	return file;
}

t.test('file:// takes both outputs, one after another', async (t) => {
	const file = join(containerd.folder, 'out.log');
	t.equal(run(`file://${file}`, 'echo one; echo two >&2; exit 4').code, 4);
	t.equal(run(`file://${file}`, 'echo three').code, 0);
	t.equal(readFileSync(file, 'utf8'), 'one\ntwo\nthree\n');
	t.match(run('file:///nowhere/out.log', 'true').stderr, /Open \/nowhere\/out\.log: ENOENT/);
	t.same(containerd.leftovers, []);
});

t.test('binary:// is a program of its own: outputs apart, arguments, names, nothing lost', async (t) => {
	const out = join(containerd.folder, 'binary');
	const logger = makeLogger(`exec 5>&-
cat <&4 >${out}.err &
md5sum <&3 >${out}.sum
wait
echo "$@ $CONTAINER_ID $CONTAINER_NAMESPACE" >${out}.new
mv ${out}.new ${out}.args`);
	const id = `c${count}`;
	const script = 'i=0; while [ $i -lt 20 ]; do head -c 1000000 /dev/zero; i=$((i+1)); done; echo err >&2; exit 9';
	t.equal(run(`binary://${logger}?-x=1&word=two`, script).code, 9);
	t.equal(await whole(`${out}.args`), `-x 1 word two ${id} default\n`);
	// What 20 MB of zeroes have.
	t.equal(readFileSync(`${out}.sum`, 'utf8').slice(0, 32), '10e4462c9d0b08e7f0b304c4fbfeafa3');
	t.equal(readFileSync(`${out}.err`, 'utf8'), 'err\n');
	t.same(containerd.leftovers, []);
});

t.test('a logger that is not there, ends at once or reads nothing', async (t) => {
	t.match(run('binary:///nowhere/logger', 'true').stderr, /Run the logger \/nowhere\/logger: .*ENOENT/);
	t.equal(run(`binary://${makeLogger('exit 3')}`, 'exit 5').code, 5);
	// Its readers gone, the program gets SIGPIPE as on a host.
	const deaf = makeLogger('exec 5>&-; exec 3<&-; exec 4<&-; sleep 0.1');
	t.equal(run(`binary://${deaf}`, 'sleep 0.5; sh -c "echo x; echo y"; exit $?').code, 141);
	t.same(containerd.leftovers, []);
});

t.test('a client of ctr that leaves: the program goes on, and a second one takes up its output', async (t) => {
	const script = 'i=0; while [ $i -lt 200 ]; do echo "line $i"; i=$((i+1)); sleep 0.02; done; exit 8';
	t.equal(containerd.ctr(['run', '--detach', '--runtime', RUNTIME, IMAGE, 'left', '/bin/sh', '-c', script]).code, 0);
	const first = containerd.startCtr(['task', 'attach', 'left']);
	const seen = await new Promise<string>((resolve) => first.stdout!.once('data', (bytes) => resolve(String(bytes))));
	t.match(seen, /^line \d+\n/);
	first.kill('SIGKILL');
	const { stdout, code } = containerd.ctr(['task', 'attach', 'left']);
	t.equal(code, 8);
	t.match(stdout, /line 199\n$/);
	containerd.ctr(['task', 'delete', 'left']);
	containerd.ctr(['container', 'delete', 'left']);
	t.same(containerd.leftovers, []);
});
