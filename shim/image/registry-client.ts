// The client of OCI's distribution specification (and Docker's registry API v2, which is the same for pulls).

import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { rootCertificates } from 'node:tls';
import { HostError } from '../../runtime/host-error.js';
import type { BlobSource } from './content-store.js';
import { sha256, verifyBytes } from './digest.js';
import { ACCEPTED, type Descriptor, MAX_MANIFEST_BYTES } from './manifest.js';
import type { Reference } from './reference.js';
import { basicHeader, basicPair, type Credentials, isFor, parseChallenges } from './registry-auth.js';

/** How one registry is reached. */
export interface RegistrySettings {
	/** Base URLs (`https://host[:port][/path]`) that are asked before the registry itself. */
	readonly mirrors?: readonly string[];
	/** Another base URL for the registry itself. */
	readonly url?: string;
	/** Certificates in PEM that sign the registry's, beside those that Node trusts. */
	readonly ca?: string;
	/** Credentials of the configuration: for mirrors these are the only ones. */
	readonly credentials?: Credentials;
}

export interface RegistryClientOptions {
	/** By registry name (`docker.io`) or by a mirror's host. */
	readonly registries?: Readonly<Record<string, RegistrySettings>>;
	/** Tries of one request that the network or the server failed. */
	readonly attempts?: number;
	/** Before the second try; doubled for each after it. */
	readonly backOffMs?: number;
	/** A connection on which nothing comes for this long has failed. */
	readonly idleMs?: number;
}

export interface FetchedManifest {
	readonly digest: string;
	readonly mediaType: string;
	readonly bytes: Buffer;
}

/** Of one that nobody answers: a registry that is being restarted is back by then, and a wrong address is told soon. */
const REFUSED_ATTEMPTS = 2;
const MAX_REDIRECTS = 10;
const MAX_TOKEN_BYTES = 1 << 20;
const MAX_BACK_OFF_MS = 30_000;
const DOCKER_HUB = 'https://registry-1.docker.io';

/** Errors of one answer: what the registry said decides whether another try helps. */
class RegistryError extends HostError {
	constructor(
		step: string,
		code: string,
		readonly canRetry: boolean,
		/** The server's own wish. */
		readonly retryAfterMs = 0,
	) {
		super(step, code);
	}
}

/** Whether a host is this machine, which plain HTTP is allowed to. */
function isLoopback(hostname: string): boolean {
	return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
}

function baseOf(registry: string, settings: RegistrySettings | undefined): URL {
	if (settings?.url !== undefined) return new URL(settings.url);
	if (registry === 'docker.io') return new URL(DOCKER_HUB);
	const { hostname } = new URL(`http://${registry}`);
	return new URL(`${isLoopback(hostname) ? 'http' : 'https'}://${registry}`);
}

/** Pulls from registries with one set of credentials. Make one for each pull. */
export class RegistryClient {
	private readonly attempts: number;
	private readonly backOffMs: number;
	private readonly idleMs: number;
	/** Authorization by origin and repository. */
	private readonly tokens = new Map<string, string>();
	private readonly http = new HttpAgent({ keepAlive: true, maxSockets: 8 });
	private readonly https: HttpsAgent;
	private readonly registries: Readonly<Record<string, RegistrySettings>>;

	constructor(
		private readonly credentials: Credentials | null,
		options: RegistryClientOptions = {},
		private readonly signal?: AbortSignal,
	) {
		this.attempts = options.attempts ?? 5;
		this.backOffMs = options.backOffMs ?? 500;
		this.idleMs = options.idleMs ?? 60_000;
		this.registries = options.registries ?? {};
		this.https = new HttpsAgent({ keepAlive: true, maxSockets: 8 });
	}

	close(): void {
		this.http.destroy();
		this.https.destroy();
	}

	/** Fetches a manifest or an index by digest or tag; what comes by digest has it. Throws ENOENT, EACCES, EBADMSG, EFBIG, … */
	async manifest(reference: Reference, digest: string | null = reference.digest): Promise<FetchedManifest> {
		const name = digest ?? reference.tag ?? 'latest';
		return this.fromEach(reference, async (base, registry) => {
			const url = new URL(`${trim(base)}/v2/${reference.repository}/manifests/${name}`);
			return this.retrying(async () => {
				const response = await this.get(url, registry, reference, { accept: ACCEPTED });
				const bytes = await readAll(response, MAX_MANIFEST_BYTES, `Fetch the manifest ${name}`);
				if (digest !== null) verifyBytes(bytes, digest, `the manifest of ${reference.repository}`);
				const mediaType = (response.headers['content-type'] ?? '').split(';')[0]!.trim();
				return { digest: digest ?? sha256(bytes), mediaType, bytes };
			});
		});
	}

	/**
	 * Opens a blob from `offset` on. `isRestarted` when the registry can only send all of it. The one who reads checks size and digest; a break in the
	 * middle is thrown from the chunks.
	 */
	async blob(reference: Reference, { digest }: Descriptor, offset: number): Promise<BlobSource> {
		return this.fromEach(reference, async (base, registry) => {
			const url = new URL(`${trim(base)}/v2/${reference.repository}/blobs/${digest}`);
			return this.retrying(async () => {
				const response = await this.get(url, registry, reference, offset > 0 ? { range: `bytes=${offset}-` } : {});
				const range = /^bytes (\d+)-/.exec(response.headers['content-range'] ?? '');
				const isPartial = response.statusCode === 206;
				if (isPartial && Number(range?.[1]) !== offset) {
					response.destroy();
					throw new RegistryError(
						`Fetch ${digest}: asked from byte ${offset} on, got ${response.headers['content-range']}`,
						'EPROTO',
						false,
					);
				}
				return { chunks: response, isRestarted: !isPartial };
			});
		});
	}

	/** Asks the mirrors, then the registry itself; its error is the one that is told. */
	private async fromEach<T>(reference: Reference, ask: (base: URL, registry: string) => Promise<T>): Promise<T> {
		const settings = this.registries[reference.registry];
		for (const mirror of settings?.mirrors ?? []) {
			const base = new URL(mirror);
			try {
				return await ask(base, base.host);
			} catch (error) {
				if (this.signal?.aborted === true) throw error;
			}
		}
		return ask(baseOf(reference.registry, settings), reference.registry);
	}

	private async retrying<T>(action: () => Promise<T>): Promise<T> {
		for (let attempt = 1; ; attempt++) {
			try {
				return await action();
			} catch (error) {
				const attempts = isRefused(error) ? Math.min(this.attempts, REFUSED_ATTEMPTS) : this.attempts;
				if (!isTransient(error) || attempt >= attempts || this.signal?.aborted === true) throw HostError.from('Ask the registry', error);
				await this.backOff(attempt, error instanceof RegistryError ? error.retryAfterMs : 0);
			}
		}
	}

	/** Waits before try `attempt` + 1: twice as long each time, with some chance in it so that many clients don't come at once. */
	async backOff(attempt: number, atLeastMs = 0): Promise<void> {
		const ms = Math.min(MAX_BACK_OFF_MS, Math.max(atLeastMs, this.backOffMs * 2 ** (attempt - 1) * (0.75 + Math.random() / 2)));
		await sleep(ms, undefined, this.signal === undefined ? {} : { signal: this.signal });
	}

	get maxAttempts(): number {
		return this.attempts;
	}

	/** GET with authorization and redirects: a response of 200 or 206, whose body is the caller's to read or destroy. */
	private async get(url: URL, registry: string, reference: Reference, headers: Readonly<Record<string, string>>): Promise<IncomingMessage> {
		const key = `${url.origin} ${reference.repository}`;
		let response = await this.follow(url, registry, this.tokens.get(key), headers);
		if (response.statusCode === 401) {
			await drain(response);
			const authorization = await this.authorize(response, url, registry, reference);
			this.tokens.set(key, authorization);
			response = await this.follow(url, registry, authorization, headers);
			if (response.statusCode === 401) this.tokens.delete(key);
		}
		if (response.statusCode === 416 && headers['range'] !== undefined) {
			await drain(response);
			const { range: _, ...others } = headers;
			return this.get(url, registry, reference, others);
		}
		if (response.statusCode === 200 || response.statusCode === 206) return response;
		throw await refusal(response, url);
	}

	private async follow(
		start: URL,
		registry: string,
		authorization: string | undefined,
		headers: Readonly<Record<string, string>>,
	): Promise<IncomingMessage> {
		let url = start;
		let isAuthorized = authorization !== undefined;
		for (let redirects = 0; ; redirects++) {
			const response = await this.send(url, registry, 'GET', isAuthorized ? { ...headers, authorization: authorization! } : headers);
			const { statusCode = 0 } = response;
			const { location } = response.headers;
			if (![301, 302, 303, 307, 308].includes(statusCode) || location === undefined) return response;
			await drain(response);
			if (redirects >= MAX_REDIRECTS) throw new RegistryError(`Fetch ${start.href}: more than ${MAX_REDIRECTS} redirects`, 'ELOOP', false);
			const next = new URL(location, url);
			if (next.protocol !== 'https:' && next.protocol !== start.protocol)
				throw new RegistryError(
					`Fetch ${start.href}: redirected to ${next.protocol}//${next.host}, which is not encrypted`,
					'EPERM',
					false,
				);
			// Another host (a content network) gets a signed URL, not the registry's token.
			if (next.origin !== start.origin) isAuthorized = false;
			url = next;
		}
	}

	private send(
		url: URL,
		registry: string,
		method: string,
		headers: Readonly<Record<string, string>>,
		body?: string,
	): Promise<IncomingMessage> {
		const isPlain = url.protocol === 'http:';
		if (!isPlain && url.protocol !== 'https:') throw new RegistryError(`Fetch ${url.href}: want http or https`, 'EPROTONOSUPPORT', false);
		const ca = this.registries[registry]?.ca;
		return new Promise((resolve, reject) => {
			const options = {
				method,
				headers: { 'user-agent': 'isopod', ...headers },
				agent: isPlain ? this.http : this.https,
				timeout: this.idleMs,
				...(ca !== undefined && { ca: [...rootCertificates, ca] }),
				...(this.signal !== undefined && { signal: this.signal }),
			};
			const request = (isPlain ? httpRequest : httpsRequest)(url, options, resolve);
			request.on('timeout', () => request.destroy(Object.assign(new Error(`nothing came for ${this.idleMs} ms`), { code: 'ETIMEDOUT' })));
			request.on('error', (error) => reject(HostError.from(`Ask ${url.host}`, error)));
			request.end(body);
		});
	}

	/** What the registry wants to see: Basic with the user's password, or Bearer with a token of its token server. */
	private async authorize(response: IncomingMessage, url: URL, registry: string, reference: Reference): Promise<string> {
		const credentials = this.credentialsFor(registry, reference);
		const challenges = parseChallenges(response.headers['www-authenticate'] ?? '');
		const pair = credentials === null ? null : basicPair(credentials);
		for (const { scheme, parameters } of challenges) {
			if (scheme === 'bearer') {
				if (credentials?.registryToken) return `Bearer ${credentials.registryToken}`;
				return `Bearer ${await this.token(parameters, url, registry, reference, credentials)}`;
			}
			if (scheme === 'basic' && pair !== null) return basicHeader(pair);
		}
		const wanted = challenges.map(({ scheme }) => scheme).join(', ') || 'nothing that is known here';
		throw new RegistryError(`Log in to ${registry}: it wants ${wanted}, and there are no credentials for that`, 'EACCES', false);
	}

	private credentialsFor(registry: string, reference: Reference): Credentials | null {
		const configured = this.registries[registry]?.credentials ?? null;
		if (registry !== reference.registry) return configured;
		return this.credentials !== null && isFor(this.credentials, registry) ? this.credentials : configured;
	}

	private async token(
		{ realm, service, scope }: Readonly<Record<string, string>>,
		registryUrl: URL,
		registry: string,
		reference: Reference,
		credentials: Credentials | null,
	): Promise<string> {
		const step = `Get a token for ${reference.repository}`;
		if (realm === undefined || !URL.canParse(realm))
			throw new RegistryError(`${step}: the registry names no token server`, 'EPROTO', false);
		const url = new URL(realm);
		if (url.protocol !== 'https:' && registryUrl.protocol === 'https:')
			throw new RegistryError(`${step}: ${url.host} is not encrypted`, 'EPERM', false);
		const scopes = scope ?? `repository:${reference.repository}:pull`;
		let response: IncomingMessage;
		if (credentials?.identityToken) {
			const form = new URLSearchParams({
				grant_type: 'refresh_token',
				service: service ?? '',
				scope: scopes,
				client_id: 'isopod',
				refresh_token: credentials.identityToken,
			});
			response = await this.send(url, registry, 'POST', { 'content-type': 'application/x-www-form-urlencoded' }, form.toString());
		} else {
			if (service !== undefined) url.searchParams.set('service', service);
			url.searchParams.set('scope', scopes);
			const pair = credentials === null ? null : basicPair(credentials);
			response = await this.send(url, registry, 'GET', pair === null ? {} : { authorization: basicHeader(pair) });
		}
		if (response.statusCode !== 200) throw await refusal(response, url);
		const bytes = await readAll(response, MAX_TOKEN_BYTES, step);
		let answer: { token?: unknown; access_token?: unknown };
		try {
			answer = JSON.parse(bytes.toString('utf8')) as typeof answer;
		} catch {
			throw new RegistryError(`${step}: ${url.host} answered with what is no JSON`, 'EPROTO', false);
		}
		const token = answer?.token ?? answer?.access_token;
		if (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token))
			throw new RegistryError(`${step}: ${url.host} gave none`, 'EPROTO', false);
		return token;
	}
}

/** Whether another try may help: the network failed, or the server for now. */
export function isTransient(error: unknown): boolean {
	if (error instanceof RegistryError) return error.canRetry;
	const code = error instanceof Error && 'code' in error ? String(error.code) : '';
	return /^(ECONN|EPIPE$|ETIMEDOUT$|EAI_AGAIN$|ENETUNREACH$|EHOSTUNREACH$|UND_ERR|HPE_)/.test(code);
}

/** Nothing listens there, or no way leads there. */
function isRefused(error: unknown): boolean {
	return error instanceof Error && 'code' in error && /^(ECONNREFUSED|ENETUNREACH|EHOSTUNREACH)$/.test(String(error.code));
}

function trim(base: URL): string {
	return base.href.replace(/\/+$/, '');
}

async function drain(response: IncomingMessage): Promise<void> {
	await readAll(response, 1 << 16, 'Read an answer').catch(() => undefined);
}

async function readAll(response: IncomingMessage, maxBytes: number, step: string): Promise<Buffer> {
	const chunks: Buffer[] = [];
	let length = 0;
	for await (const chunk of response as AsyncIterable<Buffer>) {
		length += chunk.length;
		if (length > maxBytes) {
			response.destroy();
			throw new RegistryError(`${step}: more than ${maxBytes} bytes came`, 'EFBIG', false);
		}
		chunks.push(chunk);
	}
	return Buffer.concat(chunks);
}

/** The error that an answer means, with what the registry says about it. */
async function refusal(response: IncomingMessage, url: URL): Promise<RegistryError> {
	const { statusCode = 0 } = response;
	const body = await readAll(response, 1 << 16, 'Read an answer').catch(() => Buffer.alloc(0));
	let said = '';
	try {
		const { errors } = JSON.parse(body.toString('utf8')) as { errors?: readonly { code?: unknown; message?: unknown }[] };
		said = (errors ?? []).map(({ code, message }) => [code, message].filter((part) => typeof part === 'string').join(': ')).join('; ');
	} catch {
		// Not every answer is a registry's.
	}
	const codes: Readonly<Record<number, string>> = { 401: 'EACCES', 403: 'EACCES', 404: 'ENOENT', 429: 'EAGAIN' };
	const isForNow = statusCode === 408 || statusCode === 429 || statusCode >= 500;
	const seconds = Number(response.headers['retry-after']);
	return new RegistryError(
		`Fetch ${url.origin}${url.pathname}: status ${statusCode}${said === '' ? '' : `, ${said.slice(0, 500)}`}`,
		codes[statusCode] ?? (isForNow ? 'EAGAIN' : 'EPROTO'),
		isForNow,
		Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : 0,
	);
}
