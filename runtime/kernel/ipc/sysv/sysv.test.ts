import t from 'tap';
import { E2BIG, EACCES, EAGAIN, EEXIST, EINVAL, ENOENT, ENOMSG, ENOSPC, ERANGE } from '../../abi/errno.js';
import { IPC_CREAT, IPC_EXCL, IPC_NOWAIT, MSG_EXCEPT, MSG_NOERROR, SEM_UNDO } from '../../abi/sysv.js';
import { BLOCKED } from '../../task/blocked.js';
import { CapabilitySet, type Credentials, initialCredentials } from '../../task/credentials.js';
import { IpcTable } from './ipc-table.js';
import { MessageQueue } from './message-queue.js';
import { SEMVMX, SemaphoreSet, UndoAccount } from './semaphore-set.js';

function user(uid: number): Credentials {
	const none = CapabilitySet.empty;
	const capabilities = { permitted: none, effective: none, inheritable: none, bounding: none, ambient: none };
	return initialCredentials(uid, uid, [], capabilities, false);
}

t.test('ids name a place and how often it was used again; keys lead to them', async (t) => {
	const table = new IpcTable<MessageQueue>(2);
	const get = (key: number, flags: number, who = user(1)): number =>
		table.get(
			key,
			flags,
			who,
			() => 0,
			() => new MessageQueue(key, flags, who),
		);
	t.equal(get(7, 0o600), -ENOENT);
	t.equal(get(7, IPC_CREAT | 0o600), 0);
	t.equal(get(7, IPC_CREAT | 0o600), 0);
	t.equal(get(7, IPC_CREAT | IPC_EXCL), -EEXIST);
	t.equal(get(7, 0o400, user(2)), -EACCES);
	t.equal(get(0, 0o600), 1);
	t.equal(get(0, 0o600), -ENOSPC);
	table.remove(table.find(0) as MessageQueue);
	t.equal(table.find(0), -EINVAL);
	t.equal(get(7, IPC_CREAT | 0o600), 2, 'another place');
	t.equal(table.highest, 2);
	for (let place = 3; place < 64; place++) {
		table.remove(table.find(place - 1) as MessageQueue);
		t.equal(get(7, IPC_CREAT | 0o600), place);
	}
	table.remove(table.find(63) as MessageQueue);
	t.equal(get(7, IPC_CREAT | 0o600), 32768, 'the first place again, under another id');
});

t.test('operations on semaphores are done all or not at all', async (t) => {
	const set = new SemaphoreSet(0, 3, 0o600, user(1));
	const undo = new UndoAccount();
	const adjustments = undo.make(set);
	if (typeof adjustments === 'number') throw new Error('No adjustments');
	const apply = (...operations: [number: number, change: number, flags: number][]): number =>
		set.apply(
			operations.map(([number, change, flags]) => ({ number, change, flags })),
			adjustments,
			9,
		);
	t.equal(apply([0, 5, SEM_UNDO], [1, 1, 0]), 0);
	t.equal(apply([0, -2, SEM_UNDO], [2, -1, 0]), BLOCKED);
	t.equal(set.blocking?.number, 2);
	t.equal(apply([0, -2, SEM_UNDO], [2, -1, IPC_NOWAIT]), -EAGAIN);
	t.equal(apply([0, 0, IPC_NOWAIT]), -EAGAIN);
	t.equal(apply([0, 1, 0], [1, SEMVMX, 0]), -ERANGE);
	t.same([...set.values], [5, 1, 0]);
	t.equal(adjustments[0], -5);
	set.values[0] = 3;
	set.undo(adjustments, 10);
	t.equal(set.values[0], 0, 'no further than zero');
	t.equal(set.pids[0], 10);
});

t.test('messages are chosen by type', async (t) => {
	const queue = new MessageQueue(0, 0o600, user(1));
	for (const type of [3, 1, 2, 1]) queue.send({ type, bytes: Buffer.from(`type ${type}`) }, 5);
	const choose = (type: number, flags = 0, length = 100): number => queue.choose(type, flags, length);
	t.equal(choose(0), 0);
	t.equal(choose(1), 1);
	t.equal(choose(-2), 1, 'the lowest type up to it');
	t.equal(choose(3, MSG_EXCEPT), 1);
	t.equal(choose(9), -ENOMSG);
	t.equal(choose(2, 0, 3), -E2BIG);
	t.equal(choose(2, MSG_NOERROR, 3), 2);
	queue.take(1, 6);
	t.equal(queue.bytes, 18);
	t.equal(queue.receivePid, 6);
	t.ok(queue.hasRoom(queue.maxBytes - 18));
	t.notOk(queue.hasRoom(queue.maxBytes - 17));
});
