import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { PodsBench, podYaml, type ServerKind } from './testing.js';

/** `isopod pod run` and its kin at a server of one kind. */
export function testPodRun(kind: ServerKind): void {
	t.test(kind, async (t) => {
		const bench = await PodsBench.start(kind);
		t.teardown(() => bench.stop());
		const isGone = async (name: string): Promise<boolean> => !(await bench.run('pod', 'ls', '-a')).stdout.includes(` ${name} `);

		t.test('a pod to its end: logs with prefixes, exit code, nothing left', async (t) => {
			const yaml = podYaml('first', 'echo out; echo err >&2; printf half; exit 3', { main: '      env: [{name: A, value: b}]\n' });
			const { code, stdout, stderr } = await bench.runWith(yaml, 'pod', 'run', '-');
			t.equal(code, 3);
			t.equal(stdout, '[main] out\n[main] half\n');
			t.match(stderr, /^\[main\] err$/m);
			t.match(stderr, /container main ended with exit code 3/);
			t.ok(await isGone('first'));
			t.same(readdirSync(bench.data), []);
			t.equal((await bench.runWith(podYaml('first', 'true'), 'pod', 'run', '-q', '-')).stderr, '');
		});

		t.test('environment, commands, volumes, configuration, identity', async (t) => {
			const shared = join(bench.folder, 'shared');
			mkdirSync(shared);
			writeFileSync(join(shared, 'file'), 'from the host\n');
			const script = [
				'echo "$GREETING|$ONE|$TWO|$KEY|$SECRET|$PREFIX_a|$NAME|$IP|$LIMIT"',
				'cat /conf/a /conf/sub/b /secret/password /info/labels; echo',
				'cat /host/file; echo more >/host/new; stat -c %a /secret/password',
				'echo x >/conf/a; echo x >/scratch/x && stat -c %g /scratch/x; mount | grep -c "on /memory "; echo y >/sub/y; ls /scratch',
				'id -u; id -g; id; grep CapEff /proc/self/status; touch /x; hostname; grep alias /etc/hosts; cat /etc/resolv.conf',
				'echo the end >/dev/termination-log; exit 5',
			].join('; ');
			const yaml = `${podYaml('second', script, {
				spec: `  hostname: renamed
  hostAliases: [{ip: 10.1.2.3, hostnames: [alias, other]}]
  dnsPolicy: None
  dnsConfig: {nameservers: [192.0.2.1], searches: [example.test], options: [{name: ndots, value: "3"}]}
  securityContext: {runAsUser: 1000, runAsGroup: 1001, fsGroup: 2000}
  volumes:
    - {name: conf, configMap: {name: conf, items: [{key: a, path: a}, {key: b, path: sub/b}]}}
    - {name: secret, secret: {secretName: secret, defaultMode: 0440}}
    - {name: info, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}
    - {name: host, hostPath: {path: ${JSON.stringify(shared)}, type: Directory}}
    - {name: scratch, emptyDir: {}}
    - {name: memory, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
`,
				main: `      env:
        - {name: ONE, value: "1"}
        - {name: TWO, value: "$(ONE)2$$(ONE)$(NONE)"}
        - {name: KEY, valueFrom: {configMapKeyRef: {name: conf, key: a}}}
        - {name: SECRET, valueFrom: {secretKeyRef: {name: secret, key: password}}}
        - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
        - {name: LIMIT, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}
        - {name: GREETING, value: hello}
      envFrom: [{prefix: PREFIX_, configMapRef: {name: conf}}]
      resources: {limits: {memory: 64Mi, cpu: 500m}, requests: {memory: 32Mi}}
      securityContext: {readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
      volumeMounts:
        - {name: conf, mountPath: /conf}
        - {name: secret, mountPath: /secret}
        - {name: info, mountPath: /info}
        - {name: host, mountPath: /host}
        - {name: scratch, mountPath: /scratch}
        - {name: scratch, mountPath: /sub, subPath: deep/er}
        - {name: memory, mountPath: /memory}
`,
			}).replace('name: second', 'name: second\n  labels: {app: web}')}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data: {a: "1st", b: "2nd"}
---
apiVersion: v1
kind: Secret
metadata: {name: secret}
data: {password: ${Buffer.from('opensesame').toString('base64')}}
`;
			// The group may write to what is the host's.
			const { stdout, stderr, code } = await bench.runWith(yaml, 'pod', 'run', '--no-prefix', '-');
			t.equal(code, 5, stderr);
			const lines = stdout.split('\n');
			t.match(lines[0], /^hello\|1\|12\$\(ONE\)\$\(NONE\)\|1st\|opensesame\|1st\|second\|10\.[\d.]+\|64$/);
			t.equal(lines[1], '1st2ndopensesameapp="web"');
			t.equal(lines[2], 'from the host');
			t.match(stdout, /^440$/m);
			t.match(stderr, /\/conf\/a: Read-only/);
			t.match(stdout, /^2000\n1\ndeep\nx\n1000\n1001\n/m);
			t.match(stdout, /groups=.*2000/);
			t.match(stdout, /CapEff:\t0+$/m);
			t.match(stderr, /touch: \/x: Read-only/);
			t.match(stdout, /^renamed\n10\.1\.2\.3\talias\tother$/m);
			t.match(stdout, /nameserver 192\.0\.2\.1/);
			t.match(stdout, /options ndots:3/);
			t.match(stderr, /exit code 5 \(the end\)/);
			t.same(readdirSync(bench.data), []);
			t.notMatch(readFileSync('/proc/mounts', 'utf8'), `${bench.data}`);
		});

		t.test('init containers, a sidecar, hooks and probes, in order', async (t) => {
			const yaml = `apiVersion: v1
kind: Pod
metadata: {name: third}
spec:
  runtimeClassName: isopod
  restartPolicy: Never
  shareProcessNamespace: true
  terminationGracePeriodSeconds: 5
  volumes: [{name: log, emptyDir: {}}]
  initContainers:
    - {name: one, image: "localhost/busybox:1", command: [sh, -c, "echo one >>/log/log"], volumeMounts: [{name: log, mountPath: /log}]}
    - name: side
      image: localhost/busybox:1
      restartPolicy: Always
      command: [sh, -c, "trap 'echo side ends; exit 0' TERM; sleep 1; touch /started; while :; do sleep 0.1; done"]
      startupProbe: {exec: {command: [ls, /started]}, periodSeconds: 1, failureThreshold: 20}
      volumeMounts: [{name: log, mountPath: /log}]
    - {name: two, image: "localhost/busybox:1", command: [sh, -c, "echo two >>/log/log"], volumeMounts: [{name: log, mountPath: /log}]}
  containers:
    - name: main
      image: localhost/busybox:1
      command: [sh, -c, "while ! grep -q hook /log/log; do sleep 0.1; done; cat /log/log; ps | grep -c 'touch /[s]tarted'; nc -l -p 8080 </dev/null; echo probed"]
      ports: [{name: web, containerPort: 8080}]
      lifecycle: {postStart: {exec: {command: [sh, -c, "echo hook >>/log/log"]}}}
      readinessProbe: {tcpSocket: {port: web}, initialDelaySeconds: 1, periodSeconds: 1}
      volumeMounts: [{name: log, mountPath: /log}]
`;
			const { stdout, stderr, code } = await bench.runWith(yaml, 'pod', 'run', '-');
			t.equal(code, 0, stderr);
			t.match(stdout, /\[main\] one\n\[main\] two\n\[main\] hook\n\[main\] 1\n/);
			t.match(stdout, /\[main\] probed\n/);
			t.match(stdout, /\[side\] side ends\n/);
			t.match(stderr, /container main is ready/);
			t.ok(stdout.indexOf('probed') < stdout.indexOf('side ends'), 'sidecars end last');
		});

		t.test('an init container that fails, a liveness probe, restarts', async (t) => {
			const init = podYaml('fourth', 'echo never', {
				spec: '  initContainers: [{name: bad, image: "localhost/busybox:1", command: [sh, -c, exit 9]}]\n',
			});
			const failed = await bench.runWith(init, 'pod', 'run', '-');
			t.equal(failed.code, 1);
			t.match(failed.stderr, /init container "bad" failed with exit code 9/);
			t.notMatch(failed.stdout, 'never');
			const script = 'if [ -e /v/again ]; then echo restarted; exit 0; fi; touch /v/again; echo first; sleep 100';
			const living = podYaml('fifth', script, {
				spec: '  volumes: [{name: v, emptyDir: {}}]\n',
				main: '      livenessProbe: {exec: {command: [ls, /alive]}, periodSeconds: 1, failureThreshold: 2}\n      volumeMounts: [{name: v, mountPath: /v}]\n',
			})
				.replace('restartPolicy: Never', 'restartPolicy: OnFailure')
				.replace('terminationGracePeriodSeconds: 2', 'terminationGracePeriodSeconds: 1');
			const { stdout, stderr, code } = await bench.runWith(living, 'pod', 'run', '-');
			t.equal(code, 0, stderr);
			t.equal(stdout, '[main] first\n[main] restarted\n');
			t.match(stderr, /Liveness probe failed/);
			t.match(stderr, /exit code 137/);
		});

		t.test('Ctrl-C stops with hooks and removes; twice kills', async (t) => {
			const script = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.1; done";
			const hook = '      lifecycle: {preStop: {exec: {command: [sh, -c, "echo hooked >/proc/1/fd/1"]}}}\n';
			const polite = bench.spawn('pod', 'run', bench.file('polite.yaml', podYaml('polite', script, { main: hook })));
			await polite.until(/up/);
			polite.child.kill('SIGINT');
			const { code, stdout } = await polite.ended;
			t.equal(code, 130);
			t.equal(stdout, '[main] up\n[main] hooked\n[main] bye\n');
			t.ok(await isGone('polite'));
			const yaml = podYaml('stubborn', "trap '' TERM; echo up; while :; do sleep 0.1; done").replace('Seconds: 2', 'Seconds: 300');
			const stubborn = bench.spawn('pod', 'run', bench.file('stubborn.yaml', yaml));
			await stubborn.until(/up/);
			stubborn.child.kill('SIGTERM');
			await stubborn.until(/stopping/, 'stderr');
			stubborn.child.kill('SIGINT');
			t.equal((await stubborn.ended).code, 130);
			t.ok(await isGone('stubborn'));
			t.same(readdirSync(bench.data), []);
		});

		t.test('detached; one of a name; replace; what is wrong is told by its path', async (t) => {
			const file = bench.file('web.yaml', podYaml('web', 'echo up; sleep 1000'));
			const started = await bench.run('pod', 'run', '-d', file);
			t.equal(started.code, 0, started.stderr);
			t.match(started.stdout, /^[0-9a-f]{64}\n$/);
			const again = await bench.run('pod', 'run', '-d', file);
			t.equal(again.code, 1);
			t.match(again.stderr, /pods "web" already exists/);
			const replaced = await bench.run('pod', 'run', '-d', '--replace', file);
			t.equal(replaced.code, 0, replaced.stderr);
			t.not(replaced.stdout, started.stdout);
			t.match(
				(await bench.run('pod', 'ls')).stdout,
				/^POD ID +NAMESPACE +NAME +RUNNING +STATE +AGE\n\w{13} +default +web +1\/1 +Ready +\d+s\n$/,
			);
			const { pod } = JSON.parse((await bench.run('pod', 'inspect', 'web')).stdout) as { pod: { spec: { restartPolicy: string } } };
			t.equal(pod.spec.restartPolicy, 'Never');
			t.match(await bench.run('pod', 'rm', 'web'), { code: 1, stderr: /is running/ });
			t.match(await bench.run('pod', 'stop', '-t', '0', 'web'), { code: 0, stdout: 'web\n' });
			t.equal((await bench.run('pod', 'ls', '-q')).stdout, '');
			t.match(await bench.run('pod', 'rm', 'web', 'nothing'), { code: 1, stdout: 'web\n', stderr: /pod "nothing" not found/ });
			t.same(readdirSync(bench.data), []);
			const wrong = await bench.runWith(podYaml('web', 'true', { main: '      imagee: x\n' }), 'pod', 'run', '-');
			t.match(wrong, { code: 1, stderr: /^isopod: stdin: unknown field "spec.containers\[0\].imagee"$/m });
			const missing = podYaml('web', 'true', { main: '      imagePullPolicy: Never\n' }).replace('busybox:1', 'nothing:1');
			t.match(await bench.runWith(missing, 'pod', 'run', '-'), { code: 1, stderr: /"localhost\/nothing:1" is not here/ });
			const unknown = await bench.run('pod', 'run', '--runtime-class', 'unheard-of', file);
			t.equal(unknown.code, 1);
			t.match(unknown.stderr, /unheard-of/);
			t.ok(await isGone('web'));
			t.same(readdirSync(bench.data), [], 'nothing is left of pods that could not start');
		});
	});
}
