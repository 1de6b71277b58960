import { ConfigError, type Section } from './section.js';

/** How a comparison of a rule is written, SCMP_CMP_*. */
export type SeccompOperator = 'NE' | 'LT' | 'LE' | 'EQ' | 'GE' | 'GT' | 'MASKED_EQ';

export interface SeccompArgument {
	readonly index: number;
	readonly value: number;
	/** MASKED_EQ: what the argument is compared with after `value` has masked it. */
	readonly valueTwo: number;
	readonly operator: SeccompOperator;
}

/** What becomes of a call: it goes on, gets an errno, or ends its thread or process; `signal` is SIGSYS. */
export type SeccompAction =
	| { readonly kind: 'allow' | 'killThread' | 'killProcess' | 'signal' }
	| { readonly kind: 'errno'; readonly errno: number };

export interface SeccompRule {
	readonly names: readonly string[];
	readonly action: SeccompAction;
	/** All must hold. */
	readonly args: readonly SeccompArgument[];
}

/** `linux.seccomp` of config.json. */
export interface SeccompProfile {
	readonly defaultAction: SeccompAction;
	readonly rules: readonly SeccompRule[];
}

const OPERATORS: ReadonlySet<string> = new Set(['NE', 'LT', 'LE', 'EQ', 'GE', 'GT', 'MASKED_EQ']);
/**
 * Flags that make no difference: a profile is installed before a container has a second thread (TSYNC), no call of a profile waits for a listener
 * (WAIT_KILLABLE_RECV), and what is logged (LOG) is the host's to decide, as is how it guards against speculation (SPEC_ALLOW).
 */
const FLAGS_WITHOUT_EFFECT: ReadonlySet<string> = new Set([
	'SECCOMP_FILTER_FLAG_TSYNC',
	'SECCOMP_FILTER_FLAG_LOG',
	'SECCOMP_FILTER_FLAG_SPEC_ALLOW',
	'SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV',
]);
/**
 * An agent wants a descriptor that SECCOMP_IOCTL_NOTIF_RECV works on, which only the host's kernel makes, one for all the filters of a process
 * (has_duplicate_listener in kernel/seccomp.c: EBUSY). The sandbox process holds it: whoever had it could answer all of the guests' calls.
 */
const NO_LISTENER = "is not honoured: a process has one seccomp listener, which is the guest kernel's";
const EPERM = 1;
const MAX_ERRNO = 4095;
const MAX_ARGUMENTS = 6;

/** Checks a `seccomp` object whole. Throws ConfigError naming the field. */
export function parseSeccomp(seccomp: Section): SeccompProfile {
	const defaultErrno = seccomp.integer('defaultErrnoRet', EPERM, MAX_ERRNO);
	const profile = {
		defaultAction: parseAction(seccomp, 'defaultAction', defaultErrno),
		rules: seccomp.sections('syscalls').map((rule) => {
			const names = rule.list('names');
			if (names.length === 0) throw new ConfigError(rule.name('names'), 'want at least one name');
			const errno = rule.integer('errnoRet', EPERM, MAX_ERRNO);
			const result = { names, action: parseAction(rule, 'action', errno), args: rule.sections('args').map(parseArgument) };
			// Profiles of container engines keep notes in them.
			rule.ignore('comment').ignore('includes').ignore('excludes');
			rule.end();
			return result;
		}),
	};
	// Guests make calls of one architecture only, which every profile is for; the others end in ENOSYS whatever the profile says.
	for (const name of seccomp.list('architectures'))
		if (!/^SCMP_ARCH_[A-Z0-9_]+$/.test(name)) throw new ConfigError(seccomp.name('architectures'), `${name} is no architecture`);
	for (const flag of seccomp.list('flags'))
		if (!FLAGS_WITHOUT_EFFECT.has(flag)) throw new ConfigError(seccomp.name('flags'), `${flag} is not honoured`);
	const path = seccomp.string('listenerPath', '');
	if (path !== '') throw new ConfigError(seccomp.name('listenerPath'), NO_LISTENER);
	const metadata = seccomp.string('listenerMetadata', '');
	if (metadata !== '') throw new ConfigError(seccomp.name('listenerMetadata'), NO_LISTENER);
	seccomp.end();
	return profile;
}

function parseAction(section: Section, field: string, errno: number): SeccompAction {
	const name = section.string(field);
	switch (name) {
		case 'SCMP_ACT_ALLOW':
		case 'SCMP_ACT_LOG':
			return { kind: 'allow' };
		case 'SCMP_ACT_ERRNO':
			return { kind: 'errno', errno };
		case 'SCMP_ACT_KILL':
		case 'SCMP_ACT_KILL_THREAD':
			return { kind: 'killThread' };
		case 'SCMP_ACT_KILL_PROCESS':
			return { kind: 'killProcess' };
		case 'SCMP_ACT_TRAP':
			return { kind: 'signal' };
		case 'SCMP_ACT_NOTIFY':
			throw new ConfigError(section.name(field), `the action ${name} ${NO_LISTENER}`);
		default:
			throw new ConfigError(section.name(field), `the action ${name} is not honoured`);
	}
}

function parseArgument(argument: Section): SeccompArgument {
	const operator = argument.string('op').replace(/^SCMP_CMP_/, '');
	if (!OPERATORS.has(operator)) throw new ConfigError(argument.name('op'), `${operator} is no comparison`);
	const result = {
		index: argument.integer('index', 0, MAX_ARGUMENTS - 1),
		value: argument.integer('value', 0, Number.MAX_SAFE_INTEGER),
		valueTwo: argument.integer('valueTwo', 0, Number.MAX_SAFE_INTEGER),
		operator: operator as SeccompOperator,
	};
	argument.end();
	return result;
}
