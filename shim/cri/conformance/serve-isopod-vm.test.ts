import { OF_SANDBOXES, serveTarget } from './serve-target.js';
import { runSuite } from './suite.js';

await runSuite(
	await serveTarget('isopod-vm', {
		...OF_SANDBOXES,
		'a PID namespace of another container (TARGET)':
			"a machine's processes are none of the host's, which a path could name; refused by name",
	}),
);
