import { LineCounter, parseAllDocuments, type Tags } from 'yaml';
import { type Container, configMapDocument, type Handler, type Pod, type Probe, podDocument, secretDocument } from './pod.js';
import { Problems, type Schema } from './schema.js';

/** The files of a ConfigMap or Secret. */
export type Data = ReadonlyMap<string, Buffer>;

/** What `isopod pod run` was given. */
export interface Manifest {
	readonly pod: Pod;
	readonly configMaps: ReadonlyMap<string, Data>;
	readonly secrets: ReadonlyMap<string, Data>;
	/** Fields that are not carried out. */
	readonly warnings: readonly string[];
}

/** A file that is no pod's; the message has a line for each thing that is wrong. */
export class ManifestError extends Error {
	constructor(file: string, reasons: readonly string[]) {
		super(reasons.map((reason) => `${file}: ${reason}`).join('\n'));
		this.name = 'ManifestError';
	}
}

/** Fields that name nothing in Kubernetes' YAML, which is Go's: dates and times are strings there. */
const NOT_IN_GO = ['tag:yaml.org,2002:timestamp', 'tag:yaml.org,2002:binary', 'tag:yaml.org,2002:set', 'tag:yaml.org,2002:omap'];

function goTags(tags: Tags): Tags {
	return tags.filter((tag) => typeof tag !== 'object' || (!NOT_IN_GO.includes(tag.tag) && tag.format !== 'TIME'));
}

/** Reads YAML, or JSON, with one Pod and the ConfigMaps and Secrets that it names. Throws ManifestError. */
export function parseManifest(source: string, file: string): Manifest {
	const problems = new Problems();
	const pods: Pod[] = [];
	const configMaps = new Map<string, Data>();
	const secrets = new Map<string, Data>();
	for (const value of parseYaml(source, file)) {
		if (value === null) continue;
		const kind = typeof value === 'object' ? (value as { kind?: unknown }).kind : undefined;
		const read = <T>(schema: Schema<T>): T => schema(value, '', problems);
		if (kind === 'Pod') pods.push(read(podDocument));
		else if (kind === 'ConfigMap') {
			const { metadata, data = {}, binaryData = {} } = read(configMapDocument);
			configMaps.set(metadata.name, new Map([...plain(data), ...decoded(binaryData)]));
		} else if (kind === 'Secret') {
			const { metadata, data = {}, stringData = {} } = read(secretDocument);
			secrets.set(metadata.name, new Map([...decoded(data), ...plain(stringData)]));
		} else problems.error(`kind: want Pod, ConfigMap or Secret, got ${JSON.stringify(kind) ?? 'nothing'}`);
	}
	const [pod] = pods;
	if (pods.length > 1) problems.error(`it has ${pods.length} pods: want one`);
	if (pod === undefined) {
		problems.error('it has no pod');
		throw new ManifestError(file, problems.errors);
	}
	if (problems.errors.length === 0) check(pod, configMaps, secrets, problems);
	if (problems.errors.length > 0) throw new ManifestError(file, problems.errors);
	return { pod, configMaps, secrets, warnings: problems.warnings };
}

function parseYaml(source: string, file: string): unknown[] {
	const lines = new LineCounter();
	// Go's YAML has the octal numbers and the booleans of YAML 1.1.
	const documents = parseAllDocuments(source, { version: '1.1', customTags: goTags, lineCounter: lines, prettyErrors: true });
	const errors = [...documents].flatMap((document) => document.errors.map(({ message }) => message.split('\n')[0]!.replace(/:$/, '')));
	if (errors.length > 0) throw new ManifestError(file, errors);
	try {
		return [...documents].map((document): unknown => document.toJS());
	} catch (error) {
		throw new ManifestError(file, [(error as Error).message]);
	}
}

function plain(data: Readonly<Record<string, string>>): [string, Buffer][] {
	return Object.entries(data).map(([name, value]) => [name, Buffer.from(value)]);
}

function decoded(data: Readonly<Record<string, string>>): [string, Buffer][] {
	return Object.entries(data).map(([name, value]) => [name, Buffer.from(value, 'base64')]);
}

/** All containers with their paths. */
export function containersOf({ spec }: Pod): { readonly container: Container; readonly path: string; readonly isInit: boolean }[] {
	return [
		...(spec.initContainers ?? []).map((container, at) => ({ container, path: `spec.initContainers[${at}]`, isInit: true })),
		...spec.containers.map((container, at) => ({ container, path: `spec.containers[${at}]`, isInit: false })),
	];
}

/** An init container that goes on beside the others. */
export function isSidecar(container: Container, isInit: boolean): boolean {
	return isInit && container.restartPolicy === 'Always';
}

/** What goes beyond single fields. */
function check(pod: Pod, configMaps: ReadonlyMap<string, Data>, secrets: ReadonlyMap<string, Data>, problems: Problems): void {
	const { spec } = pod;
	if (spec.containers.length === 0) problems.error('spec.containers: Required value');
	const reference = (
		kind: 'ConfigMap' | 'Secret',
		name: string,
		key: string | null,
		isOptional: boolean | undefined,
		path: string,
	): void => {
		if (isOptional === true) return;
		const data = (kind === 'ConfigMap' ? configMaps : secrets).get(name);
		if (data === undefined)
			problems.error(`${path}: the ${kind} ${JSON.stringify(name)} is not in the file, and there is no cluster to ask`);
		else if (key !== null && !data.has(key))
			problems.error(`${path}: the ${kind} ${JSON.stringify(name)} has no key ${JSON.stringify(key)}`);
	};
	const volumes = new Set<string>();
	for (const [at, volume] of (spec.volumes ?? []).entries()) {
		const path = `spec.volumes[${at}]`;
		if (volumes.has(volume.name)) problems.error(`${path}.name: Duplicate value: ${JSON.stringify(volume.name)}`);
		volumes.add(volume.name);
		const kinds = Object.keys(volume).filter((field) => field !== 'name');
		if (kinds.length !== 1) problems.error(`${path}: want one kind of volume, got ${kinds.length === 0 ? 'none' : kinds.join(', ')}`);
		const sources = [
			{ configMap: volume.configMap, secret: volume.secret && { ...volume.secret, name: volume.secret.secretName } },
			...(volume.projected?.sources ?? []),
		];
		for (const { configMap, secret } of sources) {
			for (const [kind, source] of [
				['ConfigMap', configMap],
				['Secret', secret],
			] as const) {
				if (source === undefined) continue;
				reference(kind, source.name, null, source.optional, path);
				for (const { key } of source.items ?? []) reference(kind, source.name, key, source.optional, path);
			}
		}
	}
	const names = new Set<string>();
	const hostPorts = new Set<string>();
	for (const { container, path, isInit } of containersOf(pod)) {
		if (names.has(container.name)) problems.error(`${path}.name: Duplicate value: ${JSON.stringify(container.name)}`);
		names.add(container.name);
		const { restartPolicy } = container;
		if (restartPolicy !== undefined && !isSidecar(container, isInit))
			problems.error(`${path}.restartPolicy: Unsupported value: only init containers have one, which is Always`);
		for (const [mount, { name, subPath, subPathExpr }] of (container.volumeMounts ?? []).entries()) {
			if (!volumes.has(name)) problems.error(`${path}.volumeMounts[${mount}].name: Not found: ${JSON.stringify(name)}`);
			if (subPath !== undefined && subPathExpr !== undefined)
				problems.error(`${path}.volumeMounts[${mount}].subPathExpr: subPath and subPathExpr exclude each other`);
		}
		for (const [port, { hostPort, hostIP, protocol, containerPort }] of (container.ports ?? []).entries()) {
			if (hostPort === undefined) continue;
			const id = `${hostIP ?? ''}:${hostPort}/${protocol ?? 'TCP'}`;
			if (hostPorts.has(id)) problems.error(`${path}.ports[${port}].hostPort: Duplicate value: ${hostPort}`);
			hostPorts.add(id);
			if (spec.hostNetwork === true && hostPort !== containerPort)
				problems.error(`${path}.ports[${port}].hostPort: must be containerPort's with hostNetwork`);
		}
		for (const [at, { value, valueFrom, name }] of (container.env ?? []).entries()) {
			const where = `${path}.env[${at}]`;
			if (valueFrom === undefined) continue;
			if (value !== undefined) problems.error(`${where}.valueFrom: may not be set with value`);
			if (Object.keys(valueFrom).length !== 1) problems.error(`${where}.valueFrom: want one source for ${name}`);
			const { configMapKeyRef: map, secretKeyRef: secret, fieldRef } = valueFrom;
			if (map !== undefined) reference('ConfigMap', map.name, map.key, map.optional, `${where}.valueFrom.configMapKeyRef`);
			if (secret !== undefined) reference('Secret', secret.name, secret.key, secret.optional, `${where}.valueFrom.secretKeyRef`);
			if (fieldRef !== undefined && !FIELD_PATH.test(fieldRef.fieldPath))
				problems.error(`${where}.valueFrom.fieldRef.fieldPath: Unsupported value: ${JSON.stringify(fieldRef.fieldPath)}`);
		}
		for (const [at, { configMapRef: map, secretRef: secret }] of (container.envFrom ?? []).entries()) {
			const where = `${path}.envFrom[${at}]`;
			if ((map === undefined) === (secret === undefined)) problems.error(`${where}: want configMapRef or secretRef`);
			if (map !== undefined) reference('ConfigMap', map.name, null, map.optional, `${where}.configMapRef`);
			if (secret !== undefined) reference('Secret', secret.name, null, secret.optional, `${where}.secretRef`);
		}
		checkActions(container, path, isInit, problems);
	}
}

/** The fields of a pod that a container may be told. */
const FIELD_PATH =
	/^(metadata\.(name|namespace|uid|labels\['[^']+'\]|annotations\['[^']+'\])|spec\.(nodeName|serviceAccountName)|status\.(podIPs?|hostIPs?))$/;

function checkActions(container: Container, path: string, isInit: boolean, problems: Problems): void {
	const ports = new Set((container.ports ?? []).map(({ name }) => name));
	const action = (where: string, { exec, httpGet, tcpSocket, sleep }: Handler & Probe): void => {
		const chosen = [exec, httpGet, tcpSocket, sleep].filter((one) => one !== undefined);
		if (chosen.length !== 1) problems.error(`${where}: want one of exec, httpGet and tcpSocket`);
		const port = (httpGet ?? tcpSocket)?.port;
		if (typeof port === 'string' && !ports.has(port))
			problems.error(`${where}: no port of the container has the name ${JSON.stringify(port)}`);
		if (typeof port === 'number' && (port < 1 || port > 0xffff))
			problems.error(`${where}: Invalid value: ${port}: must be from 1 to 65535`);
	};
	for (const field of ['startupProbe', 'livenessProbe', 'readinessProbe'] as const) {
		const probe = container[field];
		if (probe === undefined) continue;
		if (isInit && !isSidecar(container, isInit)) problems.error(`${path}.${field}: only sidecars have one among the init containers`);
		action(`${path}.${field}`, probe);
		if (field !== 'readinessProbe' && (probe.successThreshold ?? 1) !== 1) problems.error(`${path}.${field}.successThreshold: must be 1`);
	}
	for (const field of ['postStart', 'preStop'] as const) {
		const hook = container.lifecycle?.[field];
		if (hook === undefined) continue;
		if (isInit && !isSidecar(container, isInit))
			problems.error(`${path}.lifecycle.${field}: only sidecars have one among the init containers`);
		action(`${path}.lifecycle.${field}`, hook);
	}
}
