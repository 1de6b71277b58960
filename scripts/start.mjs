// `npm start`: the set-up, then containers in the guest kernel, then pods of a CRI server.

import { join } from 'node:path';
import { showPods } from './pods-demo.mjs';
import { rootfsPath } from './rootfs.mjs';
import { setUp, setUpStepCount } from './setup.mjs';
import { main, root } from './steps.mjs';

await main('start', setUpStepCount + 1, async (steps) => {
	await setUp(steps, ['setup'], ['base']);
	return showMainJob(steps);
});

/** Runs containers in the guest kernel and pods in both kinds of sandbox, and shows what happened. Returns the exit status. */
async function showMainJob(steps) {
	const command = join(root, 'dist/isopod.js');
	const status = await steps.runShown(process.execPath, [command, 'demo'], { env: { ISOPOD_ROOTFS: rootfsPath('base') } });
	return status === 0 ? showPods() : status;
}
