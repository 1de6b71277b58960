import t from 'tap';
import { environmentOf, expand, fieldOf, resourceOf } from './environment.js';
import { parseManifest } from './manifest.js';
import { parseQuantity } from './quantity.js';

t.test("expand() as Kubernetes' documentation has it", async (t) => {
	const variables = new Map([
		['A', 'a'],
		['EMPTY', ''],
	]);
	for (const [text, wanted] of [
		['$(A)', 'a'],
		['x$(A)y$(A)', 'xaya'],
		['$(EMPTY)', ''],
		['$(NONE)', '$(NONE)'],
		['$$(A)', '$(A)'],
		['$$$(A)', '$a'],
		['$A $', '$A $'],
		['$(A', '$(A'],
	] as const)
		t.equal(expand(text, variables), wanted, text);
});

t.test('parseQuantity()', async (t) => {
	for (const [text, wanted] of [
		['1', 1],
		['500m', 0.5],
		['64Mi', 64 * 2 ** 20],
		['1.5Gi', 1.5 * 2 ** 30],
		['1e3', 1000],
		['12E2', 1200],
		['2k', 2000],
		['.5', 0.5],
		['1E', 1e18],
		['', null],
		['1 Mi', null],
		['1mi', null],
		['Mi', null],
		['0x10', null],
	] as const)
		t.equal(parseQuantity(text), wanted, text);
});

t.test('variables from ConfigMaps, fields and resources', async (t) => {
	const manifest = parseManifest(
		`apiVersion: v1
kind: Pod
metadata: {name: web, uid: u-1, labels: {b: "2", a: "1"}, annotations: {note: "x y"}}
spec:
  containers:
    - name: main
      image: x
      resources: {requests: {cpu: 250m}, limits: {cpu: "2", memory: 100Mi}}
      envFrom: [{prefix: P_, configMapRef: {name: c}}, {secretRef: {name: none, optional: true}}]
      env:
        - {name: A, value: "$(P_k)!"}
        - {name: NONE, valueFrom: {configMapKeyRef: {name: c, key: none, optional: true}}}
        - {name: LABEL, valueFrom: {fieldRef: {fieldPath: "metadata.labels['a']"}}}
        - {name: CPU, valueFrom: {resourceFieldRef: {resource: requests.cpu, divisor: 1m}}}
        - {name: CPUS, valueFrom: {resourceFieldRef: {resource: requests.cpu}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data: {k: v}
`,
		'f',
	);
	const addresses = { podIps: ['10.0.0.2', 'fd00::2'], hostIp: '192.0.2.1' };
	const [container] = manifest.pod.spec.containers;
	t.same(
		[...environmentOf(container!, manifest, addresses)],
		[
			['P_k', 'v'],
			['A', 'v!'],
			['LABEL', '1'],
			['CPU', '250'],
			['CPUS', '1'],
		],
	);
	const field = (fieldPath: string): string => fieldOf({ fieldPath }, manifest.pod, addresses);
	t.equal(field('metadata.labels'), 'a="1"\nb="2"');
	t.equal(field('metadata.annotations'), 'note="x y"');
	t.equal(field('metadata.uid'), 'u-1');
	t.equal(field('status.podIPs'), '10.0.0.2,fd00::2');
	t.equal(field('status.hostIP'), '192.0.2.1');
	t.equal(resourceOf({ resource: 'limits.memory', divisor: 2 ** 20 }, manifest.pod, container!), '100');
});
