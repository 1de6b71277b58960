import { mkdirSync } from 'node:fs';
import { Containerd, MAJOR_VERSION } from '../../containerd/testing.js';
import { logsOf } from '../../containerd/testing-pod.js';
import { conformanceTree, removeTree, type Target, TEST_IMAGE, TEST_IMAGE_CONFIG } from './suite.js';

/** Debian's containerd 1.6, of cri-api v0.25, or the 2.x that CONTAINERD names, with a handler; `has` is what others of its handlers lack. */
export async function containerdTarget(handler: string, lacks: Target['lacks'], has: readonly string[] = []): Promise<Target> {
	const containerd = new Containerd();
	await containerd.start();
	const tree = conformanceTree();
	containerd.importImage(tree, TEST_IMAGE, TEST_IMAGE_CONFIG);
	removeTree(tree);
	const all = Object.fromEntries(
		Object.entries({ ...(MAJOR_VERSION === 1 ? OF_CONTAINERD_1 : OF_CONTAINERD_2), ...lacks }).filter(([name]) => !has.includes(name)),
	);
	const logs = logsOf(containerd);
	mkdirSync(logs, { recursive: true });
	return {
		name: `containerd ${MAJOR_VERSION}.x with ${handler}`,
		cri: containerd.cri,
		handler,
		logs,
		lacks: all,
		stop: () => containerd.stop(),
	};
}

const OLD = 'its CRI is older than the field or method';
const OF_CONTAINERD_1: Target['lacks'] = {
	'Status lists the handlers': OLD,
	'RuntimeConfig names the cgroup driver': OLD,
	'GetContainerEvents tells of a life in order': OLD,
	'supplemental_groups_policy Strict leaves those of the image out': OLD,
	'a user namespace maps ids to others of the host': OLD,
	'ContainerStatus tells the user': OLD,
	"StopContainer sends the container's own signal and waits; it is idempotent": OLD,
	'add_ambient_capabilities reach a user other than root': OLD,
	'recursive_read_only holds for what is mounted below, too': OLD,
	'recursive_read_only is refused without readonly': OLD,
	'StopPodSandbox of a pod that was removed is no failure': 'it says NOT_FOUND, which later versions do no longer',
	"without a user the image's is who runs, with its groups": "it leaves out the groups of the image's user",
	'ListImages lists all, and one by its name': 'it knows no filter',
};

const OF_CONTAINERD_2: Target['lacks'] = {
	'add_ambient_capabilities reach a user other than root': 'it does not look at the field',
	'ListImages lists all, and one by its name': 'it knows no filter',
};
