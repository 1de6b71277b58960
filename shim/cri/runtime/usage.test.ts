import t from 'tap';
import type { Stats } from '../../../runtime/oci/cgroup/stats.js';
import { CpuRates, NO_PRESSURE, parseDevices, parsePsi, sumOf, usageOf } from './usage.js';

const NONE = { limit: 0, usage: 0, max: 0, failcnt: 0 };
const UNLIMITED = 2 ** 64 - 2048;

function stats(changes: Partial<Stats['memory']>): Stats {
	return {
		cpu: { usage: { total: 5, kernel: 2, user: 3 }, throttling: { periods: 1, throttledPeriods: 1, throttledTime: 7 } },
		memory: { cache: 10, usage: NONE, swap: NONE, kernel: NONE, kernelTCP: NONE, raw: {}, ...changes },
		pids: { current: 4 },
		blkio: {
			ioServiceBytesRecursive: [
				{ major: 8, minor: 0, op: 'Read', value: 100 },
				{ major: 8, minor: 16, op: 'Read', value: 1 },
				{ major: 8, minor: 0, op: 'Write', value: 50 },
				{ major: 8, minor: 0, op: 'Total', value: 150 },
			],
		},
		hugetlb: {},
		intel_rdt: {},
		network_interfaces: null,
	};
}

t.test('usageOf() reads cgroup v1: totals of those below, swap counted with memory', async (t) => {
	const usage = usageOf(
		stats({
			usage: { limit: 1000, usage: 600, max: 700, failcnt: 2 },
			swap: { limit: 1500, usage: 650, max: 0, failcnt: 0 },
			raw: { rss: 1, total_rss: 300, inactive_file: 5, total_inactive_file: 150, total_pgfault: 9, total_pgmajfault: 3 },
		}),
		NO_PRESSURE,
	);
	t.match(usage, { cpuNs: 5, memoryBytes: 600, workingSetBytes: 450, rssBytes: 300, faults: 9, majorFaults: 3 });
	t.match(usage, { memoryLimitBytes: 1000, swapBytes: 50, swapLimitBytes: 500, readBytes: 101, writtenBytes: 50, processes: 4 });
});

t.test('usageOf() reads cgroup v2, and knows no limit from one', async (t) => {
	const usage = usageOf(
		stats({
			usage: { limit: UNLIMITED, usage: 600, max: 700, failcnt: 2 },
			swap: { limit: 200, usage: 610, max: 0, failcnt: 0 },
			raw: { anon: 300, inactive_file: 700, pgfault: 9, pgmajfault: 3 },
		}),
		NO_PRESSURE,
	);
	t.match(usage, { workingSetBytes: 0, rssBytes: 300, memoryLimitBytes: 0, swapBytes: 10, swapLimitBytes: 200 });
});

t.test('sumOf() adds numbers', async (t) => {
	const one = usageOf(stats({}), NO_PRESSURE);
	t.match(sumOf([one, one]), { cpuNs: 10, processes: 8, readBytes: 202 });
	t.ok(sumOf([]).atNs > 0);
});

t.test('a CPU rate is known from the second look on', async (t) => {
	const rates = new CpuRates();
	const owner = {};
	const at = (atNs: number, cpuNs: number): number | null => rates.rate(owner, { ...sumOf([]), atNs, cpuNs });
	t.equal(at(0, 0), null);
	t.equal(at(1e9, 5e8), 5e8);
	t.equal(at(1e9 + 1000, 6e8), 5e8, 'too soon for another');
	t.equal(at(3e9, 5e8), 0);
	t.equal(at(4e9, 1e8), 0, 'a container less in a sum');
});

t.test('parsePsi() reads pressure files, and nothing else', async (t) => {
	t.same(parsePsi('some avg10=1.50 avg60=0.25 avg300=0.00 total=42\nfull avg10=0.00 avg60=0.00 avg300=0.10 total=7\n'), {
		Some: { Avg10: 1.5, Avg60: 0.25, Avg300: 0, Total: 42 },
		Full: { Avg10: 0, Avg60: 0, Avg300: 0.1, Total: 7 },
	});
	t.equal(parsePsi(''), null);
});

t.test('parseDevices() reads /proc/net/dev without the loopback device', async (t) => {
	const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:  840      10    0    0    0     0          0         0      840      10    0    0    0     0       0          0
  eth0: 1506      17    1    2    0     0          0         0     1146      13    3    4    0     0       0          0
`;
	const eth0 = { name: 'eth0', rxBytes: 1506, rxPackets: 17, rxErrors: 1, rxDropped: 2 };
	t.same(parseDevices(text), [{ ...eth0, txBytes: 1146, txPackets: 13, txErrors: 3, txDropped: 4 }]);
});
