import t from 'tap';
import { EEXIST, EINVAL, EMFILE } from '../abi/errno.js';
import { O_NONBLOCK } from '../abi/fcntl.js';
import {
	IN_ALL_EVENTS,
	IN_CREATE,
	IN_IGNORED,
	IN_MASK_ADD,
	IN_MASK_CREATE,
	IN_MODIFY,
	IN_ONESHOT,
	IN_OPEN,
	IN_Q_OVERFLOW,
} from '../abi/inotify.js';
import { POLLIN } from '../abi/poll-constants.js';
import { bounds } from '../bounds.js';
import { reading, TestProcess } from '../ipc/testing.js';
import { AnonymousFileSystem, AnonymousInode } from '../vfs/anonymous-inode.js';
import { hasWatches, notifyEntry, notifyGone, notifyInode } from '../vfs/watches.js';
import { Inotify } from './inotify.js';

const fs = new AnonymousFileSystem('test', 1);
const newInode = (): AnonymousInode => new AnonymousInode(fs, 0o600, 0, 0);

class Bench {
	readonly process = new TestProcess();
	readonly task = this.process.task();
	readonly instance = this.create();

	create(): Inotify {
		const instance = Inotify.create(this.task, O_NONBLOCK);
		if (typeof instance === 'number') throw new Error(`Make an inotify instance: ${instance}`);
		return instance;
	}

	/** The events that are there, as "wd:mask:name". */
	read(): string[] {
		const out = Buffer.alloc(1 << 20);
		const bytes = this.process.call(this.task, reading(this.instance, out.length, out));
		const events: string[] = [];
		for (let at = 0; at < bytes; at += 16 + out.readUInt32LE(at + 12)) {
			const name = out.latin1Slice(at + 16, at + 16 + out.readUInt32LE(at + 12)).replace(/\0+$/, '');
			events.push(`${out.readInt32LE(at)}:${out.readUInt32LE(at + 4)}:${name}`);
		}
		return events;
	}
}

t.test('a watch tells what its mask asks for, and leaves when it is told to', async (t) => {
	const bench = new Bench();
	const inode = newInode();
	t.notOk(hasWatches());
	t.equal(bench.instance.watch(inode, IN_CREATE | IN_OPEN), 1);
	t.ok(hasWatches());
	notifyEntry(inode, IN_CREATE, 'a name of 20 letters', null);
	notifyInode(inode, IN_MODIFY);
	notifyInode(inode, IN_OPEN);
	notifyInode(inode, IN_OPEN);
	t.equal(bench.instance.poll() & POLLIN, POLLIN);
	t.same(bench.read(), [`1:${IN_CREATE}:a name of 20 letters`, `1:${IN_OPEN}:`], 'the same thing twice is told once');
	t.equal(bench.instance.watch(inode, IN_MASK_ADD | IN_MODIFY), 1);
	t.equal(bench.instance.watch(inode, IN_MASK_CREATE | IN_MODIFY), -EEXIST);
	notifyInode(inode, IN_MODIFY);
	t.equal(bench.instance.unwatch(1), 0);
	t.equal(bench.instance.unwatch(1), -EINVAL);
	t.same(bench.read(), [`1:${IN_MODIFY}:`, `1:${IN_IGNORED}:`]);
	t.notOk(hasWatches());
	t.equal(inode.watches, null);
	bench.instance.release();
});

t.test('one-shot watches and those of files that are gone end by themselves', async (t) => {
	const bench = new Bench();
	const [first, second] = [newInode(), newInode()];
	bench.instance.watch(first, IN_MODIFY | IN_ONESHOT);
	bench.instance.watch(second, IN_ALL_EVENTS);
	notifyInode(first, IN_MODIFY);
	notifyInode(first, IN_MODIFY);
	notifyGone(second);
	t.same(bench.read(), [`1:${IN_MODIFY}:`, `1:${IN_IGNORED}:`, '2:1024:', `2:${IN_IGNORED}:`]);
	t.notOk(hasWatches());
	bench.instance.release();
});

t.test('the queue, instances and what a closed one holds are bounded', async (t) => {
	const bench = new Bench();
	const inode = newInode();
	bench.instance.watch(inode, IN_ALL_EVENTS);
	for (let i = 0; i < bounds.inotifyEventsPerQueue + 100; i++) notifyEntry(inode, IN_CREATE, `${i}`, null);
	const events = [...bench.read(), ...bench.read()];
	t.equal(events.length, bounds.inotifyEventsPerQueue + 1);
	t.equal(events.at(-1), `-1:${IN_Q_OVERFLOW}:`);
	const others = Array.from({ length: bounds.inotifyInstancesPerUser - 1 }, () => bench.create());
	t.equal(Inotify.create(bench.task, 0), -EMFILE);
	for (const other of others) other.release();
	bench.instance.release();
	t.notOk(hasWatches());
});
