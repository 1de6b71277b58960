// Writes COMPATIBILITY.md from the syscall table. `--check` only says whether it is current.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './steps.mjs';

process.env.ISOPOD_ADDON ??= join(root, 'build/Release/isopod.node');
const { SYSCALLS } = await import(join(root, 'dist/runtime/kernel/syscalls/table.js'));
const errnos = await import(join(root, 'dist/runtime/kernel/abi/errno.js'));
const names = new Map(Object.entries(errnos).map(([name, number]) => [number, name]));

const calls = SYSCALLS.filter(({ name }) => !name.startsWith('isopod_'));
const count = (support) => calls.filter((call) => call.support === support).length;
const what = (call) => (call.support === 'none' ? `${names.get(call.errno ?? 38)}: ${call.note ?? 'not there'}` : (call.note ?? ''));
const text = `# System calls on amd64

Made from \`runtime/kernel/syscalls/table.ts\` by \`scripts/compatibility.mjs\`; don't edit.

${calls.length} calls: ${count('full')} full, ${count('partial')} partial, ${count('none')} answered with an errno. *native*: the host runs it at once; *trapped*: the guest kernel answers;
*continued*: the guest kernel checks it, then the host runs it.

| number | call | support | lane | notes |
| ---: | --- | --- | --- | --- |
${calls.map((call) => `| ${call.number} | ${call.name} | ${call.support} | ${call.support === 'none' ? '' : call.lane} | ${what(call)} |`).join('\n')}
`;
const file = join(root, 'COMPATIBILITY.md');
if (process.argv.includes('--check')) {
	if (readFileSync(file, 'utf8') !== text) {
		process.stderr.write('COMPATIBILITY.md is not what the table says: node scripts/compatibility.mjs\n');
		process.exitCode = 1;
	}
} else {
	writeFileSync(file, text);
}
