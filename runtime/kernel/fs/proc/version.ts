import { UTS_RELEASE, UTS_SYSNAME, UTS_VERSION } from '../../abi/uts.js';

/** /proc/version, proc_version(5). */
export function versionText(): string {
	return `${UTS_SYSNAME} version ${UTS_RELEASE} (isopod@isopod) (isopod guest kernel) ${UTS_VERSION}\n`;
}
