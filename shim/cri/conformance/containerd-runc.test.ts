// The cross-check that the suite itself is right: a CRI server and a runtime that others have written.

import { containerdTarget } from './containerd-target.js';
import { runSuite } from './suite.js';

await runSuite(await containerdTarget('runc', {}));
