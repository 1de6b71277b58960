import { closeSync, openSync } from 'node:fs';
import { HostError } from '../host-error.js';
import { native } from '../native.js';

/** Runs `action` in a network namespace, given by its path or its descriptor. The calling thread is there meanwhile: nothing else may run, so no promise. Throws HostError. */
export function inNetworkNamespace<T>(namespace: string | number, action: () => T): T {
	const leave = enterNetworkNamespace(namespace);
	try {
		return action();
	} finally {
		leave();
	}
}

/** Enters a network namespace, until the function that is returned is called. Throws HostError. */
export function enterNetworkNamespace(namespace: string | number): () => void {
	const own = open('/proc/thread-self/ns/net');
	let other = -1;
	try {
		other = typeof namespace === 'number' ? namespace : open(namespace);
		enter(other);
	} catch (error) {
		closeSync(own);
		throw error;
	} finally {
		if (other >= 0 && other !== namespace) closeSync(other);
	}
	return () => {
		enter(own);
		closeSync(own);
	};
}

function open(path: string): number {
	try {
		return openSync(path, 'r');
	} catch (error) {
		throw HostError.from(`Open the network namespace ${path}`, error);
	}
}

function enter(fd: number): void {
	const error = native.enterNetworkNamespace(fd);
	if (error < 0) throw HostError.errno('Enter a network namespace', -error);
}
