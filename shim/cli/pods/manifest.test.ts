import t from 'tap';
import { ManifestError, parseManifest } from './manifest.js';

const pod = (spec: string, more = ''): string => `apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n${spec}\n${more}`;
const CONTAINER = '  containers: [{name: main, image: busybox}]';

function errorsOf(source: string): string[] {
	try {
		parseManifest(source, 'f');
		return [];
	} catch (error) {
		if (!(error instanceof ManifestError)) throw error;
		return error.message.split('\n');
	}
}

t.test('a pod with what it names', async (t) => {
	const manifest = parseManifest(
		`${pod(`${CONTAINER}\n  nodeSelector: {a: b}\n  volumes: [{name: v, secret: {secretName: s, defaultMode: 0400}}]`)}
---
# nothing
---
{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "eA=="}, "stringData": {"b": "2024-01-01", "a": "y"}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c, creationTimestamp: null}
data: {when: 2024-01-01}
binaryData: {raw: AP8=}
`,
		'f',
	);
	t.equal(manifest.pod.metadata.name, 'web');
	t.equal(manifest.pod.spec.volumes?.[0]?.secret?.defaultMode, 0o400, 'octal numbers are those of YAML 1.1');
	t.same(manifest.secrets.get('s')?.get('a'), Buffer.from('y'), 'stringData wins');
	t.same(manifest.configMaps.get('c')?.get('when'), Buffer.from('2024-01-01'), 'a date is a string');
	t.same(manifest.configMaps.get('c')?.get('raw'), Buffer.from([0, 255]));
	t.same(manifest.warnings, ['spec.nodeSelector is ignored: there is no cluster']);
});

t.test('each mistake is told, with its path', async (t) => {
	const cases: readonly [source: string, ...errors: RegExp[]][] = [
		[
			pod('  containers: [{name: main, imagee: x}]'),
			/^f: unknown field "spec\.containers\[0\]\.imagee"$/,
			/^f: spec\.containers\[0\]\.image: Required value$/,
		],
		[pod('  containers: []'), /spec\.containers: Required value/],
		[pod('  containers: {}'), /spec\.containers: want a list, got an object/],
		[pod('  containers: [{name: Main, image: x}]'), /spec\.containers\[0\]\.name: Invalid value: "Main"/],
		[
			pod(`${CONTAINER}\n  restartPolicy: Sometimes`),
			/spec\.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"/,
		],
		[pod('  containers: [{name: a, image: x}, {name: a, image: x}]'), /spec\.containers\[1\]\.name: Duplicate value: "a"/],
		[pod('  containers: [{name: a, image: x, env: [{name: A, value: 1}]}]'), /env\[0\]\.value: want a string, got 1/],
		[pod('  containers: [{name: a, image: x, volumeMounts: [{name: v, mountPath: /v}]}]'), /volumeMounts\[0\]\.name: Not found: "v"/],
		[
			pod('  containers: [{name: a, image: x, envFrom: [{secretRef: {name: s}}]}]'),
			/envFrom\[0\]\.secretRef: the Secret "s" is not in the file, and there is no cluster/,
		],
		[pod(`${CONTAINER}\n  volumes: [{name: v}]`), /volumes\[0\]: want one kind of volume, got none/],
		[
			pod(`${CONTAINER}\n  volumes: [{name: v, persistentVolumeClaim: {claimName: x}}]`),
			/persistentVolumeClaim: this kind of volume needs a cluster/,
		],
		[
			pod('  containers: [{name: a, image: x, livenessProbe: {periodSeconds: 1}}]'),
			/livenessProbe: want one of exec, httpGet and tcpSocket/,
		],
		[
			pod('  containers: [{name: a, image: x, livenessProbe: {tcpSocket: {port: web}}}]'),
			/livenessProbe: no port of the container has the name "web"/,
		],
		[
			pod('  containers: [{name: a, image: x, resources: {limits: {memory: lots}}}]'),
			/limits\.memory: Invalid value: "lots": is no quantity/,
		],
		[pod('  containers: [{name: a, image: x, volumeMounts: [{name: v, mountPath: /v, subPath: ../x}]}]'), /subPath: Invalid value/],
		[pod('  containers: [{name: a, image: x, restartPolicy: Always}]'), /containers\[0\]\.restartPolicy: Unsupported value/],
		[pod(CONTAINER, '---\nkind: Deployment'), /kind: want Pod, ConfigMap or Secret, got "Deployment"/],
		[pod(CONTAINER, `---\n${pod(CONTAINER)}`), /it has 2 pods: want one/],
		['a: [', /f: /, /./],
		['a: 1\na: 2\n', /Map keys must be unique/],
		['', /it has no pod/],
	];
	for (const [source, ...errors] of cases) {
		const found = errorsOf(source);
		for (const error of errors) t.match(found.join('\n'), new RegExp(error.source, 'm'), source.slice(0, 120));
	}
});

t.test('aliases that grow without bound are refused', async (t) => {
	const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
	for (let at = 1; at < 9; at++)
		lines.push(
			`a${at}: &a${at} [${Array(10)
				.fill(`*a${at - 1}`)
				.join(', ')}]`,
		);
	t.match(errorsOf(lines.join('\n')).join(), /[Ee]xcessive alias/);
});
