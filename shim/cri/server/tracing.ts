import { AsyncLocalStorage } from 'node:async_hooks';

/** A step of a call, which others may be part of. */
export interface TracedStep {
	/** Runs `action` as a part of this step. What it rejects with is told and passed on. */
	part<T>(name: string, attributes: Attributes, action: () => Promise<T>): Promise<T>;
}

/** What is known of a step: ids and names, never what a container says. */
export type Attributes = Readonly<Record<string, string | number>>;

/** Traces calls. */
export interface CallTracer {
	/** Runs a call; `header` gives what its caller sent: its place in the caller's own trace, if any. */
	call<T>(service: string, method: string, header: (name: string) => string | undefined, action: () => Promise<T>): Promise<T>;
	/** Sends what has not been sent. */
	close(): Promise<void>;
}

const current = new AsyncLocalStorage<TracedStep>();

/** Runs `action` as a step of the call that is being served; as it is when that is not traced. */
export function traced<T>(name: string, attributes: Attributes, action: () => Promise<T>): Promise<T> {
	const step = current.getStore();
	return step === undefined ? action() : step.part(name, attributes, action);
}

/** Runs `action` so that what it calls finds `step`. */
export function within<T>(step: TracedStep, action: () => Promise<T>): Promise<T> {
	return current.run(step, action);
}
