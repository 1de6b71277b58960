import t from 'tap';
import { EFBIG, EPERM } from '../../abi/errno.js';
import { F_SEAL_EXEC, F_SEAL_GROW, F_SEAL_SEAL, F_SEAL_WRITE, MFD_ALLOW_SEALING, MFD_NOEXEC_SEAL } from '../../abi/fcntl.js';
import { TestProcess, writing } from '../../ipc/testing.js';
import { MemoryFile, memfdMode } from './memory-file.js';

function make(flags: number): MemoryFile {
	const file = MemoryFile.create('test', flags, memfdMode(flags), 0, 0);
	if (typeof file === 'number') throw new Error(`Make a memory file: ${file}`);
	return file;
}

t.test('seals hold for calls, one by one', async (t) => {
	const process = new TestProcess();
	const task = process.task();
	const file = make(MFD_ALLOW_SEALING);
	const description = file.openNew('/memfd:test (deleted)');
	t.equal(process.call(task, writing(description, 'four')), 4);
	t.equal(file.addSeals(F_SEAL_GROW), 0);
	t.equal(process.call(task, writing(description, 'more')), -EPERM);
	t.equal(file.truncate(100), -EPERM);
	t.equal(file.truncate(2), 0, 'smaller is allowed');
	description.seek(0, 0);
	t.equal(process.call(task, writing(description, 'x')), 1);
	t.equal(file.addSeals(F_SEAL_WRITE | F_SEAL_SEAL), 0);
	t.equal(process.call(task, writing(description, 'x')), -EPERM);
	t.equal(file.addSeals(F_SEAL_EXEC), -EPERM, 'sealed against seals');
	t.equal(file.seals, F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
	description.release();
});

t.test('a file that must not be executed keeps its mode', async (t) => {
	const file = make(MFD_NOEXEC_SEAL);
	t.equal(file.mode & 0o7777, 0o666);
	t.equal(file.chmod(0o755), -EPERM);
	t.equal(file.chmod(0o600), 0);
	t.equal(file.mode & 0o7777, 0o600);
	file.release();
});

t.test('what is closed is given back', async (t) => {
	// More than there may be at once.
	for (let i = 0; i < 5000; i++) {
		const file = make(0);
		if (i % 2 === 0) file.release();
		else file.openNew('').release();
	}
	const file = make(0);
	t.equal(file.truncate(2 ** 60), -EFBIG);
	file.release();
});
