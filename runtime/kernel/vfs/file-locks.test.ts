import t from 'tap';
import { EAGAIN, EDEADLK } from '../abi/errno.js';
import { F_RDLCK, F_UNLCK, F_WRLCK } from '../abi/fcntl.js';
import { allFileLocks, checkDeadlock, FileLocks, LockWait, recordLockText, wholeLockText } from './file-locks.js';
import type { Inode } from './inode.js';

const lock = (owner: object, type: number, start: number, end: number) => ({ owner, type, start, end, pid: 1, isOfd: false });
const newLocks = () => new FileLocks({} as Inode);
const [alice, bob] = [{}, {}];

t.test('record locks conflict where they overlap and one of them writes', async (t) => {
	const locks = newLocks();
	t.equal(locks.setRecord(lock(alice, F_RDLCK, 0, 10)), 0);
	t.equal(locks.setRecord(lock(bob, F_RDLCK, 5, 15)), 0);
	t.equal(locks.setRecord(lock(bob, F_WRLCK, 9, 20)), -EAGAIN);
	t.equal(locks.setRecord(lock(bob, F_WRLCK, 10, 20)), 0);
	t.equal(locks.conflict(lock(alice, F_RDLCK, 19, Number.POSITIVE_INFINITY))?.start, 10);
	t.equal(locks.conflict(lock(alice, F_WRLCK, 20, 30)), null);
});

t.test('an unlock in the middle splits a lock, and neighbours of one type become one', async (t) => {
	const locks = newLocks();
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
	const locks = newLocks();
	t.equal(locks.setWhole(alice, F_RDLCK, 1), 0);
	t.equal(locks.setWhole(bob, F_RDLCK, 2), 0);
	t.equal(locks.setWhole(alice, F_WRLCK, 1), -EAGAIN);
	locks.setWhole(bob, F_UNLCK, 2);
	t.equal(locks.setWhole(alice, F_WRLCK, 1), 0);
	t.equal(locks.setWhole(bob, F_RDLCK, 2), -EAGAIN);
});

t.test('a change of kind that fails loses the lock that was held, as in Linux', async (t) => {
	const locks = newLocks();
	locks.setWhole(alice, F_RDLCK, 1);
	locks.setWhole(bob, F_RDLCK, 2);
	t.equal(locks.setWhole(alice, F_WRLCK, 1), -EAGAIN);
	t.equal(locks.setWhole(bob, F_WRLCK, 2), 0);
	locks.setWhole(bob, F_UNLCK, 2);
	t.ok(locks.isEmpty);
	t.notOk([...allFileLocks()].includes(locks));
});

t.test('who would wait for itself is told so, along a chain of waiters', async (t) => {
	const carol = {};
	const first = new LockWait(bob, carol);
	t.equal(checkDeadlock(alice, bob), 0);
	const second = new LockWait(carol, alice);
	t.equal(checkDeadlock(alice, bob), -EDEADLK);
	first.dispose();
	t.equal(checkDeadlock(alice, bob), 0);
	second.dispose();
	t.equal(checkDeadlock(alice, carol), 0);
});

t.test('the owner’s locks are listed together by their start', async (t) => {
	const locks = newLocks();
	locks.setRecord(lock(alice, F_RDLCK, 100, 110));
	locks.setRecord(lock(bob, F_RDLCK, 0, 1));
	locks.setRecord(lock(alice, F_WRLCK, 10, 20));
	t.same(
		locks.recordLocks.map(({ start }) => start),
		[10, 100, 0],
	);
	t.equal(recordLockText(locks.recordLocks[0]!, 7, '00:01:5'), 'POSIX  ADVISORY  WRITE 7 00:01:5 10 19\n');
	t.equal(wholeLockText({ type: F_RDLCK, pid: 1 }, 7, '00:01:5'), 'FLOCK  ADVISORY  READ 7 00:01:5 0 EOF\n');
	t.match(locks.conflict(lock(alice, F_UNLCK, 50, 105)), { start: 100 }, 'F_UNLCK finds what is one’s own');
	locks.release(alice);
	locks.release(bob);
	t.notOk([...allFileLocks()].includes(locks));
});
