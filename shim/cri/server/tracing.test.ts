import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import t from 'tap';
import { methodOf, type Reply, type RequestFields, type UnaryName } from '../methods.js';
import { IMAGE, ServeBench } from './testing.js';

/** A span as OTLP's JSON has it. */
interface Span {
	readonly traceId: string;
	readonly spanId: string;
	readonly parentSpanId?: string;
	readonly name: string;
	readonly kind: number;
	/** Nanoseconds since 1970, in decimal. */
	readonly startTimeUnixNano: string;
	readonly endTimeUnixNano: string;
	readonly attributes: readonly { readonly key: string; readonly value: { readonly stringValue?: string; readonly intValue?: number } }[];
	readonly status: { readonly code: number; readonly message?: string };
}

const SERVER = 2;
const FAILED = 2;
const spans: Span[] = [];
const services = new Set<string>();
let isDeaf = false;

const collector = createServer((request, response) => {
	// One that takes a connection and never answers.
	if (isDeaf) return;
	const parts: Buffer[] = [];
	request.on('data', (part: Buffer) => parts.push(part));
	request.on('end', () => {
		const body = JSON.parse(Buffer.concat(parts).toString()) as {
			resourceSpans: { resource: { attributes: Span['attributes'] }; scopeSpans: { spans: Span[] }[] }[];
		};
		for (const { resource, scopeSpans } of body.resourceSpans) {
			services.add(resource.attributes.find(({ key }) => key === 'service.name')?.value.stringValue ?? '');
			for (const scope of scopeSpans) spans.push(...scope.spans);
		}
		response.writeHead(request.url === '/v1/traces' ? 200 : 404, { 'Content-Type': 'application/json' }).end('{}');
	});
});
await new Promise<void>((then) => collector.listen(0, '127.0.0.1', then));
t.teardown(() => {
	collector.closeAllConnections();
	collector.close();
});
const { port } = collector.address() as AddressInfo;
// Only what callers want to be traced.
const bench = new ServeBench(`[tracing]\nendpoint = "http://127.0.0.1:${port}"\nsampling_per_million = 0\n`);
await bench.start();
t.teardown(() => bench.stop());
const client = new Client(`unix:${bench.socket}`, credentials.createInsecure(), { 'grpc.default_authority': 'localhost' });
t.teardown(() => client.close());

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';

/** A call of a caller that traces. */
function call<N extends UnaryName>(name: N, fields: RequestFields<N>, traceparent = `00-${TRACE}-${PARENT}-01`): Promise<Reply<N>> {
	const { path, request, reply } = methodOf(name);
	const metadata = new Metadata();
	metadata.set('traceparent', traceparent);
	return new Promise((resolve, reject) => {
		client.makeUnaryRequest(
			path,
			(message: Parameters<typeof request.encode>[0]) => Buffer.from(request.encode(message).finish()),
			(bytes: Buffer) => reply.decode(bytes),
			request.create(fields),
			metadata,
			(error, answer?: Reply<N>) => (error === null ? resolve(answer!) : reject(error)),
		);
	});
}

/** Waits for the span of a call. */
async function spanOf(name: string): Promise<Span> {
	for (let tries = 0; tries < 200; tries++) {
		const found = spans.findLast((span) => span.name === `runtime.v1.RuntimeService/${name}`);
		if (found !== undefined) return found;
		await setTimeout(50);
	}
	throw new Error(`no span of ${name} among ${spans.map((span) => span.name).join(', ')}`);
}

function attribute(span: Span, key: string): string | number | undefined {
	const value = span.attributes.find((one) => one.key === key)?.value;
	return value?.stringValue ?? value?.intValue;
}

const partsOf = ({ spanId }: Span): Span[] => spans.filter(({ parentSpanId }) => parentSpanId === spanId);
const container = { metadata: { name: 'c' }, image: { image: IMAGE }, command: ['/bin/sleep', '1000'] };
const linux = { securityContext: { namespaceOptions: { network: 0, pid: 1, ipc: 0 } } };

t.test("a call is a part of its caller's trace, from the call to the sandbox to the first instruction", async (t) => {
	const { podSandboxId } = await call('RunPodSandbox', { config: { metadata: { name: 'p', uid: 'p' }, linux } });
	const { containerId } = await call('CreateContainer', { podSandboxId, config: { ...container, linux } });
	await call('StartContainer', { containerId });
	await t.rejects(call('StartContainer', { containerId }), { code: 9 });
	const run = await spanOf('RunPodSandbox');
	const create = await spanOf('CreateContainer');
	t.match(run, { traceId: TRACE, parentSpanId: PARENT, kind: SERVER });
	t.equal(attribute(run, 'rpc.method'), 'RunPodSandbox');
	t.equal(attribute(run, 'rpc.system'), 'grpc');
	t.equal(attribute(run, 'rpc.grpc.status_code'), 0);
	t.same(
		partsOf(run).map(({ name }) => name),
		['network', 'sandbox'],
	);
	t.same(
		partsOf(create).map(({ name }) => name),
		['root file system', 'sandbox'],
	);
	await spanOf('StartContainer');
	const starts = (): Span[] => spans.filter(({ name }) => name.endsWith('/StartContainer'));
	for (let tries = 0; starts().length < 2 && tries < 200; tries++) await setTimeout(50);
	const [start, again] = starts();
	t.same(
		partsOf(start!).map(({ name }) => name),
		['first instruction'],
	);
	const [first] = partsOf(start!);
	t.equal(first?.traceId, TRACE);
	t.equal(attribute(first!, 'isopod.container'), containerId);
	t.equal(attribute(first!, 'isopod.pod'), podSandboxId);
	t.ok(
		BigInt(first!.startTimeUnixNano) >= BigInt(start!.startTimeUnixNano) &&
			BigInt(first!.endTimeUnixNano) <= BigInt(start!.endTimeUnixNano),
	);
	t.equal(again?.status.code, FAILED, 'a call that fails is told as such');
	t.equal(attribute(again!, 'rpc.grpc.status_code'), 9);
	t.strictSame([...services], ['isopod-serve']);
	await bench.cri.call('RemovePodSandbox', { podSandboxId });
});

t.test('what the caller does not want to be traced is not, nor what has no caller that traces', async (t) => {
	spans.length = 0;
	await call('Status', {}, `00-${TRACE}-${PARENT}-00`);
	for (const nonsense of ['', 'x', `00-${'0'.repeat(32)}-${PARENT}-01`, 'a'.repeat(5000)]) await call('Status', {}, nonsense);
	await bench.cri.call('Status', {});
	await call('ListPodSandbox', {});
	await spanOf('ListPodSandbox');
	t.same(
		spans.map(({ name }) => name),
		['runtime.v1.RuntimeService/ListPodSandbox'],
	);
});

t.test('a collector that does not answer costs no call', async (t) => {
	isDeaf = true;
	const calls = Array.from({ length: 3000 }, () => call('Version', {}));
	t.ok((await Promise.all(calls)).every(({ runtimeName }) => runtimeName === 'isopod'));
	collector.closeAllConnections();
	isDeaf = false;
	t.notOk(bench.log.includes('A mistake of the server'));
});
