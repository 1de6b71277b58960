// `node scripts/fuzz.mjs [SECONDS] [TARGET…]`: builds native/fuzz's targets with clang's libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer, and runs each for SECONDS
// (60). What is found lies in .isopod/fuzz/TARGET; what covers more than native/fuzz/corpus does is kept there for the next run.

import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root } from './steps.mjs';

const native = join(root, 'native');
const headers = join(dirname(dirname(process.execPath)), 'include/node');
const targets = {
	filter: ['clang++', 'fuzz/filter.cc', 'addon/filter.cc'],
	loader: ['clang', 'fuzz/loader.c'],
	calls: ['clang++', 'fuzz/calls.cc', 'fuzz/fake-napi.cc', 'addon/arguments.cc', 'addon/memory.cc', 'addon/sockets.cc'],
	agent: ['clang++', 'fuzz/agent.cc', 'agent/channel.cc', 'agent/messages.cc', 'agent/wire.cc'],
};
const flags = [
	'-g',
	'-O1',
	'-Wall',
	'-Wextra',
	'-Werror',
	'-D_GNU_SOURCE',
	'-fsanitize=fuzzer,address,undefined',
	'-fno-sanitize-recover=all',
];

const [seconds = '60', ...chosen] = process.argv.slice(2);
for (const name of chosen.length > 0 ? chosen : Object.keys(targets)) {
	const target = targets[name];
	if (target === undefined || !/^[1-9]\d*$/.test(seconds))
		throw new Error('usage: node scripts/fuzz.mjs [SECONDS] [filter | loader | calls | agent …]');
	const [compiler, ...sources] = target;
	const folder = join(root, '.isopod/fuzz', name);
	mkdirSync(join(folder, 'corpus'), { recursive: true });
	const program = join(folder, name);
	const standard = compiler === 'clang++' ? ['-std=c++20', `-I${headers}`] : ['-std=gnu17'];
	run(compiler, [...standard, ...flags, '-o', program, ...sources.map((file) => join(native, file))]);
	const limits = [
		`-max_total_time=${seconds}`,
		'-max_len=65536',
		'-timeout=10',
		'-rss_limit_mb=2048',
		'-print_final_stats=1',
		'-print_funcs=0',
	];
	run(program, [...limits, `-artifact_prefix=${folder}/`, join(folder, 'corpus'), join(native, 'fuzz/corpus', name)]);
}

/** Runs one program to its end; ends this one when it fails. */
function run(program, args) {
	const { status, error } = spawnSync(program, args, { stdio: 'inherit' });
	if (error?.code === 'ENOENT') throw new Error(`${program} is missing: apt-get install clang libclang-rt-dev`);
	if (error) throw error;
	if (status !== 0) process.exit(status ?? 1);
}
