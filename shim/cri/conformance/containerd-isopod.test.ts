import { containerdTarget } from './containerd-target.js';
import { OF_SANDBOXES } from './serve-target.js';
import { runSuite } from './suite.js';

await runSuite(
	await containerdTarget(
		'isopod',
		{
			...OF_SANDBOXES,
			'a PID namespace of another container (TARGET)':
				"containerd asks for a container's process when it is made, and it has none before its start",
		},
		// A read-only mount is so with all that is below it, also where the client is too old to ask.
		['recursive_read_only holds for what is mounted below, too'],
	),
);
