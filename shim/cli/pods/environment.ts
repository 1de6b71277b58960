import { cpus, hostname, totalmem } from 'node:os';
import type { Data, Manifest } from './manifest.js';
import { containersOf } from './manifest.js';
import type { Container, FieldRef, Pod, ResourceFieldRef } from './pod.js';

/** What of a pod is known only when it runs. */
export interface PodAddresses {
	/** The first one first; those of the host for a pod of the host's network. */
	readonly podIps: readonly string[];
	readonly hostIp: string;
}

/** Expands `$(NAME)`, and `$$` to `$`, as Kubernetes does: what `lookup` does not know stays as it is written. */
export function expand(text: string, lookup: ReadonlyMap<string, string>): string {
	return text.replace(/\$(?:\$|\(([^)]*)\))/g, (whole, name: string | undefined) => {
		if (name === undefined) return '$';
		return lookup.get(name) ?? whole;
	});
}

/** The environment of a container: what envFrom brings, then env, where each may use those before it. */
export function environmentOf(container: Container, manifest: Manifest, addresses: PodAddresses): Map<string, string> {
	const environment = new Map<string, string>();
	for (const { prefix = '', configMapRef, secretRef } of container.envFrom ?? []) {
		const data = dataOf(manifest, configMapRef?.name, secretRef?.name);
		for (const [name, value] of data ?? []) if (/^[^=\0]+$/.test(prefix + name)) environment.set(prefix + name, value.toString());
	}
	for (const { name, value, valueFrom } of container.env ?? []) {
		if (valueFrom === undefined) {
			environment.set(name, expand(value ?? '', environment));
			continue;
		}
		const { fieldRef, resourceFieldRef, configMapKeyRef: map, secretKeyRef: secret } = valueFrom;
		let found: string | undefined;
		if (fieldRef !== undefined) found = fieldOf(fieldRef, manifest.pod, addresses);
		else if (resourceFieldRef !== undefined) found = resourceOf(resourceFieldRef, manifest.pod, container);
		else
			found = dataOf(manifest, map?.name, secret?.name)
				?.get((map ?? secret)!.key)
				?.toString();
		// An optional one that is not there.
		if (found !== undefined) environment.set(name, found);
	}
	return environment;
}

function dataOf(manifest: Manifest, configMap: string | undefined, secret: string | undefined): Data | undefined {
	return configMap !== undefined ? manifest.configMaps.get(configMap) : manifest.secrets.get(secret ?? '');
}

/** The value of a field of the pod, for an environment variable or a file of a downwardAPI volume. */
export function fieldOf({ fieldPath }: FieldRef, { metadata, spec }: Pod, { podIps, hostIp }: PodAddresses): string {
	const [, field, key] = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(fieldPath) ?? [];
	if (key !== undefined) return metadata[field as 'labels' | 'annotations']?.[key] ?? '';
	const listOf = (values: Readonly<Record<string, string>> = {}): string =>
		Object.entries(values)
			.sort(([one], [other]) => (one < other ? -1 : 1))
			.map(([name, value]) => `${name}=${JSON.stringify(value)}`)
			.join('\n');
	const values: Readonly<Record<string, string | undefined>> = {
		'metadata.name': metadata.name,
		'metadata.namespace': metadata.namespace ?? 'default',
		'metadata.uid': metadata.uid,
		'metadata.labels': listOf(metadata.labels),
		'metadata.annotations': listOf(metadata.annotations),
		'spec.nodeName': hostname(),
		'spec.serviceAccountName': spec.serviceAccountName ?? 'default',
		'status.podIP': podIps[0],
		'status.podIPs': podIps.join(','),
		'status.hostIP': hostIp,
		'status.hostIPs': hostIp,
	};
	return values[fieldPath] ?? '';
}

/** The value of a limit or request, in the units of its divisor, rounded up. Without a limit it is what the host has. */
export function resourceOf({ resource, containerName, divisor = 1 }: ResourceFieldRef, pod: Pod, self: Container | null): string {
	const container =
		containerName === undefined ? self : containersOf(pod).find(({ container: one }) => one.name === containerName)?.container;
	const [, kind, name] = /^(limits|requests)\.(cpu|memory)$/.exec(resource) ?? [];
	if (kind === undefined || container == null) return '0';
	const { limits, requests } = container.resources ?? {};
	const all = name === 'cpu' ? cpus().length : totalmem();
	const value = (kind === 'requests' ? (requests ?? limits) : limits)?.[name as 'cpu' | 'memory'] ?? (kind === 'limits' ? all : 0);
	return `${Math.ceil(value / (divisor || 1))}`;
}
