import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parseSeccomp, type SeccompArgument, type SeccompProfile } from '../../../runtime/oci/seccomp.js';
import { Section } from '../../../runtime/oci/section.js';
import { cri } from '../methods.js';
import { defaultProfile, seccompOf } from './seccomp-profile.js';

const { RuntimeDefault, Unconfined, Localhost } = cri.SecurityProfile.ProfileType;
const EPERM = 1;
const ENOSYS = 38;

function holds({ operator, index, value, valueTwo }: SeccompArgument, args: readonly number[]): boolean {
	const given = args[index] ?? 0;
	if (operator === 'MASKED_EQ') return (BigInt(given) & BigInt(value)) === BigInt(valueTwo);
	return operator === 'GT' ? given > value : operator === 'LT' ? given < value : given === value;
}

/** What a profile answers a call with: an errno, 0 when it goes on. */
function answer({ rules }: SeccompProfile, name: string, ...args: number[]): number {
	const rule = rules.find((each) => each.names.includes(name) && each.args.every((arg) => holds(arg, args)));
	return rule?.action.kind === 'errno' ? rule.action.errno : 0;
}

const profileOf = (...capabilities: string[]): SeccompProfile => parseSeccomp(new Section(defaultProfile(capabilities), 'seccomp'));

t.test('RuntimeDefault keeps ordinary programs from nothing', async (t) => {
	const profile = profileOf('CAP_CHOWN', 'CAP_SYS_CHROOT');
	for (const name of ['read', 'openat', 'execve', 'ptrace', 'chroot', 'prctl', 'seccomp', 'kill', 'bind'])
		t.equal(answer(profile, name), 0, name);
	t.equal(answer(profile, 'clone', 0x3d0f00), 0, 'a thread');
	t.equal(answer(profile, 'socket', 2, 1, 0), 0);
	for (const value of [0, 8, 0x20000, 0x20008, 0xffffffff]) t.equal(answer(profile, 'personality', value), 0);
});

t.test('RuntimeDefault denies what wants a capability that was not given', async (t) => {
	const profile = profileOf();
	for (const name of [
		'mount',
		'unshare',
		'bpf',
		'kexec_load',
		'init_module',
		'reboot',
		'chroot',
		'keyctl',
		'userfaultfd',
		'open_by_handle_at',
	])
		t.equal(answer(profile, name), EPERM, name);
	t.equal(answer(profile, 'clone3'), ENOSYS);
	t.equal(answer(profile, 'clone', 0x10000000 | 17), EPERM, 'a user namespace');
	t.equal(answer(profile, 'socket', 40, 1, 0), EPERM, 'AF_VSOCK');
	for (const value of [1, 9, 0x20001, 0x0040000, 0x1_0000_0000]) t.equal(answer(profile, 'personality', value), EPERM, `${value}`);
	const admin = profileOf('CAP_SYS_ADMIN');
	for (const name of ['mount', 'unshare', 'bpf', 'clone3']) t.equal(answer(admin, name), 0, name);
	t.equal(answer(admin, 'clone', 0x10000000), 0);
	t.equal(answer(admin, 'kexec_load'), EPERM);
});

t.test('a container has the profile that it names', async (t) => {
	const folder = t.testdir();
	const file = join(folder, 'own.json');
	const own = { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['mkdir'], action: 'SCMP_ACT_ERRNO' }] };
	writeFileSync(file, JSON.stringify(own));
	t.same(seccompOf({ seccomp: { profileType: RuntimeDefault } }, []), defaultProfile([]));
	t.same(seccompOf({ seccomp: {} }, []), defaultProfile([]), 'the zero value');
	t.same(seccompOf({ seccompProfilePath: 'docker/default' }, []), defaultProfile([]));
	for (const security of [null, {}, { seccomp: { profileType: Unconfined } }, { seccompProfilePath: 'unconfined' }])
		t.equal(seccompOf(security, []), null);
	t.same(seccompOf({ seccomp: { profileType: Localhost, localhostRef: file } }, []), own);
	t.same(seccompOf({ seccompProfilePath: `localhost/${file}` }, []), own);
});

t.test('a profile that makes no sense is refused by name', async (t) => {
	const folder = t.testdir({
		'text.json': 'x',
		'action.json': '{"defaultAction": "SCMP_ACT_NOTIFY"}',
		'large.json': ' '.repeat((1 << 20) + 1),
	});
	const of = (localhostRef: string): object | null => seccompOf({ seccomp: { profileType: Localhost, localhostRef } }, []);
	t.throws(() => of('own.json'), { code: 3, message: /want an absolute path/ });
	t.throws(() => of(join(folder, 'none.json')), { code: 3, message: /ENOENT/ });
	t.throws(() => of(join(folder, 'text.json')), { code: 3, message: /JSON/ });
	t.throws(() => of(join(folder, 'action.json')), {
		code: 3,
		message: /seccomp.defaultAction: the action SCMP_ACT_NOTIFY is not honoured/,
	});
	t.throws(() => of(join(folder, 'large.json')), { code: 3, message: /more than 1048576 bytes/ });
	t.throws(() => seccompOf({ seccompProfilePath: 'other' }, []), { code: 3, message: /"other"/ });
});
