import { execFileSync } from 'node:child_process';
import { isIPv6 } from 'node:net';
import { HostError } from '../host-error.js';
import { native } from '../native.js';
import { inNetworkNamespace } from '../oci/network-namespace.js';

/** A device that a machine has in the place of one of its pod's. */
export interface MachineInterface {
	readonly name: string;
	/** "02:42:…". */
	readonly mac: string;
	/** Bytes. */
	readonly mtu: number;
	readonly addresses: readonly { readonly address: string; readonly prefixLength: number }[];
}

export interface MachineRoute {
	/** null: everything. */
	readonly destination: { readonly address: string; readonly prefixLength: number } | null;
	readonly isIPv6: boolean;
	readonly gateway: string | null;
	readonly source: string | null;
	readonly interface: string;
	/** RT_SCOPE_*, rtnetlink(7). */
	readonly scope: number;
	/** 0: the kernel's own choice. */
	readonly metric: number;
}

/** What a pod's network namespace has, which its machine gets in its place. */
export interface MachineNetwork {
	readonly interfaces: readonly MachineInterface[];
	readonly routes: readonly MachineRoute[];
	readonly neighbors: readonly { readonly address: string; readonly mac: string; readonly interface: string }[];
}

/** Taps of a machine, one for each of its interfaces. */
export interface Taps {
	readonly network: MachineNetwork;
	/** Descriptors, in the order of the interfaces: the devices go when the last copy of theirs is closed. */
	readonly fds: readonly number[];
}

/** Each is a device of a machine that has few places for them. */
const MAX_INTERFACES = 4;
const RT_SCOPE_LINK = 253;

interface IpLink {
	readonly ifname: string;
	readonly address?: string;
	readonly mtu: number;
	readonly link_type: string;
	readonly addr_info: readonly { readonly local: string; readonly prefixlen: number; readonly scope: string }[];
}

interface IpRoute {
	readonly type?: string;
	readonly dst: string;
	readonly gateway?: string;
	readonly via?: { readonly host: string };
	readonly dev?: string;
	readonly protocol: string;
	readonly scope?: string;
	readonly prefsrc?: string;
	readonly metric?: number;
}

/**
 * Joins a machine to a pod's network namespace as CNI has made it: what comes in on each of its devices goes to a tap, and what the machine sends goes out on the device, by tc's mirred
 * redirection. The addresses and routes are the machine's to have from then on; the host's own stack in that namespace hears nothing any more. Throws HostError.
 */
export function joinNetwork(namespace: string): Taps {
	const network = readNetwork(namespace);
	const { interfaces } = network;
	if (interfaces.length > MAX_INTERFACES)
		throw new HostError(
			`Join the network namespace ${namespace}: it has ${interfaces.length} devices, want ${MAX_INTERFACES} at most`,
			'E2BIG',
		);
	const fds: number[] = [];
	try {
		const script: string[] = [];
		for (const [index, { name, mtu }] of interfaces.entries()) {
			const tap = `isotap${index}`;
			fds.push(openTap(namespace, tap));
			// Of a machine that was there before.
			script.push(`ip link set ${tap} mtu ${mtu} up`, `{ tc qdisc del dev ${quoted(name)} ingress 2>/dev/null || true; }`);
			for (const [from, to] of [
				[name, tap],
				[tap, name],
			] as const)
				script.push(
					`tc qdisc add dev ${quoted(from)} ingress`,
					`tc filter add dev ${quoted(from)} parent ffff: protocol all u32 match u32 0 0 action mirred egress redirect dev ${quoted(to)}`,
				);
		}
		if (script.length > 0) inNamespace(namespace, script.join(' && '));
		return { network, fds };
	} catch (error) {
		for (const fd of fds) native.close(fd);
		throw error;
	}
}

/** Takes the redirection off a namespace that a machine was joined to: its own stack hears again. Nothing is left to do where the namespace is gone. */
export function leaveNetwork(namespace: string): void {
	try {
		const links = JSON.parse(inNamespace(namespace, 'ip -json link show')) as { readonly ifname: string; readonly link_type: string }[];
		const script = links
			.filter(({ link_type }) => link_type === 'ether')
			.map(({ ifname }) => `tc qdisc del dev ${quoted(ifname)} ingress 2>/dev/null`);
		if (script.length > 0) inNamespace(namespace, `${script.join('; ')}; true`);
	} catch {
		// Its owner has removed it before.
	}
}

function readNetwork(namespace: string): MachineNetwork {
	const list = (of: string): string => `ip -json ${of}; echo`;
	const output = inNamespace(
		namespace,
		['address show', '-4 route show table main', '-6 route show table main', 'neighbour show nud permanent'].map(list).join('; '),
	);
	const [addresses = '', four = '', six = '', permanent = ''] = output.split('\n').filter((line) => line.startsWith('['));
	const links = (JSON.parse(addresses) as IpLink[]).filter(({ link_type, address }) => link_type === 'ether' && address !== undefined);
	const names = new Set(links.map(({ ifname }) => ifname));
	const routes = [four, six].flatMap((text, index) =>
		(JSON.parse(text) as IpRoute[]).flatMap((route) =>
			route.dev !== undefined && names.has(route.dev) ? routeOf(route, route.dev, index === 1) : [],
		),
	);
	const neighbors = JSON.parse(permanent) as { dst: string; lladdr?: string; dev: string }[];
	return {
		interfaces: links.map(({ ifname, address, mtu, addr_info }) => ({
			name: ifname,
			mac: address!,
			mtu,
			// The machine gives itself those that are of the link alone.
			addresses: addr_info
				.filter(({ scope }) => scope !== 'link')
				.map(({ local, prefixlen }) => ({ address: local, prefixLength: prefixlen })),
		})),
		// A gateway must be reachable when its route is made.
		routes: routes.sort((a, b) => Number(a.gateway !== null) - Number(b.gateway !== null)),
		neighbors: neighbors.flatMap(({ dst, lladdr, dev }) =>
			lladdr !== undefined && names.has(dev) ? [{ address: dst, mac: lladdr, interface: dev }] : [],
		),
	};
}

/** Nothing of a route that comes with an address, or that leads nowhere. */
function routeOf(route: IpRoute, device: string, isSix: boolean): MachineRoute[] {
	if (route.protocol === 'kernel' || (route.type !== undefined && route.type !== 'unicast')) return [];
	const [address = '', length] = route.dst.split('/');
	return [
		{
			destination: route.dst === 'default' ? null : { address, prefixLength: length === undefined ? (isSix ? 128 : 32) : Number(length) },
			isIPv6: isSix,
			gateway: route.gateway ?? route.via?.host ?? null,
			source: route.prefsrc ?? null,
			interface: device,
			scope: route.scope === 'link' ? RT_SCOPE_LINK : 0,
			metric: route.metric ?? 0,
		},
	];
}

function openTap(namespace: string, name: string): number {
	const fd = inNetworkNamespace(namespace, () => native.openTap(name));
	if (fd < 0) throw HostError.errno(`Make the tap device ${name} in ${namespace}`, -fd);
	return fd;
}

/** What a script prints that runs in a network namespace. Throws HostError with its complaint. */
function inNamespace(namespace: string, script: string): string {
	try {
		return execFileSync('nsenter', [`--net=${namespace}`, '--', 'sh', '-c', script], {
			encoding: 'utf8',
			stdio: ['ignore', 'pipe', 'pipe'],
		});
	} catch (error) {
		const { stderr } = error as { stderr?: string };
		throw new HostError(`Set up the network namespace ${namespace}: ${stderr?.trim() || String(error)}`, 'EIO', { cause: error });
	}
}

/** A device may be called anything but "/" and spaces. */
function quoted(word: string): string {
	return `'${word.replaceAll("'", "'\\''")}'`;
}

/** An address in network order: 4 or 16 bytes. */
export function addressBytes(address: string): Buffer {
	if (!isIPv6(address)) return Buffer.from(address.split('.').map(Number));
	const [head = '', tail] = address.split('%', 1)[0]!.split('::');
	const words = (text: string): number[] =>
		text === ''
			? []
			: text.split(':').flatMap((word) => {
					if (!word.includes('.')) return [Number.parseInt(word, 16)];
					const [a, b, c, d] = word.split('.').map(Number) as [number, number, number, number];
					return [(a << 8) | b, (c << 8) | d];
				});
	const before = words(head);
	const after = tail === undefined ? [] : words(tail);
	const all = tail === undefined ? before : [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after];
	return Buffer.from(all.flatMap((word) => [word >> 8, word & 0xff]));
}

export function macBytes(mac: string): Buffer {
	return Buffer.from(mac.replaceAll(':', ''), 'hex');
}
