import t from 'tap';
import { EAGAIN } from '../abi/errno.js';
import { F_RDLCK, F_UNLCK, F_WRLCK } from '../abi/fcntl.js';
import { FileLocks } from './file-locks.js';

const lock = (owner: object, type: number, start: number, end: number) => ({ owner, type, start, end, pid: 1 });
const [alice, bob] = [{}, {}];

t.test('record locks conflict where they overlap and one of them writes', async (t) => {
	const locks = new FileLocks();
	t.equal(locks.setRecord(lock(alice, F_RDLCK, 0, 10)), 0);
	t.equal(locks.setRecord(lock(bob, F_RDLCK, 5, 15)), 0);
	t.equal(locks.setRecord(lock(bob, F_WRLCK, 9, 20)), -EAGAIN);
	t.equal(locks.setRecord(lock(bob, F_WRLCK, 10, 20)), 0);
	t.equal(locks.conflict(lock(alice, F_RDLCK, 19, Number.POSITIVE_INFINITY))?.start, 10);
	t.equal(locks.conflict(lock(alice, F_WRLCK, 20, 30)), null);
});

t.test('an unlock in the middle splits a lock, and neighbours of one type become one', async (t) => {
	const locks = new FileLocks();
	locks.setRecord(lock(alice, F_WRLCK, 0, 10));
	locks.setRecord(lock(alice, F_WRLCK, 10, 30));
	const whole = locks.conflict(lock(bob, F_RDLCK, 0, 1));
	t.match(whole, { start: 0, end: 30 });
	locks.setRecord(lock(alice, F_UNLCK, 10, 20));
	t.equal(locks.setRecord(lock(bob, F_WRLCK, 10, 20)), 0);
	t.equal(locks.setRecord(lock(bob, F_WRLCK, 20, 21)), -EAGAIN);
	locks.release(alice);
	t.equal(locks.setRecord(lock(bob, F_WRLCK, 0, 30)), 0);
	locks.release(bob);
	t.ok(locks.isEmpty);
});

t.test('flock() locks: shared ones stand side by side, an exclusive one alone; a change of kind is no conflict with oneself', async (t) => {
	const locks = new FileLocks();
	t.equal(locks.setWhole(alice, F_RDLCK), 0);
	t.equal(locks.setWhole(bob, F_RDLCK), 0);
	t.equal(locks.setWhole(alice, F_WRLCK), -EAGAIN);
	locks.setWhole(bob, F_UNLCK);
	t.equal(locks.setWhole(alice, F_WRLCK), 0);
	t.equal(locks.setWhole(bob, F_RDLCK), -EAGAIN);
});
