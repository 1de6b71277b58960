import { ConfigError, type Section } from './section.js';

/** Lines of a uid_map, user_namespaces(7). */
const MAX_LINES = 340;

/** One range of `uidMappings` or `gidMappings` of a mount. */
export interface IdMapping {
	/** First id of files as they are stored. */
	readonly containerID: number;
	/** First id that they have inside of the container. */
	readonly hostID: number;
	readonly size: number;
}

/** A mount's id mappings. A container shares its pod's ids, so what the specification calls host ids are the ids that its processes see. */
export interface MountIdMappings {
	readonly uids: readonly IdMapping[];
	readonly gids: readonly IdMapping[];
}

/**
 * Reads `uidMappings` and `gidMappings` of a mount; null without. Throws ConfigError naming the field. `maximum` is the highest id inside.
 */
export function parseMountIdMappings(mount: Section, options: readonly string[], maximum: number): MountIdMappings | null {
	const uids = mount.sections('uidMappings').map((mapping) => parseMapping(mapping, maximum));
	const gids = mount.sections('gidMappings').map((mapping) => parseMapping(mapping, maximum));
	for (const [field, { length }] of Object.entries({ uidMappings: uids, gidMappings: gids }))
		if (length > MAX_LINES) throw new ConfigError(mount.name(field), `want ${MAX_LINES} at most`);
	const option = options.find((given) => given === 'idmap' || given === 'ridmap');
	if (uids.length === 0 && gids.length === 0) {
		if (option !== undefined) throw new ConfigError(mount.name('options'), `${option} needs uidMappings and gidMappings`);
		return null;
	}
	if (uids.length === 0 || gids.length === 0)
		throw new ConfigError(mount.name(uids.length === 0 ? 'uidMappings' : 'gidMappings'), 'is missing: want both');
	if (options.includes('rbind') && option !== 'ridmap')
		throw new ConfigError(mount.name('options'), 'mapping the ids of the first mount only is not honoured: want ridmap with rbind');
	return { uids, gids };
}

function parseMapping(mapping: Section, maximum: number): IdMapping {
	for (const field of ['containerID', 'hostID', 'size']) if (!mapping.has(field)) throw new ConfigError(mapping.name(field), 'is missing');
	const result = {
		containerID: mapping.integer('containerID', 0),
		hostID: mapping.integer('hostID', 0, maximum),
		size: mapping.integer('size', 0),
	};
	if (result.size === 0 || result.hostID + result.size > maximum + 1)
		throw new ConfigError(mapping.name('size'), `want 1 to ${maximum + 1 - result.hostID} ids`);
	mapping.end();
	return result;
}

/** The text of a uid_map or gid_map that gives stored files the ids of a pod whose first is `base`. */
export function idMapText(mappings: readonly IdMapping[], base: number): string {
	return mappings.map(({ containerID, hostID, size }) => `${containerID} ${base + hostID} ${size}\n`).join('');
}
