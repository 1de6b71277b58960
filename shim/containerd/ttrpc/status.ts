/** gRPC's status codes (google/rpc/code.proto), as ttrpc carries them. */
export const enum Code {
	Ok = 0,
	Canceled = 1,
	Unknown = 2,
	InvalidArgument = 3,
	DeadlineExceeded = 4,
	NotFound = 5,
	AlreadyExists = 6,
	ResourceExhausted = 8,
	FailedPrecondition = 9,
	Unimplemented = 12,
	Internal = 13,
	Unavailable = 14,
}

/** What a call fails with: its code is what containerd decides by, its message what a user reads. */
export class RpcError extends Error {
	constructor(
		readonly code: Code,
		message: string,
		options?: ErrorOptions,
	) {
		super(message, options);
		this.name = 'RpcError';
	}

	/** One of anything that was thrown; `code` is for what isn't one yet. */
	static from(error: unknown, code = Code.Unknown): RpcError {
		if (error instanceof RpcError) return error;
		return new RpcError(code, error instanceof Error ? error.message : String(error), { cause: error });
	}
}
