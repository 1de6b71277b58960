import type { Connection } from './connection.js';
import type { Commands } from './main.js';
import { type ContainerItem, findContainer, findSandbox, listContainers, RUNNING } from './names.js';
import { bytes, duration, type Row, table } from './table.js';

/** Clock ticks of /proc/PID/stat in a second, on every Linux that a container sees. */
const TICKS = 100;
const PAGE_BYTES = 4096;
const EXEC_SECONDS = 10;
/** For each process: a line of its stat, one of its owner, one of its command line. The shell's own processes are left out by their parent. */
const SCRIPT = `echo "$$"
for p in /proc/[0-9]*; do
stat=$(cat "$p/stat" 2>/dev/null) || continue
uid=$(grep '^Uid:' "$p/status" 2>/dev/null)
line=$(tr '\\000\\n' '  ' <"$p/cmdline" 2>/dev/null)
printf '%s\\n%s\\n%s\\n' "$stat" "$uid" "$line"
done`;

export function registerTop(commands: Commands): void {
	commands
		.add('top', '<name>', ['isopod top web', 'isopod top web/nginx'])
		.action((name: string) => commands.run((connection) => top(connection, name)));
}

interface Process {
	readonly pid: number;
	readonly parent: number;
	readonly state: string;
	readonly uid: string;
	readonly cpuSeconds: number;
	readonly memoryBytes: number;
	readonly command: string;
}

/** Reads what {@link SCRIPT} prints, without the script's own processes. */
export function parseProcesses(text: string): Process[] {
	const [shell, ...lines] = text.split('\n');
	const processes: Process[] = [];
	for (let at = 0; at + 2 < lines.length; at += 3) {
		const [, pid, name, rest] = /^(\d+) \((.*)\) (.*)$/.exec(lines[at]!) ?? [];
		if (rest === undefined) continue;
		const fields = rest.split(' ');
		processes.push({
			pid: Number(pid),
			state: fields[0]!,
			parent: Number(fields[1]),
			cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS,
			memoryBytes: Number(fields[21]) * PAGE_BYTES,
			uid: lines[at + 1]!.split(/\s+/)[1] ?? '?',
			command: lines[at + 2]!.trim() || `[${name}]`,
		});
	}
	return processes.filter(({ pid, parent }) => pid !== Number(shell) && parent !== Number(shell)).sort((one, other) => one.pid - other.pid);
}

async function top(connection: Connection, name: string): Promise<void> {
	const pod = await findSandbox(connection, name).catch(() => null);
	const containers: ContainerItem[] =
		pod === null
			? [await findContainer(connection, name, { mustRun: true })]
			: (await listContainers(connection.call, { podSandboxId: pod.id ?? '' })).filter(({ state }) => state === RUNNING).reverse();
	const rows: Row[] = [];
	for (const { id, metadata } of containers) {
		const own = metadata?.name ?? '';
		const fields = { containerId: id ?? '', cmd: ['sh', '-c', SCRIPT], timeout: EXEC_SECONDS };
		try {
			const { stdout, stderr, exitCode } = await connection.call('ExecSync', fields, (EXEC_SECONDS + 5) * 1000);
			if (exitCode !== 0) throw new Error(Buffer.from(stderr).toString().trim() || `exit code ${exitCode}`);
			for (const { pid, uid, state, cpuSeconds, memoryBytes, command } of parseProcesses(Buffer.from(stdout).toString()))
				rows.push([own, `${pid}`, uid, state, duration(Math.round(cpuSeconds)), bytes(memoryBytes), command]);
		} catch (error) {
			process.stderr.write(
				`isopod: container ${own}: its processes can't be listed without a shell, cat, grep and tr in it: ${(error as Error).message}\n`,
			);
		}
	}
	process.stdout.write(table(['CONTAINER', 'PID', 'UID', 'STATE', 'CPU', 'MEM', 'COMMAND'], rows));
}
