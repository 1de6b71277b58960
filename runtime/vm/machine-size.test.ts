import { availableParallelism } from 'node:os';
import t from 'tap';
import { NO_RESOURCES } from '../oci/resources.js';
import { machineSize } from './machine-size.js';

const MIB = 1 << 20;
const sizeOf = (annotations: Record<string, string>, resources: object = {}) =>
	machineSize({ annotations, linux: { resources: { ...NO_RESOURCES, ...resources } } } as unknown as Parameters<typeof machineSize>[0]);
const POD = 'io.kubernetes.cri.sandbox-';

t.test('a machine has the memory of its pod, else of its first container, and some beside', (t) => {
	t.same(sizeOf({}), { memoryMib: 512, cpus: 1 });
	t.same(sizeOf({}, { memoryLimitBytes: 100 * MIB + 1 }), { memoryMib: 197, cpus: 1 });
	t.same(sizeOf({}, { memoryLimitBytes: Number.POSITIVE_INFINITY }), { memoryMib: 512, cpus: 1 });
	t.same(sizeOf({ [`${POD}memory`]: `${1024 * MIB}` }, { memoryLimitBytes: 10 * MIB }), { memoryMib: 1120, cpus: 1 });
	t.same(sizeOf({ [`${POD}memory`]: '0' }, { memoryLimitBytes: 10 * MIB }), { memoryMib: 512, cpus: 1 });
	t.throws(() => sizeOf({ [`${POD}memory`]: 'much' }), /sandbox-memory: want a number, not "much"/);
	t.throws(() => sizeOf({ [`${POD}memory`]: '999999999999999999' }), /no machine has/);
	t.end();
});

t.test('it has the processors that its time needs, of those that the host has', (t) => {
	const cpus = (quota: string, period: string) => sizeOf({ [`${POD}cpu-quota`]: quota, [`${POD}cpu-period`]: period }).cpus;
	t.equal(cpus('50000', '100000'), 1);
	t.equal(cpus('-1', '100000'), 1);
	t.equal(cpus('100000000', '100000'), availableParallelism());
	t.equal(sizeOf({}, { cpuQuotaUs: 100_001 }).cpus, Math.min(2, availableParallelism()));
	t.equal(sizeOf({}, { cpuQuotaUs: 200_000, cpuPeriodUs: 200_000 }).cpus, 1);
	t.end();
});
