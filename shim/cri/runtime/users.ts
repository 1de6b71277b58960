import { invalid } from '../server/cri-error.js';

/** Who a container's program runs as. */
export interface User {
	readonly uid: number;
	readonly gid: number;
	/** Supplementary groups of /etc/group. */
	readonly groups: readonly number[];
	/** The home folder, '' when /etc/passwd has no such user. */
	readonly home: string;
}

/** One line of passwd(5) or group(5). */
type Fields = readonly string[];

/**
 * Who `name` is (`USER[:GROUP]`, names or numbers, as images and pod specs have it), by a root file system's /etc/passwd and /etc/group. '' is root. Throws CriError
 * when a name is not there; a number need not be.
 */
export function findUser(name: string, passwd: string, group: string): User {
	const [userName = '', groupName = ''] = name.split(':', 2);
	const users = lines(passwd, 7);
	const groups = lines(group, 4);
	const found = users.find(([login]) => login === userName) ?? users.find(([, , uid]) => uid === (userName || '0'));
	if (found === undefined && !isNumber(userName || '0')) throw invalid(`the image has no user ${JSON.stringify(userName)}`);
	const uid = found === undefined ? number(userName || '0') : number(found[2]!);
	let gid = found === undefined ? 0 : number(found[3]!);
	if (groupName !== '') {
		const wanted = groups.find(([title]) => title === groupName);
		if (wanted === undefined && !isNumber(groupName)) throw invalid(`the image has no group ${JSON.stringify(groupName)}`);
		gid = wanted === undefined ? number(groupName) : number(wanted[2]!);
	}
	const member = found?.[0];
	const supplementary = groups.flatMap(([, , id, members]) =>
		member !== undefined && id !== undefined && isNumber(id) && members?.split(',').includes(member) === true ? [number(id)] : [],
	);
	return { uid, gid, groups: [...new Set(supplementary)], home: found?.[5] ?? '' };
}

function lines(text: string, fields: number): Fields[] {
	return text
		.split('\n')
		.map((line) => line.trim().split(':'))
		.filter((found) => found.length >= fields && found[0] !== '');
}

function isNumber(text: string): boolean {
	return /^\d{1,10}$/.test(text);
}

function number(text: string): number {
	if (!isNumber(text)) throw invalid(`${JSON.stringify(text)} is no user or group id`);
	return Number(text);
}
