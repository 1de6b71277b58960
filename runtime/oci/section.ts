const MAX_UINT32 = 0xffff_ffff;

/** A config.json that can't be used: which field, and why. */
export class ConfigError extends Error {
	constructor(
		/** As in "linux.resources.memory". */
		readonly field: string,
		readonly reason: string,
	) {
		super(`config.json: ${field}: ${reason}`);
		this.name = 'ConfigError';
	}
}

/**
 * A JSON object that is being read: every field that is there must be asked for, ignored or refused by name before `end`, so that nothing is ever
 * overlooked.
 */
export class Section {
	private readonly fields: Readonly<Record<string, unknown>>;
	private readonly left: Set<string>;

	constructor(
		value: unknown,
		private readonly path: string,
	) {
		if (typeof value !== 'object' || value === null || Array.isArray(value))
			throw new ConfigError(path === '' ? 'the file' : path, 'want an object');
		this.fields = value as Record<string, unknown>;
		this.left = new Set(Object.keys(value));
	}

	/** The full name of a field. */
	name(field: string): string {
		return this.path === '' ? field : `${this.path}.${field}`;
	}

	private take(field: string): unknown {
		this.left.delete(field);
		return this.fields[field] ?? undefined;
	}

	/** Is the field there? */
	has(field: string): boolean {
		return (this.fields[field] ?? undefined) !== undefined;
	}

	/** Of all its fields. */
	names(): string[] {
		return Object.keys(this.fields);
	}

	string(field: string, fallback?: string): string {
		const value = this.take(field) ?? fallback;
		if (typeof value !== 'string') throw new ConfigError(this.name(field), value === undefined ? 'is missing' : 'want a string');
		if (value.includes('\0')) throw new ConfigError(this.name(field), 'has a NUL character in it');
		return value;
	}

	boolean(field: string, fallback: boolean): boolean {
		const value = this.take(field) ?? fallback;
		if (typeof value !== 'boolean') throw new ConfigError(this.name(field), 'want true or false');
		return value;
	}

	/** An integer from 0 to `maximum`. */
	integer(field: string, fallback: number, maximum = MAX_UINT32): number {
		return this.checkInteger(field, this.take(field) ?? fallback, maximum);
	}

	/** An integer from `minimum` to `maximum`, of either sign. */
	signed(field: string, fallback: number, minimum: number, maximum: number): number {
		const value = this.take(field) ?? fallback;
		if (typeof value !== 'number' || !Number.isInteger(value) || value < minimum || value > maximum)
			throw new ConfigError(this.name(field), `want an integer from ${minimum} to ${maximum}`);
		return value;
	}

	integers(field: string, maximum = MAX_UINT32): number[] {
		return this.array(field).map((value) => this.checkInteger(field, value, maximum));
	}

	/** A resource limit: RLIM_INFINITY (2^64 - 1, or -1) is `Infinity`. */
	limit(field: string): number {
		const value = this.take(field);
		if (typeof value !== 'number' || !Number.isInteger(value)) throw new ConfigError(this.name(field), 'want an integer');
		return value < 0 || value >= 2 ** 63 ? Number.POSITIVE_INFINITY : value;
	}

	/** An array of strings. */
	list(field: string): string[] {
		return this.array(field).map((value) => {
			if (typeof value !== 'string' || value.includes('\0'))
				throw new ConfigError(this.name(field), 'want an array of strings without NUL');
			return value;
		});
	}

	/** An object of strings. */
	strings(field: string): Record<string, string> {
		const value = this.take(field) ?? {};
		if (typeof value !== 'object' || Array.isArray(value) || Object.values(value).some((item) => typeof item !== 'string'))
			throw new ConfigError(this.name(field), 'want an object of strings');
		return value as Record<string, string>;
	}

	section(field: string): Section {
		const value = this.take(field);
		if (value === undefined) throw new ConfigError(this.name(field), 'is missing');
		return new Section(value, this.name(field));
	}

	optionalSection(field: string): Section | null {
		const value = this.take(field);
		return value === undefined ? null : new Section(value, this.name(field));
	}

	sections(field: string): Section[] {
		return this.array(field).map((value, index) => new Section(value, `${this.name(field)}[${index}]`));
	}

	/** A field that makes no difference here. */
	ignore(field: string): this {
		this.left.delete(field);
		return this;
	}

	/** A field of the specification that is not honoured: it must be absent, or such that `matters` says it makes no difference. */
	refuse(field: string, matters: (value: unknown) => boolean = () => true): this {
		const value = this.take(field);
		if (value !== undefined && matters(value)) throw new ConfigError(this.name(field), 'is not honoured by this version');
		return this;
	}

	/** All has been read. Throws for the first field that nobody asked for. */
	end(reason = 'is not a field that this version knows'): void {
		for (const field of this.left) throw new ConfigError(this.name(field), reason);
	}

	private array(field: string): readonly unknown[] {
		const value = this.take(field) ?? [];
		if (!Array.isArray(value)) throw new ConfigError(this.name(field), 'want an array');
		return value;
	}

	private checkInteger(field: string, value: unknown, maximum: number): number {
		if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > maximum)
			throw new ConfigError(this.name(field), `want an integer from 0 to ${maximum}`);
		return value;
	}
}
