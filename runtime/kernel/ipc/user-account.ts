/** pipe-user-pages-soft, pipe(7): pages of pipe capacity a user has before new pipes get small. */
export const PIPE_USER_PAGES_SOFT = 16384;
/** /proc/sys/fs/epoll/max_user_watches, epoll(7). */
export const MAX_USER_WATCHES = 1 << 18;

/** What one user (real id) holds of bounded kernel memory (Linux: struct user_struct). */
export class UserAccount {
	/** Capacity of its pipes, in pages. */
	pipePages = 0;
	/** Descriptors that it has sent and nobody has received yet (SCM_RIGHTS). */
	inFlight = 0;
	/** Registrations in its epoll instances. */
	watches = 0;
	/** inotify instances, and watches in them. */
	inotifyInstances = 0;
	inotifyWatches = 0;
	/** Bytes that its POSIX queues may hold. */
	queueBytes = 0;
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
