import t from 'tap';
import {
	addon,
	answer,
	buildGuest,
	ENDED,
	type Event,
	INTERRUPTED,
	LENT,
	LISTENER_GONE,
	NR_PPOLL,
	READY,
	reapWhenDone,
	runGuest,
	startGuest,
	TRAP,
	TRAP_A,
	TRAP_B,
	TRAP_C,
	trapping,
	waitEvents,
	waitFor,
} from './test-guests.js';

const SIGKILL = 9;
const SIGUSR1 = 10;
const EPOLLIN = 1;

t.test('wait() shows the end of a process before a trap that was made after it', async (t) => {
	const rounds = 2000;
	const guest = runGuest('wait-order');
	let early = 0;
	let parents = 0;
	const ended = new Set<number>();
	let isDone = false;
	while (!isDone) {
		const events = waitEvents();
		if (events.length === 0) throw new Error('the guest stands still');
		for (const event of events) {
			if (event.kind === ENDED) ended.add(event.key);
			if (event.kind === LISTENER_GONE) isDone = true;
			if (event.kind !== TRAP) continue;
			const round = event.args[0] ?? -1;
			if (event.number === TRAP_C) answer(event, rounds);
			if (event.number === TRAP_A) {
				addon.watchEnd(event.tid, round, false);
				answer(event, 0);
			}
			if (event.number === TRAP_B) {
				parents++;
				if (!ended.has(round)) early++;
				answer(event, 0);
			}
		}
	}
	t.equal(parents, rounds);
	t.equal(early, 0);
	t.equal(reapWhenDone(guest.pid), 0);
});

t.test('no answer is lost to a timer of 5 kHz', async (t) => {
	const traps = 200_000;
	const guest = runGuest('storm');
	let report: Event | undefined;
	let refused = 0;
	while (report === undefined) {
		for (const event of waitEvents()) {
			if (event.kind !== TRAP) continue;
			if (event.number === TRAP_C) answer(event, traps);
			if (event.number === TRAP_A && answer(event, (event.args[0] ?? 0) * 3 + 1) !== 0) refused++;
			if (event.number === TRAP_B) report = event;
		}
	}
	t.equal(report.args[0], 0, 'lost answers');
	t.ok((report.args[1] ?? 0) > 1000, `signals: ${report.args[1]}`);
	t.equal(refused, 0);
	answer(report, 0);
	t.equal(reapWhenDone(guest.pid), 0);
});

t.test('answer() gives ENOENT when the task is gone', async (t) => {
	const rootFd = buildGuest('descriptors');
	const guest = startGuest(rootFd);
	addon.close(rootFd);
	const trap = waitFor(TRAP);
	t.equal(addon.isTrapValid(trap.key, trap.idLow, trap.idHigh), 0);
	addon.sendSignal(guest.pid, -1, SIGKILL);
	reapWhenDone(guest.pid);
	t.equal(addon.isTrapValid(trap.key, trap.idLow, trap.idHigh), -2);
	t.equal(answer(trap, 0), -2);
	t.equal(addon.continueTrap(trap.key, trap.idLow, trap.idHigh), -2);
	t.equal(addon.answer(16383, 0, 0, 0), -2, 'no such listener');
	t.throws(() => addon.answer('1' as unknown as number, 0, 0, 0), TypeError);
	t.throws(() => addon.answer(1, 0, 0, Number.NaN), TypeError);
});

t.test('lend() gives a guest a descriptor to map, and ends its trap', async (t) => {
	const guest = runGuest('lend');
	const trap = waitFor(TRAP);
	const file = addon.memfdCreate('lent', 0);
	addon.pwrite(file, Buffer.from([1, 2, 3, 4, 5, 6, 0, 0]), 0, 8, 0);
	addon.lend(31, trap.key, trap.idLow, trap.idHigh, Int32Array.of(file, 40), 1, 40);
	addon.close(file);
	const traps: Event[] = [];
	const lent = waitFor(LENT, (event) => traps.push(event));
	t.equal(lent.key, 31);
	t.equal(lent.value, 0);
	const report = traps.find((event) => event.kind === TRAP) ?? waitFor(TRAP);
	t.equal(report.number, TRAP_B);
	t.equal(report.args[0], 0x060504030201);
	t.equal(report.args[1], 1, 'close-on-exec');
	answer(report, 0);

	const last = waitFor(TRAP);
	t.equal(last.number, TRAP_C);
	addon.lend(32, last.key, last.idLow, last.idHigh, Int32Array.of(9999, 0), 2, 0);
	t.match(waitFor(LENT), { key: 32, value: -9 }, 'a source that is not open');
	t.equal(addon.isTrapValid(last.key, last.idLow, last.idHigh), -2, 'the trap got the errno');
	addon.lend(33, last.key, last.idLow, last.idHigh, Int32Array.of(0, 0), 0, 0);
	t.equal(waitFor(LENT).value, -2, 'a trap that is gone');
	t.throws(() => addon.lend(34, last.key, last.idLow, last.idHigh, new Int32Array(3), 0, 0), RangeError);
	t.equal(reapWhenDone(guest.pid), 0);
});

t.test('lend() finishes when the task dies instead', async (t) => {
	const guest = runGuest('lend');
	const trap = waitFor(TRAP);
	addon.sendSignal(guest.pid, -1, SIGKILL);
	addon.lend(35, trap.key, trap.idLow, trap.idHigh, Int32Array.of(0, -1), 0, 0);
	t.ok(waitFor(LENT).value < 0);
	t.equal(reapWhenDone(guest.pid), SIGKILL);
});

t.test('interruptUnderMask() ends a ppoll() whose mask lets a pending signal through', async (t) => {
	for (let round = 0; round < 20; round++) {
		const guest = runGuest('under-mask', { filter: trapping(NR_PPOLL, TRAP_A, 59) });
		const trap = waitFor(TRAP);
		t.equal(trap.number, NR_PPOLL);
		addon.sendSignal(guest.pid, trap.tid, SIGUSR1);
		addon.interruptUnderMask(51, trap.key, trap.idLow, trap.idHigh, trap.tid, trap.args[3] ?? 0);
		const traps: Event[] = [];
		const interrupted = waitFor(INTERRUPTED, (event) => traps.push(event));
		t.match(interrupted, { key: 51, value: 0 });
		const report = traps.find((event) => event.kind === TRAP) ?? waitFor(TRAP);
		t.equal(report.number, TRAP_A, 'the loop got out');
		const [returns, result, changed, masks] = report.args;
		t.equal(returns, 1, 'returned once');
		t.equal(result, -4, 'EINTR');
		t.equal(changed, 0, 'registers that changed');
		t.equal(masks, (2 + 1) * 2 + 1, "the handler ran under the wait's mask, and the thread's own is back");
		answer(report, 0);
		t.equal(reapWhenDone(guest.pid), 0);
	}
});

t.test('interruptUnderMask() restarts the call when no signal comes, and reports a task that is gone', async (t) => {
	const guest = runGuest('under-mask', { filter: trapping(NR_PPOLL, TRAP_A, 59) });
	const trap = waitFor(TRAP);
	addon.interruptUnderMask(52, trap.key, trap.idLow, trap.idHigh, trap.tid, trap.args[3] ?? 0);
	const others: Event[] = [];
	t.match(
		waitFor(INTERRUPTED, (event) => others.push(event)),
		{ key: 52, value: 0 },
	);
	const again = others.find((event) => event.kind === TRAP) ?? waitFor(TRAP);
	t.equal(again.number, NR_PPOLL);
	t.same(again.args, trap.args);
	addon.sendSignal(guest.pid, -1, SIGKILL);
	t.equal(reapWhenDone(guest.pid), SIGKILL);
	addon.interruptUnderMask(53, again.key, again.idLow, again.idHigh, again.tid, 0);
	t.ok(waitFor(INTERRUPTED).value < 0);
});

t.test('watch() tells when a descriptor is ready, once', async (t) => {
	const fds = new Int32Array(2);
	addon.pipe(fds);
	const [readEnd = -1, writeEnd = -1] = fds;
	t.equal(addon.watch(readEnd, 77, EPOLLIN), 0);
	t.same(
		waitEvents(0).filter((event) => event.kind === READY),
		[],
	);
	addon.pwrite(writeEnd, Buffer.from('x'), 0, 1, -1);
	t.match(waitFor(READY), { key: 77, value: EPOLLIN });
	t.same(
		waitEvents(0).filter((event) => event.kind === READY),
		[],
		'edge-triggered',
	);
	t.equal(addon.watch(readEnd, 78, EPOLLIN), 0, 'changed');
	t.match(waitFor(READY), { key: 78 });
	t.equal(addon.unwatch(readEnd), 0);
	t.equal(addon.unwatch(readEnd), -2);
	t.equal(addon.watchEnd(0x3fffff, 1, false), -3);
	const pidfd = addon.watchEnd(process.pid, 1, true);
	t.ok(pidfd > 2);
	t.equal(addon.unwatchEnd(pidfd), 0);
	t.ok(addon.unwatchEnd(pidfd) < 0);
	addon.close(readEnd);
	addon.close(writeEnd);
});

t.test('wait() keeps its time', async (t) => {
	while (waitEvents(0).length > 0);
	const start = addon.monotonicNs();
	t.equal(addon.wait(3_500_000), 0);
	const spent = addon.monotonicNs() - start;
	t.ok(spent >= 3_500_000 && spent < 100_000_000, `${spent} ns`);
});
