// Stands in for the sandbox process in confinement.test.ts: launched and confined as that one is, it tries what must be out of reach, and writes what
// came of it as one line of JSON to its log.

import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { SYSCALLS } from '../../kernel/syscalls/table.js';
import { native } from '../../native.js';
import { confineProcess } from './confinement.js';
import { OWN_SYSCALLS } from './own-syscalls.js';

/** What was tried, and what came of it: an error's code, or the value. */
export interface ProbeReport {
	readonly root: readonly string[];
	/** Names of the processes that /proc shows. */
	readonly processes: readonly string[];
	/** The namespaces, as /proc/self/ns names them. */
	readonly namespaces: Readonly<Record<string, string>>;
	readonly networkDevices: readonly string[];
	readonly mounts: string;
	readonly attempts: Readonly<Record<string, number | string>>;
	/** Calls that are on no list, and what they answered. */
	readonly unlisted: Readonly<Record<string, number>>;
}

/** native/addon/testdata/raw-syscall.cc. */
interface RawSyscall {
	syscall(number: number, ...args: number[]): number;
}

/** As /proc/PID/ns has them. */
const NAMESPACES = ['user', 'pid', 'mnt', 'net', 'ipc', 'uts', 'cgroup'];

const AF_UNIX = 1;
const AF_INET = 2;
const AF_NETLINK = 16;
const AF_PACKET = 17;
const NETLINK_AUDIT = 9;
const SOCK_STREAM = 1;
const SOCK_RAW = 3;
/** 192.0.2.1, port 80, as a sockaddr_in: an address that only a network with a way out could reach. */
const ELSEWHERE = Uint8Array.of(AF_INET, 0, 0, 80, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0);
const CLONE_NEWUSER = 0x10000000;
const SIGCHLD = 17;
const TIOCSTI = 0x5412;
const PTRACE_ATTACH = 16;
/** A call of these numbers would end or stop the probe itself if it were let through, and is tried on its own. */
const WITHOUT_PROBING = new Set(['vfork', 'fork', 'pause', 'rt_sigsuspend', 'clone3']);

const noted = (action: () => unknown): number | string => {
	try {
		const value = action();
		return typeof value === 'number' ? value : String(value);
	} catch (error) {
		return error instanceof Error && 'code' in error ? String(error.code) : String(error);
	}
};

function main(): void {
	const raw = createRequire('/')('/raw-syscall.node') as RawSyscall;
	const hostPid = Number(readFileSync('/host-pid', 'latin1'));
	confineProcess();
	const number = (name: string): number => SYSCALLS.find((call) => call.name === name)!.number;
	const listed = new Set(OWN_SYSCALLS.map(({ name }) => name));
	const unlisted: Record<string, number> = {};
	for (const call of SYSCALLS) {
		if (!listed.has(call.name) && !WITHOUT_PROBING.has(call.name)) unlisted[call.name] = raw.syscall(call.number);
	}
	const report: ProbeReport = {
		root: readdirSync('/').sort(),
		processes: readdirSync('/proc')
			.filter((name) => /^\d+$/.test(name))
			.map((pid) => readFileSync(`/proc/${pid}/comm`, 'latin1').trim()),
		namespaces: Object.fromEntries(NAMESPACES.map((name) => [name, readlinkSync(`/proc/self/ns/${name}`)])),
		networkDevices: readFileSync('/proc/self/net/dev', 'latin1')
			.split('\n')
			.slice(2)
			.map((line) => line.split(':')[0]!.trim())
			.filter(Boolean),
		mounts: readFileSync('/proc/self/mounts', 'latin1'),
		attempts: {
			hostFile: noted(() => readFileSync('/etc/passwd', 'latin1')),
			hostFileByParent: noted(() => readFileSync('/../../../../etc/passwd', 'latin1')),
			hostProcessRoot: noted(() => readdirSync('/proc/1/root/etc')),
			writeRoot: noted(() => native.mkdirat(-100, '/made', 0o700)),
			writeSysctl: noted(() => native.openat2(-100, '/proc/sys/kernel/core_pattern', 1, 0, 0)),
			execute: noted(() => (spawnSync('/node', ['--version']).error as NodeJS.ErrnoException | undefined)?.code),
			fork: noted(() => raw.syscall(number('clone'), SIGCHLD, 0, 0, 0, 0)),
			userNamespace: noted(() => raw.syscall(number('clone'), CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0)),
			clone3: noted(() => raw.syscall(number('clone3'), 0, 0)),
			unixSocket: noted(() => raw.syscall(number('socket'), AF_UNIX, SOCK_STREAM, 0)),
			packetSocket: noted(() => raw.syscall(number('socket'), AF_PACKET, SOCK_RAW, 0)),
			auditSocket: noted(() => raw.syscall(number('socket'), AF_NETLINK, SOCK_RAW, NETLINK_AUDIT)),
			hostConnection: noted(() => native.socketConnect(native.socketOpen(AF_INET, SOCK_STREAM, 0), ELSEWHERE)),
			killHost: noted(() => native.sendSignal(hostPid, -1, 0)),
			traceAttach: noted(() => raw.syscall(number('ptrace'), PTRACE_ATTACH, 2, 0, 0)),
			readHostMemory: noted(() => native.readMemory(hostPid, 0x400000, Buffer.alloc(8), 0, 8)),
			terminalInput: noted(() => raw.syscall(number('ioctl'), 2, TIOCSTI, 0)),
			cloneTree: noted(() => native.cloneTree('/', true)),
			priority: noted(() => raw.syscall(number('setpriority'), 0, 0, -5)),
		},
		unlisted,
	};
	writeSync(2, `${JSON.stringify(report)}\n`);
	process.exit(0);
}

main();
