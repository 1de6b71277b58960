/** How much there is of something. */
interface Total {
	count: number;
}

/** How much one user has of something, and how much all have: a container's root can be any user. */
class Share {
	count = 0;

	constructor(private readonly total: Total) {}

	get all(): number {
		return this.total.count;
	}
	add(change: number): void {
		this.count += change;
		this.total.count += change;
	}
}

const pipePages: Total = { count: 0 };
const inFlight: Total = { count: 0 };
const watches: Total = { count: 0 };
const inotifyInstances: Total = { count: 0 };
const inotifyWatches: Total = { count: 0 };
const queueBytes: Total = { count: 0 };

/** What one user (real id) holds of bounded kernel memory (Linux: struct user_struct). */
export class UserAccount {
	/** Capacity of its pipes, in pages. */
	readonly pipePages = new Share(pipePages);
	/** Descriptors that it has sent and nobody has received yet (SCM_RIGHTS). */
	readonly inFlight = new Share(inFlight);
	/** Registrations in its epoll instances. */
	readonly watches = new Share(watches);
	/** inotify instances, and watches in them. */
	readonly inotifyInstances = new Share(inotifyInstances);
	readonly inotifyWatches = new Share(inotifyWatches);
	/** Bytes that its POSIX queues may hold. */
	readonly queueBytes = new Share(queueBytes);
	private holders = 0;

	constructor(private readonly uid: number) {}

	/** An object that counts here was made: the account stays until it is gone. */
	acquire(): this {
		this.holders++;
		return this;
	}

	release(): void {
		if (--this.holders === 0) accounts.delete(this.uid);
	}
}

/** Of users that hold something. */
const accounts = new Map<number, UserAccount>();

/** A user's account; `release` it when the object that counts there is gone. */
export function acquireAccount(uid: number): UserAccount {
	let account = accounts.get(uid);
	if (account === undefined) {
		account = new UserAccount(uid);
		accounts.set(uid, account);
	}
	return account.acquire();
}
