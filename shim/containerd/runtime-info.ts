import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { containerd } from '../../proto/generated/bootstrap.js';
import { packageRoot } from '../../runtime/sandbox/launch.js';
import type { Handler } from '../../runtime/sandbox/sandbox.js';
import { features } from '../cli/features.js';

/** What containerd 2.x asks a runtime for (`-info`): a RuntimeInfo message. Its CRI plugin takes from it whether read-only mounts can be recursive, and user namespaces. */
export function runtimeInfo(handler: Handler['name']): Uint8Array {
	const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string };
	const { RuntimeInfo } = containerd.bootstrap;
	return RuntimeInfo.encode(
		RuntimeInfo.create({
			name: `io.containerd.${handler}.v1`,
			version: { version },
			features: {
				type_url: 'types.containerd.io/opencontainers/runtime-spec/1/features/Features',
				value: Buffer.from(JSON.stringify(features(handler))),
			},
		}),
	).finish();
}
