import { ID_MAP_OPTIONS, MOUNT_FLAGS, PROPAGATION_OPTIONS } from '../../runtime/oci/config.js';
import { HOOK_POINTS } from '../../runtime/oci/hooks.js';
import { CAP_NAMES } from '../../runtime/oci/names.js';
import type { Handler } from '../../runtime/sandbox/sandbox.js';

/** `isopod features`: the features structure of the runtime specification (features.md). */
export function features(handler: Handler['name'] = 'isopod'): object {
	return {
		ociVersionMin: '1.0.0',
		ociVersionMax: '1.2.0',
		hooks: [...HOOK_POINTS],
		mountOptions: ['bind', 'rbind', ...ID_MAP_OPTIONS, ...PROPAGATION_OPTIONS, ...MOUNT_FLAGS.keys()].sort(),
		linux: {
			namespaces: ['cgroup', 'ipc', 'mount', 'network', 'pid', 'uts'],
			capabilities: [...CAP_NAMES],
			cgroup: { v1: true, v2: true, systemd: false, systemdUser: false, rdma: false },
			seccomp: { enabled: true, archs: ['SCMP_ARCH_X86_64'] },
			apparmor: { enabled: false },
			selinux: { enabled: false },
			intelRdt: { enabled: false },
			mountExtensions: { idmap: { enabled: true } },
		},
		annotations: { 'dev.isopod.handler': handler },
		potentiallyUnsafeConfigAnnotations: [],
	};
}
