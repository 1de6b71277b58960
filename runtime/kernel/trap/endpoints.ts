/** Takes what the host has to say about a watched descriptor, process, lend or listener. */
export interface Endpoint {
	/** `kind` is EVENT_* of records.ts, `value` the record's second word, `high` the third: what a result of 64 bits has above the low 32. */
	onEvent(kind: number, value: number, high: number): void;
}

/** The keys of `native.watch` and its like: small numbers for who gets the event. */
export class Endpoints {
	private readonly slots: (Endpoint | null)[] = [null];
	private readonly free: number[] = [];

	/** Those who have a key. */
	get size(): number {
		return this.slots.length - 1 - this.free.length;
	}

	/** A key for `endpoint` until `remove`. */
	add(endpoint: Endpoint): number {
		const key = this.free.pop() ?? this.slots.length;
		this.slots[key] = endpoint;
		return key;
	}

	/** Throws when nobody has the key: given back twice, two endpoints would get it. */
	remove(key: number): void {
		if (this.slots[key] == null) throw new Error(`Give back the key ${key}: nobody has it`);
		this.slots[key] = null;
		this.free.push(key);
	}

	deliver(key: number, kind: number, value: number, high: number): void {
		this.slots[key]?.onEvent(kind, value, high);
	}
}
