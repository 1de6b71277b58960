import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import t from 'tap';
import { encodePlan, GATE_IP, MAX_SEGMENTS, MAX_STRINGS, PLAN_BYTES, type Plan, planLength } from './exec-plan.js';

const HEADERS = resolve(import.meta.dirname, '../../../../native');

/** What a C program that includes native/plan.h prints of the plan it reads. */
const PROGRAM = `
#include <stdio.h>
#include "plan.h"
int main(void) {
  static struct isopod_plan p;
  if (fread(&p, sizeof p, 1, stdin) != 1) return 1;
  printf("%zu %d %d %lx\\n", sizeof p, ISOPOD_MAX_SEGMENTS, ISOPOD_MAX_STRINGS, ISOPOD_GATE_IP);
  for (int i = 0; i < 2; i++) printf("%lu %lu %lu %lu %lu\\n", p.object[i].span_address, p.object[i].span_len, p.object[i].is_fixed, p.object[i].entry, p.object[i].base_hint);
  struct isopod_segment *s = &p.segment[p.segment_count - 1];
  printf("%lu: %lu %lu %lu %lu %lu %lu %lu %lu\\n", p.segment_count, s->address, s->file_len, s->file_offset, s->mem_len, s->prot, s->zero_from, s->zero_len, s->object);
  printf("%lu %lu %lu %lu %lu %lu %lu %lu\\n", p.phdr, p.phnum, p.uid, p.euid, p.gid, p.egid, p.secure, p.flags);
  printf("%lu %lu %lu %lu %s\\n", p.drop_args, p.string_count, p.strings_len, p.execfn_string, p.strings);
}
`;

const plan: Plan = {
	program: { spanAddress: 2 ** 40 + 1, spanLength: 2, isFixed: true, entry: 3, base: 4 },
	interpreter: { spanAddress: 5, spanLength: 6, isFixed: false, entry: 7, base: 8 },
	segments: [1, 2].map((n) => ({
		address: n * 100,
		fileLength: n * 100 + 1,
		fileOffset: n * 100 + 2,
		memoryLength: n * 100 + 3,
		prot: n * 100 + 4,
		zeroFrom: n * 100 + 5,
		zeroLength: n * 100 + 6,
		object: 1,
	})),
	phdr: 11,
	phnum: 12,
	uid: 13,
	euid: 14,
	gid: 15,
	egid: 16,
	isSecure: true,
	flags: 1,
	dropArguments: 17,
	strings: ['/bin/sh', 'x'],
	execfnString: 2,
};

t.test('the loader reads of a plan what the kernel wrote into it', async (t) => {
	const folder = mkdtempSync(join(tmpdir(), 'isopod-plan-'));
	t.teardown(() => rmSync(folder, { recursive: true, force: true }));
	writeFileSync(join(folder, 'print.c'), PROGRAM);
	execFileSync('cc', ['-w', '-I', HEADERS, '-o', join(folder, 'print'), join(folder, 'print.c')]);
	const bytes = Buffer.alloc(PLAN_BYTES, 0xff);
	t.equal(encodePlan(plan, bytes), planLength(plan));
	bytes.fill(0, planLength(plan));
	const lines = execFileSync(join(folder, 'print'), { input: bytes, encoding: 'utf8' }).trimEnd().split('\n');
	t.strictSame(lines, [
		`${PLAN_BYTES} ${MAX_SEGMENTS} ${MAX_STRINGS} ${GATE_IP.toString(16)}`,
		`${2 ** 40 + 1} 2 1 3 4`,
		'5 6 0 7 8',
		'2: 200 201 202 203 204 205 206 1',
		'11 12 13 14 15 16 1 1',
		'17 2 10 2 /bin/sh',
	]);
});

t.test('strings that do not fit make it too long', async (t) => {
	t.equal(planLength({ ...plan, strings: ['x'.repeat(MAX_STRINGS - 1)] }), PLAN_BYTES);
	t.ok(planLength({ ...plan, strings: ['x'.repeat(MAX_STRINGS)] }) > PLAN_BYTES);
});
