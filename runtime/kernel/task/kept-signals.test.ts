import t from 'tap';
import { EAGAIN, EINVAL } from '../abi/errno.js';
import { O_NONBLOCK } from '../abi/fcntl.js';
import { POLLIN } from '../abi/poll-constants.js';
import { SI_QUEUE, SI_USER, SIGTERM, SIGUSR1 } from '../abi/signal-numbers.js';
import { SignalFd } from '../event/signalfd.js';
import { reading, TestProcess } from '../ipc/testing.js';
import { BLOCKED } from './blocked.js';
import { KeptSignals, type SignalInfo, signalBit } from './kept-signals.js';

function info(signal: number, valueLow = 0): SignalInfo {
	const code = valueLow === 0 ? SI_USER : SI_QUEUE;
	return { signal, code, pid: 7, uid: 1000, status: 0, userTicks: 0, systemTicks: 0, timerId: 0, overrun: 0, valueLow, valueHigh: 0 };
}

t.test('of a standard signal one is kept, of a real-time signal all up to a bound', async (t) => {
	const kept = new KeptSignals();
	kept.add(info(SIGTERM));
	kept.add(info(SIGTERM));
	kept.add(info(SIGUSR1));
	t.ok(kept.add(info(SIGTERM)), 'one is there');
	for (let i = 1; i < 5000; i++) kept.add(info(40, i));
	t.notOk(kept.add(info(40)));
	t.ok(kept.add(info(41)), 'the first of a number always');
	t.equal(kept.take(0, signalBit(41))?.signal, 41);
	t.equal(kept.take(-1, -1)?.signal, SIGUSR1, 'the lowest number first');
	t.equal(kept.take(-1, -1)?.signal, SIGTERM);
	let count = 0;
	let isOrdered = true;
	for (let next = kept.take(-1, -1); next !== null; next = kept.take(-1, -1)) isOrdered &&= next.valueLow === ++count;
	t.ok(isOrdered);
	t.equal(count, 1022);
	t.ok(kept.isEmpty);
	t.equal(kept.low | kept.high, 0);
});

t.test('a signalfd shows the signals of who reads it, and no others', async (t) => {
	const process = new TestProcess();
	const task = process.task();
	const { kernel, group } = task;
	const file = new SignalFd(kernel, signalBit(SIGTERM), 0, O_NONBLOCK);
	const out = Buffer.alloc(400);
	t.equal(process.call(task, reading(file, 127)), -EINVAL);
	t.equal(process.call(task, reading(file, 128)), -EAGAIN);
	group.kept = new KeptSignals();
	group.kept.add(info(SIGUSR1));
	t.equal(process.call(task, reading(file, 128)), -EAGAIN);
	task.kept = new KeptSignals();
	task.kept.add(info(SIGTERM));
	group.kept.add(info(SIGTERM));
	kernel.current = task;
	t.equal(file.poll(), POLLIN);
	t.equal(process.call(task, reading(file, 400, out)), 256, 'its own, then the process’s');
	t.equal(out.readUInt32LE(0), SIGTERM);
	t.equal(out.readUInt32LE(12), 7);
	t.equal(file.poll(), 0);
	file.flags &= ~O_NONBLOCK;
	t.equal(process.call(task, reading(file, 128)), BLOCKED);
	group.kept.add(info(SIGTERM));
	file.waiters.wake(POLLIN);
	t.ok(process.isWoken(task));
	t.equal(process.again(task, reading(file, 128)), 128);
});
