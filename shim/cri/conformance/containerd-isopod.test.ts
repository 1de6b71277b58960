import { containerdTarget } from './containerd-target.js';
import { runSuite } from './suite.js';

await runSuite(await containerdTarget('isopod', {}));
