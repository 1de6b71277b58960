import { HostError } from '../../runtime/host-error.js';
import { isDigest } from './digest.js';

/** The name of an image, as users write it, with every default spelled out. */
export interface Reference {
	/** The registry's host, with its port if it names one: `docker.io`, `localhost:5000`. */
	readonly registry: string;
	/** The repository in that registry: `library/debian`. */
	readonly repository: string;
	/** Null when only a digest was given. */
	readonly tag: string | null;
	readonly digest: string | null;
}

const DEFAULT_REGISTRY = 'docker.io';
const PATH_COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const HOST_LABEL = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])';
const HOST = new RegExp(`^(?:${HOST_LABEL}(?:\\.${HOST_LABEL})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]{1,5})?$`);
const TAG = /^\w[\w.-]{0,127}$/;
const MAX_NAME = 255;

/**
 * Parses an image's name by the rules of Docker's references: `debian` is `docker.io/library/debian:latest`.
 * Throws EINVAL, naming what is wrong.
 */
export function parseReference(text: string): Reference {
	const at = text.indexOf('@');
	const digest = at < 0 ? null : text.slice(at + 1);
	if (digest !== null && !isDigest(digest)) throw invalid(text, `"${digest}" is no digest`);
	let name = at < 0 ? text : text.slice(0, at);
	const colon = name.lastIndexOf(':');
	let tag: string | null = null;
	if (colon > name.lastIndexOf('/')) {
		tag = name.slice(colon + 1);
		name = name.slice(0, colon);
		if (!TAG.test(tag)) throw invalid(text, `"${tag}" is no tag`);
	}
	const slash = name.indexOf('/');
	const first = name.slice(0, Math.max(slash, 0));
	const hasHost = slash > 0 && (/[.:[]|[A-Z]/.test(first) || first === 'localhost');
	let registry = hasHost ? first : DEFAULT_REGISTRY;
	let repository = hasHost ? name.slice(slash + 1) : name;
	if (registry === 'index.docker.io') registry = DEFAULT_REGISTRY;
	if (!HOST.test(registry)) throw invalid(text, `"${registry}" is no host`);
	if (registry === DEFAULT_REGISTRY && !repository.includes('/')) repository = `library/${repository}`;
	if (!repository.split('/').every((component) => PATH_COMPONENT.test(component)))
		throw invalid(text, `"${repository}" is no repository: want lower-case letters, digits, ".", "_" and "-", in parts apart by "/"`);
	if (registry.length + 1 + repository.length > MAX_NAME) throw invalid(text, `it has more than ${MAX_NAME} characters`);
	return { registry, repository, tag: tag ?? (digest === null ? 'latest' : null), digest };
}

/** The registry and repository of a reference: `docker.io/library/debian`. */
export function repositoryName({ registry, repository }: Reference): string {
	return `${registry}/${repository}`;
}

/** The whole name; of a tag and a digest both are in it. */
export function formatReference(reference: Reference): string {
	const { tag, digest } = reference;
	return `${repositoryName(reference)}${tag === null ? '' : `:${tag}`}${digest === null ? '' : `@${digest}`}`;
}

function invalid(text: string, reason: string): HostError {
	return new HostError(`Parse the image name ${JSON.stringify(text.slice(0, MAX_NAME))}: ${reason}`, 'EINVAL');
}
