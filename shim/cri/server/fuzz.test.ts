import { connect, type Socket } from 'node:net';
import { Client, credentials } from '@grpc/grpc-js';
import fc from 'fast-check';
import t from 'tap';
import { STREAMING, UNARY } from '../methods.js';
import { IMAGE, ServeBench } from './testing.js';

const bench = new ServeBench();
await bench.start();
t.teardown(() => bench.stop());
const client = new Client(`unix:${bench.socket}`, credentials.createInsecure(), { 'grpc.default_authority': 'localhost' });
t.teardown(() => client.close());

const RUNS = 400;
const CALL_MS = 10_000;
/** What no call is to answer: the server's own failure to answer, and its death. */
const NO_ANSWER = [4, 14];
const INVALID_ARGUMENT = 3;
const namespaceOptions = { network: 0, pid: 1, ipc: 0 };
const METHODS = Object.entries(UNARY).flatMap(([service, methods]) => Object.keys(methods).map((name) => `${service}/${name}`));

const { podSandboxId } = await bench.cri.call('RunPodSandbox', {
	config: { metadata: { name: 'fuzz', uid: 'fuzz' }, linux: { securityContext: { namespaceOptions } } },
});

/** Requests that make sense, of which mutations are made. */
const SEEDS: readonly Seed[] = [
	seed('RunPodSandbox', {
		config: {
			metadata: { name: 'fuzzed', uid: 'fuzzed', namespace: 'default', attempt: 1 },
			...{ hostname: 'fuzzed', labels: { a: 'b' }, annotations: { c: 'd' }, dnsConfig: { servers: ['10.0.0.1'], searches: ['x'] } },
			portMappings: [{ hostPort: 0, containerPort: 80 }],
			linux: { sysctls: { 'net.core.somaxconn': '100' }, securityContext: { namespaceOptions } },
		},
	}),
	seed('CreateContainer', {
		podSandboxId,
		config: {
			...{ metadata: { name: 'fuzzed' }, image: { image: IMAGE }, command: ['/bin/sh'], args: ['-c', 'true'], workingDir: '/' },
			envs: [{ key: 'A', value: 'b' }],
			linux: {
				resources: { memoryLimitInBytes: 64 << 20, cpuShares: 100, oomScoreAdj: 10 },
				securityContext: {
					namespaceOptions,
					runAsUser: { value: 5 },
					capabilities: { addCapabilities: ['NET_RAW'] },
					seccomp: { profileType: 0 },
				},
			},
		},
	}),
	seed('ListContainers', { filter: { id: 'x', state: { state: 1 }, labelSelector: { a: 'b' } } }),
	seed('ExecSync', { containerId: 'x', cmd: ['true'], timeout: 1 }),
	seed('Exec', { containerId: 'x', cmd: ['true'], stdout: true }),
	seed('UpdatePodSandboxResources', { podSandboxId, resources: { cpuShares: 3 } }),
	seed('ListPodSandboxStats', { filter: { id: 'x', labelSelector: { a: 'b' } } }),
];

interface Seed {
	readonly path: string;
	readonly fields: object;
	encode(fields: object): Uint8Array;
}

function seed<N extends keyof (typeof UNARY)['RuntimeService']>(name: N, fields: object): Seed {
	const [type] = UNARY.RuntimeService[name] as unknown as readonly [
		{ create(fields: object): object; encode(message: object): { finish(): Uint8Array } },
	];
	return { path: `RuntimeService/${name}`, fields, encode: (changed) => type.encode(type.create(changed)).finish() };
}

const STRINGS = ['', '/', '../../x', '\0', '__proto__', 'a'.repeat(5000), '-1', ' ', 'ü', 'constructor', 'a:b:c', '=', '\n'];
const NUMBERS = [-1, 0, 1, 2, 77, 2 ** 31 - 1, -(2 ** 31), 2 ** 53 - 1, -(2 ** 53 - 1)];

/** Replaces values of a request by others of their type: `choices` says which, and by what. */
function distort(value: unknown, choices: readonly number[], state = { at: 0 }): unknown {
	if (Array.isArray(value)) return value.map((item) => distort(item, choices, state));
	if (typeof value === 'object' && value !== null)
		return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, distort(item, choices, state)]));
	const choice = choices[state.at++ % choices.length] ?? 0;
	// Most stay as they are.
	if (choice % 8 !== 0) return value;
	const index = Math.floor(choice / 8);
	if (typeof value === 'string') return STRINGS[index % STRINGS.length];
	return typeof value === 'number' ? NUMBERS[index % NUMBERS.length] : !value;
}

/** The status code of a call of raw bytes. */
function call(path: string, bytes: Uint8Array): Promise<number> {
	return new Promise((resolve) => {
		client.makeUnaryRequest(
			`/runtime.v1.${path}`,
			(raw: Uint8Array) => Buffer.from(raw),
			(raw: Buffer) => raw,
			bytes,
			{ deadline: Date.now() + CALL_MS },
			(error) => resolve(error?.code ?? 0),
		);
	});
}

/** Changes to bytes: some are replaced, taken out, put in twice, and the end may be missing. */
const mutations = fc.array(
	fc.record({
		kind: fc.constantFrom('set', 'cut', 'repeat', 'end'),
		at: fc.nat(),
		length: fc.integer({ min: 1, max: 8 }),
		value: fc.nat(255),
	}),
	{
		minLength: 1,
		maxLength: 6,
	},
);

function mutate(bytes: Uint8Array, changes: typeof mutations extends fc.Arbitrary<infer T> ? T : never): Uint8Array {
	let result = Buffer.from(bytes);
	for (const { kind, at, length, value } of changes) {
		const from = result.length === 0 ? 0 : at % result.length;
		const part = result.subarray(from, from + length);
		if (kind === 'set') part.fill(value);
		else if (kind === 'cut') result = Buffer.concat([result.subarray(0, from), result.subarray(from + length)]);
		else if (kind === 'repeat') result = Buffer.concat([result.subarray(0, from), part, result.subarray(from)]);
		else result = result.subarray(0, from);
	}
	return result;
}

async function isWell(): Promise<boolean> {
	return (await bench.cri.call('Version', {})).runtimeName === 'isopod' && !bench.log.includes('A mistake of the server');
}

t.test('random bytes as requests of all methods', async (t) => {
	await fc.assert(
		fc.asyncProperty(
			fc.constantFrom(...METHODS),
			fc.uint8Array({ maxLength: 64 }),
			async (path, bytes) => !NO_ANSWER.includes(await call(path, bytes)),
		),
		{ numRuns: RUNS },
	);
	t.ok(await isWell());
});

t.test('requests that make sense, mutated', async (t) => {
	const codes = new Map<number, number>();
	await fc.assert(
		fc.asyncProperty(
			fc.constantFrom(...SEEDS),
			mutations,
			fc.array(fc.nat(), { minLength: 30, maxLength: 30 }),
			fc.boolean(),
			async ({ path, fields, encode }, changes, choices, areBytes) => {
				const bytes = areBytes ? mutate(encode(fields), changes) : encode(distort(fields, choices) as object);
				const code = await call(path, bytes);
				codes.set(code, (codes.get(code) ?? 0) + 1);
				return !NO_ANSWER.includes(code);
			},
		),
		{ numRuns: RUNS },
	);
	t.ok(await isWell());
	t.ok(
		[0, INVALID_ARGUMENT].every((code) => (codes.get(code) ?? 0) > RUNS / 50),
		`some are taken, some refused: ${[...codes]}`,
	);
});

t.test('connections that say nothing, nonsense, or stop half-way', async (t) => {
	const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
	const openings = [
		'',
		'GET / HTTP/1.1\r\n\r\n',
		PREFACE,
		`${PREFACE}\0\0\x04\x08\0\0\0\0\0`,
		`${PREFACE}${'\xff'.repeat(500)}`,
		'\0'.repeat(1000),
	];
	const sockets: Socket[] = [];
	for (let at = 0; at < 60; at++) {
		const socket = connect(bench.socket);
		socket.on('error', () => undefined);
		socket.write(Buffer.from(openings[at % openings.length] ?? '', 'latin1'));
		sockets.push(socket);
	}
	t.ok(await isWell(), 'with all of them open');
	for (const socket of sockets) socket.destroy();
	t.ok(await isWell());
});

t.test('streams that nobody reads, and that are given up', async (t) => {
	const calls = [];
	for (let at = 0; at < 50; at++)
		for (const name of Object.keys(STREAMING.RuntimeService)) {
			const call = client.makeServerStreamRequest(
				`/runtime.v1.RuntimeService/${name}`,
				(raw: Uint8Array) => Buffer.from(raw),
				(raw: Buffer) => raw,
				new Uint8Array(),
			);
			call.on('error', () => undefined);
			calls.push(call);
		}
	t.ok(await isWell());
	for (const call of calls) call.cancel();
	t.ok(await isWell());
});

t.test('nothing is left of what was not whole', async (t) => {
	const { cri } = bench;
	for (const { id } of (await cri.call('ListPodSandbox', {})).items) await cri.call('RemovePodSandbox', { podSandboxId: id ?? '' });
	t.strictSame(bench.leftovers, []);
	t.strictSame(bench.processes, []);
	if (!t.passing()) t.comment(bench.log.split('\n').filter((line) => /"level":[45]0/.test(line) && !/INVALID_ARGUMENT/.test(line)));
});
