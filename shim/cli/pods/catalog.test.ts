import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { isForPods } from './catalog.js';

t.test('which commands are for pods, and which for an OCI engine', async (t) => {
	const root = mkdtempSync(join(tmpdir(), 'isopod-catalog-'));
	t.teardown(() => rmSync(root, { recursive: true }));
	mkdirSync(join(root, 'oci1'));
	writeFileSync(join(root, 'oci1/state.json'), '{}');
	const pods = [
		'ps',
		'ps -a',
		'ps -o json',
		'ps -q --no-trunc',
		'-r unix:///x ps',
		'--runtime-endpoint=unix:///x ps -a',
		'exec -it web -- sh',
		'exec web -c side -- cat',
		'exec -c side web sh',
		'exec web/main -- ps -p 1',
		'rm web/main',
		'rm -f web',
		'rm --all',
		'events',
		'events -o json',
		'pod run x.yaml',
		'logs -f web',
		'help pod',
		'stop x',
	];
	const oci = [
		'',
		'--help',
		'run oci1',
		'create --bundle ps x',
		'list',
		'delete -f x',
		'help run',
		'ps oci1',
		'ps -f json oci1',
		'ps nothing',
		'--root /x ps',
		'exec oci1 sh',
		'exec -t oci1 sh',
		'exec --process p.json --pid-file f --detach nothing',
		'exec -d nothing sh',
		'exec -e A=B nothing sh',
		'--root /x exec web sh',
		'--log l --log-format json exec web sh',
		'--root=/x rm web',
		'rm oci1',
		'rm -f oci1',
		'events oci1',
		'events --stats oci1',
		'features',
	];
	const words = (line: string): string[] => line.split(' ').filter(Boolean);
	for (const line of pods) t.ok(isForPods(words(line), root), line);
	for (const line of oci) t.notOk(isForPods(words(line), root), line);
});
