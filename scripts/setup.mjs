// The set-up that npm start, npm test and npm run bench share: Debian packages, npm packages, the build, root filesystems. Each step
// looks first, so that a second run takes no time.

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildNative, buildTypeScript } from './build.mjs';
import { makeRootfs } from './rootfs.mjs';
import { root, StepError } from './steps.mjs';

const hostPackages = JSON.parse(readFileSync(join(root, 'scripts/packages.json'), 'utf8')).host;

/** How many steps {@link setUp} takes beside one for each root filesystem. */
export const setUpStepCount = 4;

/**
 * Makes this machine ready.
 * @param {string[]} purposes which of scripts/packages.json's packages are needed: `setup`, `test`, `bench`
 * @param {string[]} rootfsNames the root filesystems that are needed
 */
export async function setUp(steps, purposes, rootfsNames) {
	await steps.step('Debian packages', () => installDebianPackages(steps, purposes));
	await steps.step('npm packages', () => installNpmPackages(steps));
	await steps.step('Building the native parts', buildNative);
	await steps.step('Building the TypeScript parts', buildTypeScript);
	for (const name of rootfsNames) await steps.step(`Making the root filesystem "${name}"`, () => makeRootfs(steps, name));
}

async function installDebianPackages(steps, purposes) {
	const wanted = Object.keys(hostPackages).filter((name) => hostPackages[name].for.some((purpose) => purposes.includes(purpose)));
	const missing = wanted.filter((name) => !installedDebianPackages(wanted).has(name));
	if (missing.length === 0) return 'already there';
	const install = ['install', '--yes', '--no-install-recommends', ...missing];
	const hasApt = spawnSync('apt-get', ['--version'], { stdio: 'ignore' }).status === 0;
	if (!hasApt || process.getuid() !== 0) {
		const reason = hasApt ? 'only root can install them' : 'this machine has no apt-get, and Isopod is built on Debian 12';
		const reasons = missing.map((name) => `  ${name}: ${hostPackages[name].why}`).join('\n');
		throw new StepError(
			`Debian packages are missing, and ${reason}:\n${reasons}\nInstall them with\n\n  apt-get update && apt-get ${install.join(' ')}\n\nand run this again.`,
		);
	}
	steps.note(`installing ${missing.join(', ')}`);
	const aptGet = (...args) =>
		steps.run('apt-get', ['-o', 'DPkg::Lock::Timeout=300', ...args], { env: { DEBIAN_FRONTEND: 'noninteractive' } });
	try {
		await aptGet(...install);
	} catch (error) {
		if (!(error instanceof StepError)) throw error;
		// The package lists are missing, or older than what the servers still have.
		await aptGet('update');
		await aptGet(...install);
	}
}

function installedDebianPackages(names) {
	// Its status tells of unknown packages; those are missing all the same.
	const format = '${Package} ${db:Status-Status}\n';
	const { stdout } = spawnSync('dpkg-query', ['--show', '--showformat', format, ...names], {
		encoding: 'utf8',
	});
	const lines = (stdout ?? '').split('\n').map((line) => line.split(' '));
	return new Set(lines.filter(([, status]) => status === 'installed').map(([name]) => name));
}

async function installNpmPackages(steps) {
	if (areNpmPackagesInstalled()) return 'already there';
	await steps.locked(join(root, 'scripts'), async () => {
		// A package's install script could compile or download something; none that is used here has to.
		if (!areNpmPackagesInstalled()) await steps.run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund']);
	});
}

/** Whether node_modules holds what package-lock.json asks for, by npm's own record of what it installed. */
function areNpmPackagesInstalled() {
	const recordPath = join(root, 'node_modules/.package-lock.json');
	if (!existsSync(recordPath)) return false;
	const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
	const installed = JSON.parse(readFileSync(recordPath, 'utf8')).packages;
	return Object.entries(wanted).every(
		([path, { version, integrity, optional }]) =>
			path === '' ||
			(installed[path] === undefined ? optional : installed[path].version === version && installed[path].integrity === integrity),
	);
}
