import { GuestSandbox } from './guest-sandbox.js';
import type { Handler } from './sandbox.js';

/** Each handler by its name; null for one that this build is without. */
const HANDLERS: ReadonlyMap<string, Handler | null> = new Map([
	[
		'isopod',
		{
			name: 'isopod',
			make: (store, spec, log) => GuestSandbox.make(store, spec, log),
			open: async (store, id) => GuestSandbox.open(store, id),
		} satisfies Handler,
	],
	[
		'isopod-vm',
		{
			name: 'isopod-vm',
			make: (store, spec, log) => GuestSandbox.make(store, spec, log, 'isopod-vm'),
			open: async (store, id) => GuestSandbox.open(store, id),
		} satisfies Handler,
	],
]);

/** The handler that a RuntimeClass names. Throws an Error for the user: there is none of that name, or not in this build. */
export function findHandler(name: string): Handler {
	const handler = HANDLERS.get(name);
	if (handler === undefined) throw new Error(`no handler is called ${JSON.stringify(name)}: want ${[...HANDLERS.keys()].join(' or ')}`);
	if (handler === null) throw new Error(`the handler ${name} is not part of this build`);
	return handler;
}
