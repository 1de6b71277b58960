import { ServeBench } from '../server/testing.js';
import { conformanceTree, removeTree, type Target, TEST_IMAGE, TEST_IMAGE_CONFIG } from './suite.js';

/** `isopod serve` with a handler. */
export async function serveTarget(handler: string, lacks: Target['lacks']): Promise<Target> {
	const bench = new ServeBench();
	const tree = conformanceTree();
	await bench.addImage(tree, TEST_IMAGE, TEST_IMAGE_CONFIG);
	removeTree(tree);
	await bench.start();
	return { name: `isopod serve with ${handler}`, cri: bench.cri, handler, logs: bench.logs, lacks, stop: () => bench.stop() };
}

/** No sandbox has it. */
export const OF_SANDBOXES: Target['lacks'] = {
	'a privileged container': 'refused by name, unless the node allows it',
	"the host's network namespace": 'it would leave the sandbox; refused by name',
	'a user namespace maps ids to others of the host':
		'every sandbox has host ids of its own, whatever the pod asks for; inside there are all ids, as on a machine',
};
