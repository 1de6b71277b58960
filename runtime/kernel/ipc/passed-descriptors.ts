import { bounds } from '../bounds.js';
import type { FileDescription } from '../vfs/file-description.js';
import { acquireAccount, type UserAccount } from './user-account.js';

/**
 * Descriptors on their way in a message (SCM_RIGHTS, unix(7)): holds one reference to each description, and counts them for the user who sent them.
 * Whoever has it owns it, and either takes the descriptions or disposes of it.
 */
export class PassedDescriptors {
	private readonly account: UserAccount;

	constructor(
		private readonly descriptions: FileDescription[],
		private readonly uid: number,
	) {
		this.account = acquireAccount(uid);
		this.account.inFlight.add(descriptions.length);
	}

	get count(): number {
		return this.descriptions.length;
	}

	/** Hands over the descriptions with their references; nothing is left in it. */
	take(): FileDescription[] {
		const taken = this.descriptions.splice(0);
		this.settle(taken.length);
		return taken;
	}

	/** The same once more: what MSG_PEEK gives. */
	copy(): PassedDescriptors {
		return new PassedDescriptors(
			this.descriptions.map((description) => description.acquire()),
			this.uid,
		);
	}

	/** Nobody receives them. */
	dispose(): void {
		for (const description of this.take()) description.release();
	}

	private settle(count: number): void {
		this.account.inFlight.add(-count);
		this.account.release();
	}
}

/** May a user have `count` more descriptors in flight, who may have `limit`? */
export function maySend(uid: number, count: number, limit: number): boolean {
	const account = acquireAccount(uid);
	const { inFlight } = account;
	account.release();
	return inFlight.count + count <= limit && inFlight.all + count <= bounds.descriptorsInFlight;
}
