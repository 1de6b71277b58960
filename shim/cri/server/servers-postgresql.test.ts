import t from 'tap';
import { exec } from '../../containerd/testing-pod.js';
import { ServerPod, startServers, WWW_DATA } from './testing-servers.js';

const POSTGRES = `
set -e; cd /tmp; PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
[ -d /data/db ] || { initdb -D /data/new -A trust -U app --locale=C -E UTF8 --no-sync >/dev/null; mv /data/new /data/db; }
echo 'host all all 0.0.0.0/0 trust' >>/data/db/pg_hba.conf
rm -f /data/db/postmaster.pid
exec postgres -D /data/db -k /tmp -c 'listen_addresses=*' -c jit=off -c fsync=off -c max_connections=20`;
const bench = await startServers();
const { cri } = bench;

// A virtual machine may be emulated: it gets the volume of the other handler's pod, for making a cluster alone takes a minute there.
for (const [index, handler] of ['isopod', 'isopod-vm'].entries()) {
	const name = `PostgreSQL in a pod of ${handler} answers a second container and other clients, and has its tables after kill -9`;
	t.test(name, async (t) => {
		const pod = new ServerPod(bench, handler, handler, 'database');
		await pod.run();
		let postgres = await pod.start('postgres', POSTGRES, { uid: WWW_DATA });
		const side = await pod.start('side', 'exec sleep 1000', { uid: WWW_DATA });
		const query = (sql: string): string => `psql -h ${pod.ip} -U app -d postgres -Atqc "${sql}"`;
		const ready = (): Promise<void> => pod.ready('postgres', pod.exec(side, 'pg_isready', '-h', pod.ip));
		await ready();
		t.ok(await pod.tcp(5432)());
		const before = index === 0 ? '0' : '12502900';
		const create = 'create table if not exists t (i int); create index if not exists i on t(i); select coalesce(sum(i), 0) from t';
		t.same(await exec(cri, side, query(`set client_min_messages = error; ${create}`)), { code: 0, stdout: `${before}\n`, stderr: '' });
		t.equal((await exec(cri, side, query('truncate t; insert into t select generate_series(1,5000)'))).code, 0);
		const writes = `for i in 1 2 3 4; do ${query('insert into t select 1 from generate_series(1,100)')} & done; wait`;
		t.equal((await exec(cri, side, writes)).code, 0);
		await cri.call('StopContainer', { containerId: postgres, timeout: 0 });
		t.notOk(await pod.tcp(5432)(), 'a probe fails when it is dead');
		postgres = await pod.restart(postgres, 'postgres', POSTGRES, WWW_DATA);
		await ready();
		t.equal((await exec(cri, side, query('select count(*) from t'))).stdout, '5400\n', 'after its recovery');
		await cri.call('StopContainer', { containerId: postgres, timeout: 20 });
		t.equal((await cri.call('ContainerStatus', { containerId: postgres })).status?.exitCode, 0, 'it ends in order');
		await cri.call('RemovePodSandbox', { podSandboxId: pod.id });
		t.strictSame(bench.leftovers, []);
		t.strictSame(bench.processes, []);
	});
}
