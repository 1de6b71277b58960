// The fields of Kubernetes' Pod, ConfigMap and Secret (v1) that a pod without a cluster has.

import { quantity } from './quantity.js';
import { accepted, flag, ignored, integer, list, map, matching, object, oneOf, type Read, refused, text, textOrInteger } from './schema.js';

const MAX_INT32 = 2 ** 31 - 1;
const LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const SUBDOMAIN = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const name = matching(LABEL, "a lower case name of letters, digits and '-', of at most 63 characters");
const subdomain = matching(SUBDOMAIN, "a lower case name of letters, digits, '-' and '.', of at most 253 characters");
const variable = matching(/^[^=\0]+$/, "a name without '='");
const key = matching(/^(?!\.\.?$)[-._a-zA-Z0-9]{1,253}$/, "letters, digits, '-', '_' or '.'");
const absolutePath = matching(/^\/[^\0]*$/, 'an absolute path');
/** A path that stays below where it begins. */
const innerPath = matching(/^(?!\/)(?!(?:.*\/)?\.\.(?:\/|$))[^\0]+$/, "a relative path without '..'");
const portNumber = integer(1, 0xffff);
const id = integer(0, MAX_INT32);
const count = integer(0, MAX_INT32);
const mode = integer(0, 0o777);

const metadata = object(
	{
		name: subdomain,
		namespace: name,
		uid: matching(/^\w[-\w.]{0,127}$/, "an id of letters, digits, '-', '_' and '.'"),
		labels: map(text),
		annotations: map(text),
		generateName: refused('set metadata.name'),
		creationTimestamp: accepted,
		resourceVersion: accepted,
		managedFields: accepted,
		selfLink: accepted,
		generation: accepted,
		ownerReferences: ignored,
		finalizers: ignored,
	},
	['name'],
);

const keyToPath = object({ key, path: innerPath, mode }, ['key', 'path']);
const fieldRef = object({ fieldPath: text, apiVersion: oneOf('v1') }, ['fieldPath']);
const resourceFieldRef = object({ resource: text, containerName: text, divisor: quantity }, ['resource']);
const keySelector = object({ name: subdomain, key, optional: flag }, ['name', 'key']);

const environmentVariable = object(
	{
		name: variable,
		value: text,
		valueFrom: object({ fieldRef, resourceFieldRef, configMapKeyRef: keySelector, secretKeyRef: keySelector }),
	},
	['name'],
);

const source = object({ name: subdomain, optional: flag }, ['name']);
const environmentSource = object({ prefix: text, configMapRef: source, secretRef: source });

const execAction = object({ command: list(text) }, ['command']);
const httpGetAction = object(
	{
		path: text,
		port: textOrInteger,
		host: text,
		scheme: oneOf('HTTP', 'HTTPS'),
		httpHeaders: list(object({ name: text, value: text }, ['name', 'value'])),
	},
	['port'],
);
const tcpSocketAction = object({ port: textOrInteger, host: text }, ['port']);

const probe = object({
	exec: execAction,
	httpGet: httpGetAction,
	tcpSocket: tcpSocketAction,
	grpc: refused('probes over gRPC are not carried out; use exec, httpGet or tcpSocket'),
	initialDelaySeconds: count,
	timeoutSeconds: integer(1, MAX_INT32),
	periodSeconds: integer(1, MAX_INT32),
	successThreshold: integer(1, MAX_INT32),
	failureThreshold: integer(1, MAX_INT32),
	terminationGracePeriodSeconds: integer(1, MAX_INT32),
});

const handler = object({
	exec: execAction,
	httpGet: httpGetAction,
	tcpSocket: tcpSocketAction,
	sleep: object({ seconds: count }, ['seconds']),
});

const resourceList = object({
	cpu: quantity,
	memory: quantity,
	'ephemeral-storage': ignored,
});
const resources = object({ limits: resourceList, requests: resourceList, claims: refused('needs a cluster') });

const seLinuxOptions = object({ user: text, role: text, type: text, level: text });
const profile = object({ type: oneOf('RuntimeDefault', 'Unconfined', 'Localhost'), localhostProfile: text }, ['type']);

const containerSecurityContext = object({
	capabilities: object({ add: list(text), drop: list(text) }),
	privileged: flag,
	seLinuxOptions,
	runAsUser: id,
	runAsGroup: id,
	runAsNonRoot: flag,
	readOnlyRootFilesystem: flag,
	allowPrivilegeEscalation: flag,
	procMount: oneOf('Default', 'Unmasked'),
	seccompProfile: profile,
	appArmorProfile: profile,
	windowsOptions: refused('there is no Windows here'),
});

const volumeMount = object(
	{
		name: text,
		mountPath: matching(/^\/[^\0:]*$/, "an absolute path without ':'"),
		readOnly: flag,
		recursiveReadOnly: oneOf('Disabled', 'IfPossible', 'Enabled'),
		subPath: innerPath,
		subPathExpr: innerPath,
		mountPropagation: oneOf('None', 'HostToContainer', 'Bidirectional'),
	},
	['name', 'mountPath'],
);

const container = object(
	{
		name,
		image: text,
		imagePullPolicy: oneOf('Always', 'IfNotPresent', 'Never'),
		command: list(text),
		args: list(text),
		workingDir: text,
		ports: list(
			object(
				{
					name,
					containerPort: portNumber,
					hostPort: portNumber,
					hostIP: text,
					protocol: oneOf('TCP', 'UDP', 'SCTP'),
				},
				['containerPort'],
			),
		),
		env: list(environmentVariable),
		envFrom: list(environmentSource),
		resources,
		resizePolicy: ignored,
		restartPolicy: oneOf('Always', 'OnFailure', 'Never'),
		volumeMounts: list(volumeMount),
		volumeDevices: refused('needs a cluster'),
		startupProbe: probe,
		livenessProbe: probe,
		readinessProbe: probe,
		lifecycle: object({ postStart: handler, preStop: handler, stopSignal: matching(/^SIG[A-Z0-9+-]+$/, 'a signal such as SIGTERM') }),
		terminationMessagePath: absolutePath,
		terminationMessagePolicy: oneOf('File', 'FallbackToLogsOnError'),
		securityContext: containerSecurityContext,
		stdin: flag,
		stdinOnce: flag,
		tty: flag,
	},
	['name', 'image'],
);

const projectedFiles = { items: list(keyToPath), optional: flag };
const downwardFile = object({ path: innerPath, fieldRef, resourceFieldRef, mode }, ['path']);
const NEEDS_CLUSTER = refused('this kind of volume needs a cluster');

const volume = object(
	{
		name,
		emptyDir: object({ medium: oneOf('', 'Memory'), sizeLimit: quantity }),
		hostPath: object(
			{
				path: absolutePath,
				type: oneOf('', 'DirectoryOrCreate', 'Directory', 'FileOrCreate', 'File', 'Socket', 'CharDevice', 'BlockDevice'),
			},
			['path'],
		),
		configMap: object({ name: subdomain, defaultMode: mode, ...projectedFiles }, ['name']),
		secret: object({ secretName: subdomain, defaultMode: mode, ...projectedFiles }, ['secretName']),
		downwardAPI: object({ items: list(downwardFile), defaultMode: mode }),
		projected: object({
			defaultMode: mode,
			sources: list(
				object({
					configMap: object({ name: subdomain, ...projectedFiles }, ['name']),
					secret: object({ name: subdomain, ...projectedFiles }, ['name']),
					downwardAPI: object({ items: list(downwardFile) }),
					serviceAccountToken: refused('needs a cluster'),
					clusterTrustBundle: refused('needs a cluster'),
				}),
			),
		}),
		persistentVolumeClaim: NEEDS_CLUSTER,
		ephemeral: NEEDS_CLUSTER,
		csi: NEEDS_CLUSTER,
		nfs: NEEDS_CLUSTER,
		iscsi: NEEDS_CLUSTER,
		image: refused('volumes of images are not carried out'),
	},
	['name'],
);

const podSecurityContext = object({
	runAsUser: id,
	runAsGroup: id,
	runAsNonRoot: flag,
	supplementalGroups: list(id),
	supplementalGroupsPolicy: oneOf('Merge', 'Strict'),
	fsGroup: id,
	fsGroupChangePolicy: oneOf('Always', 'OnRootMismatch'),
	seLinuxOptions,
	seccompProfile: profile,
	appArmorProfile: profile,
	sysctls: list(object({ name: text, value: text }, ['name', 'value'])),
	windowsOptions: refused('there is no Windows here'),
});

const spec = object(
	{
		containers: list(container),
		initContainers: list(container),
		ephemeralContainers: refused('use isopod exec'),
		volumes: list(volume),
		restartPolicy: oneOf('Always', 'OnFailure', 'Never'),
		terminationGracePeriodSeconds: count,
		activeDeadlineSeconds: integer(1, MAX_INT32),
		dnsPolicy: oneOf('ClusterFirst', 'ClusterFirstWithHostNet', 'Default', 'None'),
		dnsConfig: object({
			nameservers: list(text),
			searches: list(text),
			options: list(object({ name: text, value: text }, ['name'])),
		}),
		hostAliases: list(object({ ip: text, hostnames: list(text) }, ['ip', 'hostnames'])),
		hostname: name,
		subdomain: name,
		setHostnameAsFQDN: flag,
		hostNetwork: flag,
		hostPID: flag,
		hostIPC: flag,
		hostUsers: (value, path, problems) => {
			if (value !== true) problems.error(`${path}: pods with user namespaces need kubelet, which gives out the ids`);
			return undefined;
		},
		shareProcessNamespace: flag,
		runtimeClassName: subdomain,
		securityContext: podSecurityContext,
		automountServiceAccountToken: accepted,
		enableServiceLinks: accepted,
		os: object({ name: oneOf('linux') }, ['name']),
		serviceAccountName: text,
		serviceAccount: text,
		nodeName: ignored,
		nodeSelector: ignored,
		affinity: ignored,
		tolerations: ignored,
		schedulerName: ignored,
		schedulingGates: ignored,
		topologySpreadConstraints: ignored,
		priority: ignored,
		priorityClassName: ignored,
		preemptionPolicy: ignored,
		readinessGates: ignored,
		overhead: ignored,
		imagePullSecrets: ignored,
		resourceClaims: refused('needs a cluster'),
	},
	['containers'],
);

export const podDocument = object({ apiVersion: oneOf('v1'), kind: oneOf('Pod'), metadata, spec, status: accepted }, [
	'apiVersion',
	'kind',
	'metadata',
	'spec',
]);
export const configMapDocument = object(
	{ apiVersion: oneOf('v1'), kind: oneOf('ConfigMap'), metadata, data: map(text), binaryData: map(text), immutable: flag },
	['apiVersion', 'kind', 'metadata'],
);
export const secretDocument = object(
	{ apiVersion: oneOf('v1'), kind: oneOf('Secret'), metadata, type: text, data: map(text), stringData: map(text), immutable: flag },
	['apiVersion', 'kind', 'metadata'],
);

export type Pod = Read<typeof podDocument>;
export type PodSpec = Pod['spec'];
export type Container = Read<typeof container>;
export type Probe = Read<typeof probe>;
export type Handler = Read<typeof handler>;
export type HttpGet = Read<typeof httpGetAction>;
export type Volume = Read<typeof volume>;
export type VolumeMount = Read<typeof volumeMount>;
export type EnvironmentVariable = Read<typeof environmentVariable>;
export type FieldRef = Read<typeof fieldRef>;
export type ResourceFieldRef = Read<typeof resourceFieldRef>;
export type KeyToPath = Read<typeof keyToPath>;
