import t from 'tap';
import { EAGAIN } from '../abi/errno.js';
import { RLIMIT_SIGPENDING } from '../abi/resource.js';
import { SI_TIMER, SIGKILL, SIGUSR1 } from '../abi/signal-numbers.js';
import type { SignalInfo } from '../task/kept-signals.js';
import { Limits } from '../task/limits.js';
import type { ThreadGroup } from '../task/thread-group.js';
import { type PosixTimer, SIGEV_NONE, SIGEV_SIGNAL } from './posix-timer.js';
import { PosixTimers } from './posix-timers.js';
import type { TimerClock } from './timer-clock.js';
import { Timers } from './timers.js';

const SECOND = 1e9;

/** A process whose signals are looked at, and a clock that is turned by hand. */
function setUp(): {
	timers: PosixTimers;
	sent: SignalInfo[];
	state: { isPending: boolean; isInit: boolean };
	at: (ns: number) => void;
	clock: TimerClock;
} {
	const armed = new Timers();
	const sent: SignalInfo[] = [];
	const state = { isPending: false, isInit: false };
	let nowNs = 0;
	const group = {
		limits: new Limits(),
		isImmuneTo: (signal: number) => state.isInit && signal === SIGKILL,
		container: {
			posixTimerCount: 0,
			kernel: {
				timers: armed,
				signals: {
					isPending: () => state.isPending,
					sendToGroup: (_group: unknown, _signal: number, _sender: unknown, info: SignalInfo) => sent.push(info),
				},
			},
		},
	} as unknown as ThreadGroup;
	const clock: TimerClock = { nowNs: () => nowNs, at: ({ seconds }) => seconds * SECOND, reachesNs: (timeNs) => timeNs };
	const at = (ns: number): void => {
		nowNs = ns;
		// Whatever its look is due at: the clock of the looks is the host's.
		armed.run(Number.MAX_SAFE_INTEGER);
	};
	return { timers: new PosixTimers(group), sent, state, at, clock };
}

function make(timers: PosixTimers, clock: TimerClock, notify = SIGEV_SIGNAL, signal = SIGUSR1): PosixTimer {
	return timers.create(1, clock, () => ({ notify, signal, tid: -1, valueLow: 7, valueHigh: 0 })) as PosixTimer;
}

t.test('it tells of an expiry once, with its value', async (t) => {
	const { timers, sent, at, clock } = setUp();
	const timer = make(timers, clock);
	timer.set({ seconds: 2, nanoseconds: 0 }, 0, false);
	t.equal(timer.remainingNs(), 2 * SECOND);
	at(SECOND);
	t.equal(sent.length, 0);
	at(3 * SECOND);
	at(9 * SECOND);
	t.equal(sent.length, 1);
	t.match(sent[0], { code: SI_TIMER, signal: SIGUSR1, timerId: timer.id, overrun: 0, valueLow: 7 });
	t.equal(timer.remainingNs(), 0);
});

t.test('while a signal waits, expiries are counted and not told', async (t) => {
	const { timers, sent, state, at, clock } = setUp();
	const timer = make(timers, clock);
	timer.set({ seconds: 1, nanoseconds: 0 }, SECOND, false);
	at(SECOND);
	state.isPending = true;
	for (let second = 2; second <= 10; second++) at(second * SECOND);
	t.equal(sent.length, 1);
	t.equal(timer.getOverrun(), 0, 'not yet taken');
	state.isPending = false;
	t.equal(timer.getOverrun(), 9, 'taken at this moment');
	at(11 * SECOND);
	t.equal(sent.length, 2);
	t.equal(timer.getOverrun(), 0);
	at(15 * SECOND);
	t.equal(sent[2]?.overrun, 3, 'those that nobody could be told of in time');
});

t.test('one that tells nobody goes on by itself', async (t) => {
	const { timers, sent, at, clock } = setUp();
	const timer = make(timers, clock, SIGEV_NONE, 0);
	timer.set({ seconds: 1, nanoseconds: 0 }, 10 * SECOND, true);
	at(5 * SECOND);
	t.equal(timer.remainingNs(), 6 * SECOND);
	timer.set({ seconds: 0, nanoseconds: 0 }, SECOND, false);
	t.equal(timer.remainingNs(), 0);
	t.equal(timer.intervalNs, 0);
	t.equal(sent.length, 0);
});

t.test('init is not killed by its own', async (t) => {
	const { timers, sent, state, at, clock } = setUp();
	state.isInit = true;
	make(timers, clock, SIGEV_SIGNAL, SIGKILL).set({ seconds: 1, nanoseconds: 0 }, 0, false);
	at(2 * SECOND);
	t.equal(sent.length, 0);
});

t.test('their number is bounded by RLIMIT_SIGPENDING, and by itself', async (t) => {
	const { timers, clock } = setUp();
	const made: PosixTimer[] = [];
	for (;;) {
		const timer = timers.create(1, clock, () => ({ notify: SIGEV_NONE, signal: 0, tid: -1, valueLow: 0, valueHigh: 0 }));
		if (typeof timer === 'number') {
			t.equal(timer, -EAGAIN);
			break;
		}
		made.push(timer);
	}
	t.equal(made.length, 4096);
	t.equal(new Set(made.map(({ id }) => id)).size, 4096);
	timers.delete(made[5]!);
	t.type(make(timers, clock), 'object');
	timers.deleteAll();
	t.equal(timers.get(made[6]!.id), null);
	const limited = setUp();
	(limited.timers as unknown as { group: ThreadGroup }).group.limits.set(RLIMIT_SIGPENDING, 1, 1);
	make(limited.timers, limited.clock);
	t.equal(make(limited.timers, limited.clock) as unknown, -EAGAIN);
});
