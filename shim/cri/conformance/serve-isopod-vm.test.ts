import { OF_SANDBOXES, serveTarget } from './serve-target.js';
import { runSuite } from './suite.js';

await runSuite(await serveTarget('isopod-vm', OF_SANDBOXES));
