import { type ServiceError, status } from '@grpc/grpc-js';
import { CriClient } from '../../cri/client.js';

export const DEFAULT_ENDPOINT = 'unix:///run/isopod/isopod.sock';

/** The server that commands speak to. */
export class Connection {
	readonly client: CriClient;

	/** `endpoint` is `unix:///path` or a path. Throws Error for what is neither. */
	constructor(
		readonly endpoint: string,
		/** How long a quick call may take. */
		readonly timeoutMs: number,
	) {
		const path = endpoint.replace(/^unix:(\/\/)?/, '');
		if (!path.startsWith('/'))
			throw new Error(`--runtime-endpoint: want a unix socket such as ${DEFAULT_ENDPOINT}, got ${JSON.stringify(endpoint)}`);
		this.client = new CriClient(path);
	}

	/** One quick call. Rejects with the server's words. */
	readonly call: CriClient['call'] = async (name, fields, timeoutMs = this.timeoutMs) => {
		try {
			return await this.client.call(name, fields, timeoutMs);
		} catch (error) {
			throw this.explain(error, timeoutMs);
		}
	};

	private explain(error: unknown, timeoutMs: number): unknown {
		if (!isServiceError(error)) return error;
		if (error.code === status.UNAVAILABLE && /connect|No connection/.test(error.details))
			return new Error(
				`no CRI server answers at ${this.endpoint}: start one with "isopod serve", or name another with --runtime-endpoint`,
				{
					cause: error,
				},
			);
		if (error.code === status.DEADLINE_EXCEEDED)
			return new Error(`the server did not answer within ${timeoutMs / 1000} s`, { cause: error });
		return new Error(error.details || error.message, { cause: error });
	}

	close(): void {
		this.client.close();
	}
}

function isServiceError(error: unknown): error is ServiceError {
	return error instanceof Error && 'code' in error && 'details' in error;
}

function codeOf(error: unknown): unknown {
	const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
	return isServiceError(cause) ? cause.code : undefined;
}

/** The server has nothing of that name. */
export function isNotFound(error: unknown): boolean {
	return codeOf(error) === status.NOT_FOUND;
}

/** The server is not there, at least for now. */
export function isUnavailable(error: unknown): boolean {
	return codeOf(error) === status.UNAVAILABLE;
}

/** The server does not have that call. */
export function isUnimplemented(error: unknown): boolean {
	return codeOf(error) === status.UNIMPLEMENTED;
}
