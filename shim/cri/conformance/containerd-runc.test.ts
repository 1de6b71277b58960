// The cross-check that the suite itself is right: a CRI server and a runtime that others have written.

import { MAJOR_VERSION } from '../../containerd/testing.js';
import { containerdTarget } from './containerd-target.js';
import { runSuite } from './suite.js';

await runSuite(
	await containerdTarget(
		'runc',
		MAJOR_VERSION === 1 ? {} : { 'a user namespace maps ids to others of the host': "Debian's runc 1.1 knows no idmapped mounts" },
	),
);
