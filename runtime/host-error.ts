import { constants } from 'node:os';

const NAMES = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));

/** A failure of the host: the step that failed, what the host said, and the cause. */
export class HostError extends Error {
	constructor(
		/** What was tried: starts with a verb. */
		readonly step: string,
		/** The errno's name, or "UNKNOWN". */
		readonly code: string,
		options?: ErrorOptions,
	) {
		super(`${step}: ${code}`, options);
		this.name = 'HostError';
	}

	static errno(step: string, errno: number): HostError {
		return new HostError(step, NAMES.get(errno) ?? `errno ${errno}`);
	}

	/** One of anything that was thrown. */
	static from(step: string, error: unknown): HostError {
		if (error instanceof HostError) return error;
		const code = error instanceof Error && 'code' in error ? String(error.code) : 'UNKNOWN';
		return new HostError(error instanceof Error ? `${step}: ${error.message}` : step, code, { cause: error });
	}
}
