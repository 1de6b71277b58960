/** Credentials for a registry, as CRI's AuthConfig has them: of what is set the first of this order is used. */
export interface Credentials {
	readonly username?: string;
	readonly password?: string;
	/** `username:password` in base64. */
	readonly auth?: string;
	/** A refresh token, for which the registry's token server gives an access token. */
	readonly identityToken?: string;
	/** An access token. */
	readonly registryToken?: string;
	/** The registry that they are for; others don't get them. */
	readonly serverAddress?: string;
}

/** One challenge of a WWW-Authenticate header (RFC 9110, 11.6.1). */
export interface Challenge {
	/** In lower case. */
	readonly scheme: string;
	readonly parameters: Readonly<Record<string, string>>;
}

/** User name and password; null when there are none. */
export function basicPair(credentials: Credentials): { readonly username: string; readonly password: string } | null {
	if (credentials.username) return { username: credentials.username, password: credentials.password ?? '' };
	if (!credentials.auth) return null;
	const text = Buffer.from(credentials.auth, 'base64').toString('utf8');
	const colon = text.indexOf(':');
	// Docker's own files pad the password with NULs.
	return colon < 0 ? null : { username: text.slice(0, colon), password: text.slice(colon + 1).replace(/\0+$/, '') };
}

export function basicHeader({ username, password }: { readonly username: string; readonly password: string }): string {
	return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

/** Whether the credentials may go to the registry: they name it, or no registry at all. */
export function isFor({ serverAddress }: Credentials, registry: string): boolean {
	if (!serverAddress) return true;
	const host = serverAddress.replace(/^https?:\/\//, '').split('/')[0];
	const own = (name: string | undefined): string | undefined =>
		name === 'index.docker.io' || name === 'registry-1.docker.io' ? 'docker.io' : name;
	return own(host) === own(registry);
}

/** Parses a WWW-Authenticate header; what is broken of it is left out. */
export function parseChallenges(header: string): Challenge[] {
	const challenges: { scheme: string; parameters: Record<string, string> }[] = [];
	const token = /\s*,?\s*(?:([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))|([\w-]+))/gy;
	for (let match = token.exec(header.slice(0, 8192)); match !== null; match = token.exec(header.slice(0, 8192))) {
		const [, key, quoted, plain, scheme] = match;
		if (scheme !== undefined) challenges.push({ scheme: scheme.toLowerCase(), parameters: {} });
		else if (key !== undefined) {
			const last = challenges.at(-1);
			if (last !== undefined) last.parameters[key.toLowerCase()] = quoted?.replace(/\\(.)/g, '$1') ?? plain ?? '';
		}
	}
	return challenges;
}
