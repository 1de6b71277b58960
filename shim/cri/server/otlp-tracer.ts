import {
	type Context,
	DiagLogLevel,
	diag,
	ROOT_CONTEXT,
	type Span,
	SpanKind,
	SpanStatusCode,
	type Tracer,
	trace,
} from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor, ParentBasedSampler, TraceIdRatioBasedSampler } from '@opentelemetry/sdk-trace-base';
import { CriError } from './cri-error.js';
import { type Attributes, type CallTracer, type TracedStep, within } from './tracing.js';

export interface OtlpOptions {
	/** A collector of OTLP over HTTP: `http://host:4318`. */
	readonly endpoint: string;
	/** Calls of a million that are traced when their callers don't say. */
	readonly samplingPerMillion: number;
	/** This program's. */
	readonly version: string;
	/** Told why spans could not be sent. */
	readonly onLost: (message: string) => void;
}

const MILLION = 1_000_000;
/** Of one try to send. A collector that doesn't answer costs spans, never a call. */
const SEND_MS = 5000;
/** Between two sends. */
const DELAY_MS = 1000;
/** Spans that wait for a send; those above are dropped. */
const MAX_WAITING = 4096;

/** Traces calls as OpenTelemetry's semantic conventions for RPC say, and sends them to a collector. */
export class OtlpTracer implements CallTracer {
	private readonly provider: BasicTracerProvider;
	private readonly tracer: Tracer;
	private readonly propagator = new W3CTraceContextPropagator();

	constructor({ endpoint, samplingPerMillion, version, onLost }: OtlpOptions) {
		const tell = (message: string): void => onLost(`Send traces to ${endpoint}: ${message}`);
		const ignore = (): void => undefined;
		diag.setLogger({ error: tell, warn: tell, info: ignore, debug: ignore, verbose: ignore }, DiagLogLevel.WARN);
		const exporter = new OTLPTraceExporter({ url: `${endpoint.replace(/\/$/, '')}/v1/traces`, timeoutMillis: SEND_MS });
		this.provider = new BasicTracerProvider({
			resource: resourceFromAttributes({ 'service.name': 'isopod-serve', 'service.version': version }),
			sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(samplingPerMillion / MILLION) }),
			spanProcessors: [
				new BatchSpanProcessor(exporter, {
					...{ scheduledDelayMillis: DELAY_MS, maxQueueSize: MAX_WAITING, exportTimeoutMillis: SEND_MS },
				}),
			],
		});
		this.tracer = this.provider.getTracer('isopod-serve', version);
	}

	call<T>(service: string, method: string, header: (name: string) => string | undefined, action: () => Promise<T>): Promise<T> {
		const parent = this.propagator.extract(ROOT_CONTEXT, header, { get: (from, name) => from(name), keys: () => [] });
		const attributes = { 'rpc.system': 'grpc', 'rpc.service': service, 'rpc.method': method };
		const span = this.tracer.startSpan(`${service}/${method}`, { kind: SpanKind.SERVER, attributes }, parent);
		return run(this.tracer, span, parent, action, (code) => span.setAttribute('rpc.grpc.status_code', code));
	}

	/** Never rejects: what can't be sent now is lost. */
	async close(): Promise<void> {
		await this.provider.shutdown().catch(() => undefined);
	}
}

/** A span as a step. */
class SpanStep implements TracedStep {
	constructor(
		private readonly tracer: Tracer,
		private readonly context: Context,
	) {}

	part<T>(name: string, attributes: Attributes, action: () => Promise<T>): Promise<T> {
		return run(this.tracer, this.tracer.startSpan(name, { attributes }, this.context), this.context, action);
	}
}

/** Runs `action` and ends `span` with it. */
async function run<T>(tracer: Tracer, span: Span, parent: Context, action: () => Promise<T>, onCode?: (code: number) => void): Promise<T> {
	try {
		const result = await within(new SpanStep(tracer, trace.setSpan(parent, span)), action);
		onCode?.(0);
		return result;
	} catch (error) {
		const { code, message } = CriError.from(error);
		onCode?.(code);
		span.setStatus({ code: SpanStatusCode.ERROR, message });
		throw error;
	} finally {
		span.end();
	}
}
