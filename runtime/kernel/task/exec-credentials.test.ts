import t from 'tap';
import { CAP_NET_RAW, CAP_SYS_ADMIN } from '../abi/capability-numbers.js';
import { ENODATA, EPERM } from '../abi/errno.js';
import type { Inode } from '../vfs/inode.js';
import { CapabilitySet, type Credentials, initialCredentials } from './credentials.js';
import { execCredentials } from './exec-credentials.js';
import { parseFileCapabilities } from './file-capabilities.js';

const { empty, full } = CapabilitySet;
const raw = CapabilitySet.of([CAP_NET_RAW]);
const sets = { permitted: empty, effective: empty, inheritable: empty, bounding: raw, ambient: empty };
const user = (noNewPrivs = false, bounding = raw) => initialCredentials(1000, 1000, [], { ...sets, bounding }, noNewPrivs);

/** The attribute as setcap writes it: revision 2. */
function attribute(permitted: CapabilitySet, isEffective: boolean): Uint8Array {
	const bytes = Buffer.alloc(20);
	bytes.writeUInt32LE(0x02000000 | (isEffective ? 1 : 0), 0);
	bytes.writeInt32LE(permitted.low, 4);
	bytes.writeInt32LE(permitted.high, 12);
	return bytes;
}
const program = (mode: number, value: Uint8Array | null = null) =>
	({ mode, uid: 0, gid: 0, getxattr: () => value ?? -ENODATA }) as unknown as Inode;
const exec = (old: Credentials, inode: Inode, isSetIdAllowed = true) => execCredentials(old, inode, isSetIdAllowed) as Credentials;

t.test('a file’s capabilities are given within the bounding set, to their user only', async (t) => {
	const next = exec(user(), program(0o755, attribute(raw, true)));
	t.ok(next.permitted.has(CAP_NET_RAW) && next.effective.has(CAP_NET_RAW));
	const quiet = exec(user(), program(0o755, attribute(raw, false)));
	t.ok(quiet.permitted.has(CAP_NET_RAW) && quiet.effective.isEmpty);
	t.equal(execCredentials(user(false, empty), program(0o755, attribute(raw, true)), true), -EPERM);
	t.ok(exec(user(false, empty), program(0o755, attribute(raw, false))).permitted.isEmpty);
	t.ok(exec(user(), program(0o755, attribute(full, false))).permitted.isSubsetOf(raw));
});

t.test('neither a nosuid mount nor no_new_privs lets anything be gained', async (t) => {
	t.ok(exec(user(), program(0o755, attribute(raw, true)), false).permitted.isEmpty);
	t.ok(exec(user(true), program(0o755, attribute(raw, true))).permitted.isEmpty);
	t.equal(exec(user(true), program(0o4755)).euid, 1000);
});

t.test('a set-user-id root program gets the bounding set, or what its file has instead', async (t) => {
	const bounding = CapabilitySet.of([CAP_NET_RAW, CAP_SYS_ADMIN]);
	t.ok(exec(user(false, bounding), program(0o4755)).effective.has(CAP_SYS_ADMIN));
	const next = exec(user(false, bounding), program(0o4755, attribute(raw, true)));
	t.equal(next.euid, 0);
	t.ok(next.effective.has(CAP_NET_RAW));
	t.notOk(next.effective.has(CAP_SYS_ADMIN));
});

t.test('malformed attributes, and those of other user namespaces, are none', async (t) => {
	const good = attribute(raw, true);
	t.ok(parseFileCapabilities(good)?.permitted.has(CAP_NET_RAW));
	for (const length of [0, 3, 4, 19]) t.equal(parseFileCapabilities(good.subarray(0, length)), null);
	const third = Buffer.alloc(24);
	good.forEach((byte, at) => {
		third[at] = byte;
	});
	third.writeUInt32LE(0x03000001, 0);
	t.ok(parseFileCapabilities(third));
	third.writeUInt32LE(1000, 20);
	t.equal(parseFileCapabilities(third), null);
});
