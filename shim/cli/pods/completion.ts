import { readdirSync } from 'node:fs';
import type { Command, Option } from 'commander';
import { COMPLETE } from './catalog.js';
import { Connection, DEFAULT_ENDPOINT } from './connection.js';
import type { Commands } from './main.js';
import { listContainers, listSandboxes, podName, podOf } from './names.js';

/** A user who presses a key waits for it. */
const TIMEOUT_MS = 2000;

const SCRIPTS = {
	bash: `# Completion of isopod for bash. Load it with: source <(isopod completion bash)
_isopod() {
    local line
    COMPREPLY=()
    # Bash takes a name with a colon for several words.
    local words=("\${COMP_WORDS[@]:1:COMP_CWORD}")
    while IFS=$'\\n' read -r line; do
        COMPREPLY+=("\${line%%$'\\t'*}")
    done < <(isopod ${COMPLETE} -- "\${words[@]}" 2>/dev/null)
}
complete -o default -F _isopod isopod
`,
	zsh: `#compdef isopod
# Completion of isopod for zsh. Load it with: source <(isopod completion zsh)
_isopod() {
    local -a values
    local line
    while IFS=$'\\n' read -r line; do
        values+=("\${\${line//:/\\\\:}/$'\\t'/:}")
    done < <(isopod ${COMPLETE} -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
    if (( \${#values} )); then
        _describe isopod values
    else
        _files
    fi
}
if [[ "\${funcstack[1]}" == _isopod ]]; then
    _isopod
else
    compdef _isopod isopod
fi
`,
	fish: `# Completion of isopod for fish. Load it with: isopod completion fish | source
function __isopod_complete
    set -l words (commandline -opc) (commandline -ct)
    isopod ${COMPLETE} -- $words[2..-1] 2>/dev/null
end
complete -c isopod -a '(__isopod_complete)'
`,
} as const;

export function registerCompletion(commands: Commands, program: Command, oci: Command): void {
	commands
		.add('completion', '<shell>', [
			'source <(isopod completion bash)',
			'isopod completion zsh >"$fpath[1]/_isopod"',
			'isopod completion fish | source',
		])
		.action((shell: string) => {
			if (!Object.hasOwn(SCRIPTS, shell)) throw new Error(`want bash, zsh or fish, got ${JSON.stringify(shell)}`);
			process.stdout.write(SCRIPTS[shell as keyof typeof SCRIPTS]);
		});
	program
		.command(`${COMPLETE} [words...]`, { hidden: true })
		.passThroughOptions()
		.action(async (words: string[]) => {
			const found = await complete(words[0] === '--' ? words.slice(1) : words, program, oci);
			process.stdout.write(found.map(({ value, description }) => `${value}\t${description}\n`).join(''));
		});
}

interface Candidate {
	readonly value: string;
	readonly description: string;
}

/** What the last word may become. */
async function complete(words: readonly string[], program: Command, oci: Command): Promise<readonly Candidate[]> {
	const current = words.at(-1) ?? '';
	const begins = ({ value }: Candidate): boolean => value.startsWith(current);
	const before = words.slice(0, -1);
	let commands = [program, oci];
	let endpoint = process.env['CONTAINER_RUNTIME_ENDPOINT'] || DEFAULT_ENDPOINT;
	let root = '/run/isopod';
	const path: string[] = [];
	let pending: Option | null = null;
	let operands = 0;
	for (const word of before) {
		if (pending !== null) {
			if (pending.long === '--runtime-endpoint') endpoint = word;
			if (pending.long === '--root') root = word;
			pending = null;
		} else if (word === '--') return [];
		else if (word.startsWith('-')) {
			const option = optionsOf(commands).find(({ short, long }) => word === short || word === long);
			pending = option !== undefined && (option.required || option.optional) ? option : null;
		} else {
			const children = commands.flatMap((command) => command.commands.filter((one) => one.name() === word || one.aliases().includes(word)));
			if (children.length > 0 && operands === 0) {
				commands = children;
				path.push(children[0]!.name());
			} else operands++;
		}
	}
	if (pending !== null) {
		if (pending.argChoices !== undefined) return pending.argChoices.map((value) => ({ value, description: '' })).filter(begins);
		return pending.long === '--pod' ? (await names(endpoint, ['pods'], root)).filter(begins) : [];
	}
	if (current.startsWith('-')) {
		const unique = new Map(optionsOf(commands).map(({ long, short, description }) => [long ?? short ?? '', description]));
		return [...unique, ['--help', 'show what it does'] as const].map(([value, description]) => ({ value, description })).filter(begins);
	}
	const children = commands.flatMap((command) => command.commands).filter((command) => command.name() !== COMPLETE && operands === 0);
	if (children.length > 0) {
		const unique = new Map(children.map((command) => [command.name(), command.description().split(/[;:.]/)[0]!] as const).reverse());
		return [...unique]
			.map(([value, description]) => ({ value, description }))
			.reverse()
			.filter(begins);
	}
	const kinds = KINDS[path.join(' ')] ?? (oci.commands.some((command) => command.name() === path[0]) ? ['oci'] : []);
	if (path[0] === 'completion' && operands === 0)
		return Object.keys(SCRIPTS)
			.map((value) => ({ value, description: '' }))
			.filter(begins);
	// These take any number of names, the others one.
	const takesMany = ['pod stop', 'pod rm', 'pod inspect', 'stop', 'rm', 'inspect', 'rmi', 'stats'].includes(path.join(' '));
	if (operands > 0 && !takesMany) return [];
	return (await names(endpoint, kinds, root)).filter(begins);
}

type Kind = 'pods' | 'containers' | 'images' | 'oci';

/** What the operands of a command name. */
const KINDS: Readonly<Record<string, readonly Kind[]>> = {
	'pod stop': ['pods'],
	'pod rm': ['pods'],
	'pod inspect': ['pods'],
	'port-forward': ['pods'],
	top: ['pods', 'containers'],
	stats: ['pods', 'containers'],
	logs: ['pods', 'containers'],
	exec: ['pods', 'containers', 'oci'],
	attach: ['pods', 'containers'],
	stop: ['containers'],
	rm: ['containers', 'oci'],
	inspect: ['pods', 'containers', 'images'],
	rmi: ['images'],
	ps: ['oci'],
	events: ['oci'],
};

function optionsOf(commands: readonly Command[]): Option[] {
	return commands.flatMap((command) => command.options.filter(({ hidden }) => !hidden)) as Option[];
}

async function names(endpoint: string, kinds: readonly Kind[], root: string): Promise<Candidate[]> {
	const found: Candidate[] = [];
	if (kinds.includes('oci')) {
		try {
			for (const entry of readdirSync(root, { withFileTypes: true }))
				if (entry.isDirectory() && !entry.name.startsWith('.')) found.push({ value: entry.name, description: 'OCI container' });
		} catch {
			// There are none.
		}
	}
	if (!kinds.some((kind) => kind !== 'oci')) return found;
	const connection = new Connection(endpoint, TIMEOUT_MS);
	try {
		const { call } = connection;
		if (kinds.includes('pods')) for (const pod of await listSandboxes(call)) found.push({ value: podName(pod), description: 'pod' });
		if (kinds.includes('containers'))
			for (const container of await listContainers(call))
				found.push({ value: `${podOf(container)}/${container.metadata?.name}`, description: 'container' });
		if (kinds.includes('images'))
			for (const { repoTags } of (await call('ListImages', {})).images)
				for (const tag of repoTags ?? []) found.push({ value: tag, description: 'image' });
	} catch {
		// Without a server there is nothing to choose from.
	} finally {
		connection.close();
	}
	return [...new Map(found.map((one) => [one.value, one])).values()];
}
