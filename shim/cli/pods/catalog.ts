// The commands for people, which speak CRI, and how they are told from the OCI commands of the same names. Loaded at every start: it stays small.

import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** Name and description of each command, in the order of the help. */
export const CATALOG = {
	pod: 'run pods from Kubernetes YAML, list, stop, inspect and remove them',
	ps: 'list the containers of all pods',
	logs: 'show what a container has written',
	exec: 'run a program in a container of a pod',
	attach: "connect to a container's first program",
	cp: 'copy files to or from a container',
	'port-forward': 'forward local ports to a pod',
	stats: 'show what containers use, live on a terminal',
	top: 'show the processes of a pod',
	events: 'show what happens to containers',
	pull: 'pull an image',
	images: 'list the images',
	rmi: 'remove images',
	stop: 'stop containers',
	rm: 'remove containers',
	inspect: 'show all that is known of a container, pod or image',
	completion: 'print a script that completes commands in bash, zsh or fish',
} as const;

export type CommandName = keyof typeof CATALOG;

/** The command that the scripts of `completion` ask. */
export const COMPLETE = '__complete';

/** OCI runtimes have these too: for `ps` and `events` with a name, `exec` and `rm` with that of an OCI container. */
const SHARED: ReadonlySet<string> = new Set(['ps', 'exec', 'rm', 'events']);
/** Options before the command that take a value. */
const OCI_GLOBALS: ReadonlySet<string> = new Set(['--root', '--log', '--log-format']);
const OWN_GLOBALS: ReadonlySet<string> = new Set(['-r', '--runtime-endpoint', '--timeout']);
/** Options of the shared commands, of both kinds, that take a value. */
const WITH_VALUE: ReadonlySet<string> = new Set(
	(
		'-r --runtime-endpoint --timeout -o --output --pod -c --container --cap -f --format --interval -p --process --cwd -e --env -u --user -g ' +
		'--additional-gids --pid-file --console-socket'
	).split(' '),
);
/** Options that only the OCI command `exec` has. */
const OCI_ONLY: ReadonlySet<string> = new Set(
	'-p --process --cwd -e --env -u --user -g --additional-gids --cap --no-new-privs -d --detach --pid-file --console-socket --ignore-paused'.split(
		' ',
	),
);

/** Whether a command line, without the program's name, is one for pods. */
export function isForPods(args: readonly string[], root: string): boolean {
	let at = 0;
	let hasOciGlobal = false;
	for (; at < args.length && args[at]!.startsWith('-'); at++) {
		const [name] = args[at]!.split('=');
		if (OCI_GLOBALS.has(name!)) hasOciGlobal = true;
		if ((OCI_GLOBALS.has(name!) || OWN_GLOBALS.has(name!)) && !args[at]!.includes('=')) at++;
	}
	const [command, ...rest] = args.slice(at);
	if (command === undefined) return false;
	if (command === 'help') return rest[0] !== undefined && Object.hasOwn(CATALOG, rest[0]);
	if (command === COMPLETE) return true;
	if (!SHARED.has(command)) return Object.hasOwn(CATALOG, command);
	if (hasOciGlobal) return false;
	const { options, operand } = scan(rest, command);
	if (command === 'ps' || command === 'events') return operand === undefined;
	if (operand !== undefined && /^[\w+.-]+$/.test(operand) && existsSync(join(root, operand, 'state.json'))) return false;
	return command === 'rm' || !options.some((option) => OCI_ONLY.has(option));
}

/** The options up to the first operand, and that. */
function scan(args: readonly string[], command: string): { options: string[]; operand: string | undefined } {
	const options: string[] = [];
	for (let at = 0; at < args.length; at++) {
		const arg = args[at]!;
		if (arg === '--') return { options, operand: args[at + 1] };
		if (!arg.startsWith('-') || arg === '-') return { options, operand: arg };
		const [name] = arg.split('=');
		options.push(name!);
		// -f of rm is a flag.
		if (WITH_VALUE.has(name!) && !arg.includes('=') && !(command === 'rm' && name === '-f')) at++;
	}
	return { options, operand: undefined };
}
