// `npm start`: the set-up, then containers in the guest kernel.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { rootfsPath } from './rootfs.mjs';
import { setUp, setUpStepCount } from './setup.mjs';
import { main, root } from './steps.mjs';

await main('start', setUpStepCount + 1, async (steps) => {
	await setUp(steps, ['setup'], ['base']);
	return showMainJob(steps);
});

/** Runs containers in the guest kernel and shows what happened. Returns the exit status. */
async function showMainJob(steps) {
	const command = join(root, 'dist/isopod.js');
	if (!existsSync(command)) {
		process.stdout.write('\nThe `isopod` command is not written yet.\n');
		return 1;
	}
	return steps.runShown(process.execPath, [command, 'demo'], { env: { ISOPOD_ROOTFS: rootfsPath('base') } });
}
