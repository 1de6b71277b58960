import { createHash, type Hash } from 'node:crypto';
import { HostError } from '../../runtime/host-error.js';

const DIGEST = /^(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$/;

/** Whether `text` is a digest of a kind that is known here: `sha256:` or `sha512:` and lower-case hexadecimal. Such a text is also safe as a path. */
export function isDigest(text: string): boolean {
	return DIGEST.test(text);
}

/** Throws EINVAL for what is no digest; `what` names it. */
export function checkDigest(text: unknown, what: string): string {
	if (typeof text !== 'string' || !isDigest(text))
		throw new HostError(`Read ${what}: ${JSON.stringify(text)?.slice(0, 200)} is no sha256 or sha512 digest`, 'EINVAL');
	return text;
}

export function sha256(bytes: Uint8Array | string): string {
	return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** A hash of the kind that `digest` was made with. */
export function hashFor(digest: string): Hash {
	return createHash(digest.slice(0, digest.indexOf(':')));
}

/** Throws EBADMSG unless the bytes have the digest; `what` names them. */
export function verifyBytes(bytes: Uint8Array, digest: string, what: string): void {
	verifyHash(hashFor(digest).update(bytes), digest, what);
}

/** Throws EBADMSG unless the hash is the digest's; ends the hash. */
export function verifyHash(hash: Hash, digest: string, what: string): void {
	const got = `${digest.slice(0, digest.indexOf(':'))}:${hash.digest('hex')}`;
	if (got !== digest) throw new HostError(`Check the digest of ${what}: got ${got}, want ${digest}`, 'EBADMSG');
}

/** The id of a stack of layers: of one layer its diff_id, else of the chain below and the layer on top (image-spec, config.md, "Layer ChainID"). */
export function chainIds(diffIds: readonly string[]): string[] {
	const chain: string[] = [];
	for (const diffId of diffIds) {
		const below = chain.at(-1);
		chain.push(below === undefined ? diffId : sha256(`${below} ${diffId}`));
	}
	return chain;
}
