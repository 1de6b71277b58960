import t from 'tap';
import { filterRules } from './filter.js';
import { SYSCALLS } from './table.js';

/** The numbers that the rules let through natively. */
function nativeNumbers(words: Uint32Array): Set<number> {
	const numbers = new Set<number>();
	for (let at = 0; at < words.length; at += 3 + words[at + 2]! * 6) {
		if (words[at + 1] === 0) numbers.add(words[at]!);
		else t.equal(words[at + 1]! & 0xffff, 2, 'what is not native is an errno: the rest traps by default');
	}
	return numbers;
}

t.test('the filter lets through what the table lists as native, and nothing else', async (t) => {
	const listed = SYSCALLS.filter((call) => call.lane === 'native').map((call) => call.number);
	t.strictSame(
		[...nativeNumbers(filterRules(SYSCALLS))].sort((a, b) => a - b),
		listed.sort((a, b) => a - b),
	);
	t.ok(
		SYSCALLS.filter((call) => call.lane === 'native').every((call) => (call.native ?? '') !== ''),
		'each says why',
	);
});

t.test('the filter answers clone3 by itself, with ENOSYS', async (t) => {
	const words = filterRules(SYSCALLS);
	const at = words.findIndex((word, index) => word === 435 && words[index + 1] === 2 + 38 * 0x10000);
	t.ok(at >= 0 && words[at + 2] === 0);
});

t.test('what names files, processes or sockets is never native', async (t) => {
	const natives = new Set(SYSCALLS.filter((call) => call.lane === 'native').map((call) => call.name));
	for (const name of [
		'open',
		'openat',
		'execve',
		'execveat',
		'fork',
		'kill',
		'socket',
		'mount',
		'bpf',
		'ptrace',
		'io_uring_setup',
		'seccomp',
		'keyctl',
	])
		t.notOk(natives.has(name), name);
	const clone = SYSCALLS.find((call) => call.name === 'clone');
	t.ok((clone?.rules?.length ?? 0) > 0 || clone?.lane !== 'native', 'clone only with the flags of threads');
});
