import { spawnSync } from 'node:child_process';
import { isAbsolute } from 'node:path';
import { ConfigError, type Section } from './section.js';

/** When hooks run, in this order (runtime-spec, config.md, "POSIX-platform Hooks"). */
export const HOOK_POINTS = ['prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart', 'poststop'] as const;
export type HookPoint = (typeof HOOK_POINTS)[number];

export interface Hook {
	readonly path: string;
	/** argv, its first element too; null is the path alone. */
	readonly args: readonly string[] | null;
	readonly env: readonly string[];
	/** Seconds; null waits for ever. */
	readonly timeoutSeconds: number | null;
}

export type Hooks = Readonly<Record<HookPoint, readonly Hook[]>>;

/** Checks a `hooks` object whole; absent is none. Throws ConfigError naming the field. */
export function parseHooks(hooks: Section | null): Hooks {
	const parse = (hook: Section): Hook => {
		const path = hook.string('path');
		if (!isAbsolute(path)) throw new ConfigError(hook.name('path'), `want an absolute path, got ${JSON.stringify(path)}`);
		const hasArgs = hook.has('args');
		const args = hook.list('args');
		const timeout = hook.has('timeout') ? hook.integer('timeout', 0) : null;
		if (timeout === 0) throw new ConfigError(hook.name('timeout'), 'want more than 0 seconds');
		const result = { path, args: hasArgs && args.length > 0 ? args : null, env: hook.list('env'), timeoutSeconds: timeout };
		hook.end();
		return result;
	};
	const result = Object.fromEntries(HOOK_POINTS.map((point) => [point, hooks?.sections(point).map(parse) ?? []]));
	hooks?.end();
	return result as Record<HookPoint, Hook[]>;
}

/** A hook that failed: which, and how. */
export class HookError extends Error {}

/** What is told of a hook that failed; `output` is what it wrote. */
export function hookFailure(point: HookPoint, index: number, { path }: Hook, how: string, output: string): string {
	const details = output.trim() === '' ? '' : `, stdout/stderr: ${output.trim()}`;
	return `error running ${point} hook #${index}: ${path}: ${how}${details}`;
}

/** Runs the hooks of one point, which run on the host, one after the other, each with the container's state on its standard input. Throws HookError at the first that fails. */
export function runHooks(hooks: Hooks, point: Exclude<HookPoint, 'startContainer'>, state: object): void {
	const input = JSON.stringify(state);
	for (const [index, hook] of hooks[point].entries()) {
		const { path, args, env, timeoutSeconds } = hook;
		const result = spawnSync(path, args?.slice(1) ?? [], {
			argv0: args?.[0] ?? path,
			env: Object.fromEntries(env.map((text) => [text.split('=', 1)[0]!, text.slice(text.indexOf('=') + 1)])),
			input,
			encoding: 'utf8',
			killSignal: 'SIGKILL',
			...(timeoutSeconds === null ? {} : { timeout: timeoutSeconds * 1000 }),
		});
		const how = howItFailed(result, timeoutSeconds);
		// A hook that doesn't read its input is none that failed.
		if (how !== null) throw new HookError(hookFailure(point, index, hook, how, joined(result.stdout, result.stderr)));
	}
}

function howItFailed(result: ReturnType<typeof spawnSync>, timeoutSeconds: number | null): string | null {
	const code = (result.error as NodeJS.ErrnoException | undefined)?.code;
	if (code === 'ETIMEDOUT') return `it ran longer than ${timeoutSeconds} s`;
	if (code !== undefined && code !== 'EPIPE') return code;
	if (result.signal !== null) return `signal ${result.signal}`;
	return result.status === 0 ? null : `exit status ${result.status}`;
}

function joined(...outputs: readonly (string | null)[]): string {
	// They are null when the program couldn't be run.
	return outputs
		.map((output) => output?.trim() ?? '')
		.filter(Boolean)
		.join('; ');
}
