import type { Stream } from './stream.js';

/** What is known about a call beside its message. */
export interface CallContext {
	/** Metadata that came with it; the last of a name. */
	readonly metadata: ReadonlyMap<string, string>;
	/** Aborted when the caller's deadline has passed or its connection has ended: nobody waits for the answer. */
	readonly signal: AbortSignal;
}

/** A method with one request and one response, both as bytes. */
export interface UnaryMethod {
	readonly kind: 'unary';
	call(request: Uint8Array, context: CallContext): Promise<Uint8Array>;
}

/** A method whose caller and callee send messages until both are done. */
export interface StreamMethod {
	readonly kind: 'stream';
	call(stream: Stream, context: CallContext): Promise<void>;
}

/** Methods by their names. What isn't there is answered with UNIMPLEMENTED. */
export type Service = Readonly<Record<string, UnaryMethod | StreamMethod>>;

interface Decoder<T> {
	decode(bytes: Uint8Array): T;
}

interface Encoder<T> {
	encode(message: T): { finish(): Uint8Array };
}

/** A unary method out of the generated classes of its messages. */
export function unary<Request, Response>(
	request: Decoder<Request>,
	response: Encoder<Response>,
	call: (request: Request, context: CallContext) => Promise<Response> | Response,
): UnaryMethod {
	return {
		kind: 'unary',
		call: async (bytes, context) => response.encode(await call(request.decode(bytes), context)).finish(),
	};
}
