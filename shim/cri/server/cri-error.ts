import { status } from '@grpc/grpc-js';
import { HostError } from '../../../runtime/host-error.js';
import { ConfigError } from '../../../runtime/oci/config.js';

/** What a client is told of a call that failed: a gRPC status code and words for the user. */
export class CriError extends Error {
	constructor(
		readonly code: status,
		message: string,
		options?: ErrorOptions,
	) {
		super(message, options);
		this.name = 'CriError';
	}

	/** One of anything that was thrown. */
	static from(error: unknown): CriError {
		if (error instanceof CriError) return error;
		const message = error instanceof Error ? error.message : String(error);
		if (error instanceof ConfigError) return new CriError(status.INVALID_ARGUMENT, message, { cause: error });
		const code = (error instanceof HostError ? CODES.get(error.code) : undefined) ?? status.UNKNOWN;
		return new CriError(code, message, { cause: error });
	}
}

/** What of the host's errors a client can tell from others. */
const CODES: ReadonlyMap<string, status> = new Map([
	['ENOENT', status.NOT_FOUND],
	['EINVAL', status.INVALID_ARGUMENT],
	['EEXIST', status.ALREADY_EXISTS],
	['EACCES', status.PERMISSION_DENIED],
	['ENOSPC', status.RESOURCE_EXHAUSTED],
	['EAGAIN', status.RESOURCE_EXHAUSTED],
]);

export function notFound(what: string): CriError {
	return new CriError(status.NOT_FOUND, `${what}: not found`);
}

export function invalid(message: string): CriError {
	return new CriError(status.INVALID_ARGUMENT, message);
}
