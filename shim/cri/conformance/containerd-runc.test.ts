// The cross-check that the suite itself is right: a CRI server and a runtime that others have written.

import { MAJOR_VERSION } from '../../containerd/testing.js';
import { containerdTarget } from './containerd-target.js';
import { runSuite } from './suite.js';

const NO_IDMAP = "Debian's runc 1.1 knows no idmapped mounts";

await runSuite(
	await containerdTarget(
		'runc',
		MAJOR_VERSION === 1
			? {}
			: {
					'a user namespace maps ids to others of the host': NO_IDMAP,
					'a volume of a pod with a user namespace has inside the owners that it has on the host': NO_IDMAP,
				},
	),
);
