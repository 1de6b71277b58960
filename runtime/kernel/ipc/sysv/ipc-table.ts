import { EACCES, EEXIST, EINVAL, ENOENT, ENOSPC } from '../../abi/errno.js';
import { IPC_CREAT, IPC_EXCL, IPC_PRIVATE } from '../../abi/sysv.js';
import type { Credentials } from '../../task/credentials.js';
import type { IpcObject } from './ipc-object.js';

/** Bits of an id that are its place; those above count how often places were used again (ipc/util.h, ipcmni_seq_shift). */
const PLACE_BITS = 15;
const PLACES = 1 << PLACE_BITS;
/** Places that are gone through at least before one is used again (ipc/util.c, ipc_min_cycle). */
const MIN_CYCLE = 64;
const MAX_SEQUENCE = 0xffff;

/** Objects of one kind of an IPC namespace, by id and by key (Linux: struct ipc_ids). */
export class IpcTable<T extends IpcObject> {
	private readonly places: (T | null)[] = [];
	private readonly byKey = new Map<number, T>();
	private sequence = 0;
	private lastPlace = -1;
	private count = 0;

	constructor(private readonly maximum: number) {}

	get size(): number {
		return this.count;
	}
	/** The highest place in use, -1 without any: what IPC_INFO and its like return. */
	get highest(): number {
		let place = this.places.length - 1;
		while (place >= 0 && this.places[place] == null) place--;
		return place;
	}

	/**
	 * semget(2), msgget(2), shmget(2): an id. `check` looks whether one that exists is big enough (0 or -errno), `make` makes a new one.
	 * Errors: ENOENT, EEXIST, EACCES, ENOSPC, and theirs.
	 */
	get(key: number, flags: number, credentials: Credentials, check: (found: T) => number, make: () => T | number): number {
		const found = key === IPC_PRIVATE ? undefined : this.byKey.get(key);
		if (found === undefined) {
			if (key !== IPC_PRIVATE && (flags & IPC_CREAT) === 0) return -ENOENT;
			if (this.count >= this.maximum) return -ENOSPC;
			const made = make();
			return typeof made === 'number' ? made : this.add(made);
		}
		if ((flags & (IPC_CREAT | IPC_EXCL)) === (IPC_CREAT | IPC_EXCL)) return -EEXIST;
		const error = check(found);
		if (error < 0) return error;
		return found.allows(credentials, flags) ? found.id : -EACCES;
	}

	private add(object: T): number {
		// Round and round, so that a number comes back late, in no more places than it takes.
		const limit = Math.min(Math.max(Math.floor((this.count * 3) / 2), MIN_CYCLE), PLACES);
		let place = this.lastPlace + 1;
		while (place >= limit || this.places[place] != null) place = place + 1 >= limit ? 0 : place + 1;
		if (place <= this.lastPlace) this.sequence = (this.sequence + 1) & MAX_SEQUENCE;
		this.lastPlace = place;
		object.id = this.sequence * PLACES + place;
		while (this.places.length < place) this.places.push(null);
		this.places[place] = object;
		if (object.key !== IPC_PRIVATE) this.byKey.set(object.key, object);
		this.count++;
		return object.id;
	}

	/** The object with `id`. Errors: EINVAL. */
	find(id: number): T | number {
		const object = id < 0 ? null : (this.places[id & (PLACES - 1)] ?? null);
		return object === null || object.id !== id ? -EINVAL : object;
	}

	/** The object in a place, as SEM_STAT and its like count. Errors: EINVAL. */
	at(place: number): T | number {
		return place < 0 ? -EINVAL : (this.places[place & (PLACES - 1)] ?? -EINVAL);
	}

	/** Nobody finds it by its key any more. */
	forgetKey(object: T): void {
		if (this.byKey.get(object.key) === object) this.byKey.delete(object.key);
		object.key = IPC_PRIVATE;
	}

	remove(object: T): void {
		const place = object.id & (PLACES - 1);
		if (this.places[place] !== object) return;
		this.forgetKey(object);
		this.places[place] = null;
		object.isRemoved = true;
		this.count--;
	}

	/** All of them, by place. */
	*all(): Generator<T> {
		for (const object of this.places) if (object != null) yield object;
	}
}
