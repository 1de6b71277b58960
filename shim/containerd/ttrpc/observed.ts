import { performance } from 'node:perf_hooks';
import type { Service, UnaryMethod } from './service.js';

/** A service that tells of each call of its unary methods: its name, how long it took, and what went wrong. */
export function observed(service: Service, tell: (message: string) => void): Service {
	const watch = (name: string, { call }: UnaryMethod): UnaryMethod => ({
		kind: 'unary',
		call: async (request, context) => {
			const start = performance.now();
			const told = (end: string): void => tell(`${name} took ${(performance.now() - start).toFixed(1)} ms${end}`);
			try {
				const answer = await call(request, context);
				told('');
				return answer;
			} catch (error) {
				told(`: ${error instanceof Error ? error.message : String(error)}`);
				throw error;
			}
		},
	});
	return Object.fromEntries(
		Object.entries(service).map(([name, method]) => [name, method.kind === 'unary' ? watch(name, method) : method]),
	);
}
