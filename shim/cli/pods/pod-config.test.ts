import t from 'tap';
import { type Manifest, parseManifest } from './manifest.js';
import { containerConfig, hostsFile, sandboxConfig } from './pod-config.js';
import { Volumes } from './volumes.js';

function read(spec: string, container = ''): Manifest {
	return parseManifest(
		`apiVersion: v1\nkind: Pod\nmetadata: {name: web.x, labels: {app: web}}\nspec:\n${spec}  containers:\n    - name: main\n      image: busybox\n${container}`,
		'f',
	);
}

const addresses = { podIps: ['10.0.0.2'], hostIp: '192.0.2.1' };

function container(manifest: Manifest): ReturnType<typeof containerConfig> {
	const volumes = new Volumes('/nonexistent', manifest);
	const place = { manifest, uid: 'u', addresses, volumes, attempt: 2, hosts: '/h', terminationLog: '/t' };
	return containerConfig(manifest.pod.spec.containers[0]!, place);
}

t.test('a pod that asks for nothing', async (t) => {
	const manifest = read('');
	t.match(sandboxConfig(manifest.pod, 'u', '/logs', '/folder'), {
		metadata: { name: 'web.x', uid: 'u', namespace: 'default', attempt: 0 },
		hostname: 'web',
		logDirectory: '/logs',
		portMappings: [],
		labels: { app: 'web', 'io.kubernetes.pod.name': 'web.x', 'io.kubernetes.pod.namespace': 'default', 'io.kubernetes.pod.uid': 'u' },
		linux: { securityContext: { namespaceOptions: { network: 0, pid: 1, ipc: 0 }, privileged: false, seccomp: { profileType: 0 } } },
	});
	const config = container(manifest);
	t.match(config, {
		metadata: { name: 'main', attempt: 2 },
		image: { image: 'busybox' },
		logPath: 'main/2.log',
		command: [],
		args: [],
		linux: {
			resources: { cpuShares: 2, oomScoreAdj: 1000 },
			securityContext: { privileged: false, noNewPrivs: false, readonlyRootfs: false, seccomp: { profileType: 0 } },
		},
	});
	t.ok(config.linux?.securityContext?.maskedPaths?.includes('/proc/kcore'));
	t.match(hostsFile(manifest.pod, addresses), /^10\.0\.0\.2\tweb$/m);
});

t.test('namespaces, ports, sysctls, DNS', async (t) => {
	const { pod } = read(
		`  shareProcessNamespace: true
  hostIPC: true
  dnsPolicy: None
  dnsConfig: {nameservers: [192.0.2.53], options: [{name: ndots, value: "2"}, {name: edns0}]}
  securityContext: {sysctls: [{name: net.core.somaxconn, value: "9"}], supplementalGroups: [5], fsGroup: 6}
`,
		'      ports: [{containerPort: 80, hostPort: 8080, protocol: UDP, hostIP: 127.0.0.1}, {containerPort: 81}]\n',
	);
	t.match(sandboxConfig(pod, 'u', '/l', '/f'), {
		dnsConfig: { servers: ['192.0.2.53'], searches: [], options: ['ndots:2', 'edns0'] },
		portMappings: [{ containerPort: 80, hostPort: 8080, protocol: 1, hostIp: '127.0.0.1' }],
		linux: {
			sysctls: { 'net.core.somaxconn': '9' },
			securityContext: { namespaceOptions: { network: 0, pid: 0, ipc: 2 }, supplementalGroups: [5, 6] },
		},
	});
	t.match(sandboxConfig(read('  hostNetwork: true\n').pod, 'u', '/l', '/f'), {
		hostname: '',
		linux: { securityContext: { namespaceOptions: { network: 2 } } },
	});
});

t.test('security contexts: the container goes before the pod', async (t) => {
	const manifest = read(
		'  securityContext: {runAsUser: 1, runAsGroup: 2, seccompProfile: {type: Localhost, localhostProfile: p.json}}\n',
		`      securityContext:
        runAsUser: 3
        readOnlyRootFilesystem: true
        allowPrivilegeEscalation: false
        procMount: Unmasked
        capabilities: {add: [CAP_NET_ADMIN], drop: [ALL]}
`,
	);
	t.match(container(manifest).linux?.securityContext, {
		runAsUser: { value: 3 },
		runAsGroup: { value: 2 },
		readonlyRootfs: true,
		noNewPrivs: true,
		maskedPaths: [],
		readonlyPaths: [],
		capabilities: { addCapabilities: ['NET_ADMIN'], dropCapabilities: ['ALL'] },
		seccomp: { profileType: 2, localhostRef: 'p.json' },
	});
	t.match(container(read('', '      securityContext: {privileged: true}\n')).linux?.securityContext, {
		privileged: true,
		maskedPaths: [],
		seccomp: { profileType: 1 },
	});
});

t.test("kubelet's arithmetic of resources", async (t) => {
	const of = (resources: string): object => container(read('', `      resources: ${resources}\n`)).linux?.resources ?? {};
	t.match(of('{limits: {cpu: 500m, memory: 64Mi}}'), {
		cpuShares: 512,
		cpuPeriod: 100_000,
		cpuQuota: 50_000,
		memoryLimitInBytes: 64 << 20,
		oomScoreAdj: -997,
	});
	t.match(of('{requests: {cpu: 1m}, limits: {cpu: 1m}}'), { cpuShares: 2, cpuQuota: 1000 });
	t.match(of('{requests: {memory: 1Ki}}'), { oomScoreAdj: 999 });
});

t.test('commands are expanded', async (t) => {
	const config = container(read('', '      command: [echo, $(A), $$(A)]\n      args: [x$(A)]\n      env: [{name: A, value: "1"}]\n'));
	t.same(config.command, ['echo', '1', '$(A)']);
	t.same(config.args, ['x1']);
	t.same(config.envs, [{ key: 'A', value: '1' }]);
});
