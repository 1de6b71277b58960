// Reads what came out of a YAML file into a typed value, strictly: each field that is not known is a problem with its path, as kubectl tells it.

/** What is wrong with a document, and what of it is not carried out. */
export class Problems {
	readonly errors: string[] = [];
	readonly warnings: string[] = [];

	error(text: string): void {
		this.errors.push(text);
	}
}

/** Reads a value of a document; what is wrong is told to `problems`, and then something of the type is returned all the same. */
export type Schema<T> = (value: unknown, path: string, problems: Problems) => T;
export type Read<S> = S extends Schema<infer T> ? T : never;

type Fields = Readonly<Record<string, Schema<unknown>>>;
/** Every field may be missing, but those that {@link object} is told of. */
type ObjectOf<F extends Fields, R extends keyof F> = { readonly [K in R]: Read<F[K]> } & { readonly [K in keyof F]?: Read<F[K]> };

/** The path of a field as kubectl writes it. */
function fieldPath(path: string, name: string): string {
	return path === '' ? name : `${path}.${name}`;
}

function wrongType(value: unknown, wanted: string, path: string, problems: Problems): void {
	const found = value === null ? 'null' : Array.isArray(value) ? 'a list' : typeof value === 'object' ? 'an object' : JSON.stringify(value);
	problems.error(`${path}: want ${wanted}, got ${found}`);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function object<F extends Fields, R extends keyof F & string = never>(
	fields: F,
	required: readonly R[] = [],
): Schema<ObjectOf<F, R>> {
	return (value, path, problems) => {
		const result: Record<string, unknown> = {};
		if (!isObject(value)) {
			wrongType(value, 'an object', path, problems);
			value = {};
		}
		for (const [name, child] of Object.entries(value as object)) {
			const field = Object.hasOwn(fields, name) ? fields[name] : undefined;
			if (field === undefined) problems.error(`unknown field ${JSON.stringify(fieldPath(path, name))}`);
			// As with kubectl, null is the same as nothing.
			else if (child !== null) result[name] = field(child, fieldPath(path, name), problems);
		}
		for (const name of required) {
			if (result[name] === undefined && !problems.errors.some((text) => text.startsWith(`${fieldPath(path, name)}:`)))
				problems.error(`${fieldPath(path, name)}: Required value`);
		}
		return result as ObjectOf<F, R>;
	};
}

export function list<T>(item: Schema<T>): Schema<readonly T[]> {
	return (value, path, problems) => {
		if (Array.isArray(value)) return value.map((child, at) => item(child, `${path}[${at}]`, problems));
		wrongType(value, 'a list', path, problems);
		return [];
	};
}

/** An object whose names are the user's own. */
export function map<T>(item: Schema<T>): Schema<Readonly<Record<string, T>>> {
	return (value, path, problems) => {
		const result: Record<string, T> = Object.create(null) as Record<string, T>;
		if (!isObject(value)) wrongType(value, 'an object', path, problems);
		else for (const [name, child] of Object.entries(value)) result[name] = item(child, `${path}[${name}]`, problems);
		return result;
	};
}

export const text: Schema<string> = (value, path, problems) => {
	if (typeof value === 'string') return value;
	wrongType(value, 'a string', path, problems);
	return '';
};

export const flag: Schema<boolean> = (value, path, problems) => {
	if (typeof value === 'boolean') return value;
	wrongType(value, 'true or false', path, problems);
	return false;
};

/** A whole number from `least` to `most`. */
export function integer(least = Number.MIN_SAFE_INTEGER, most = Number.MAX_SAFE_INTEGER): Schema<number> {
	return (value, path, problems) => {
		if (typeof value !== 'number' || !Number.isInteger(value)) wrongType(value, 'a whole number', path, problems);
		else if (value < least || value > most) problems.error(`${path}: Invalid value: ${value}: must be from ${least} to ${most}`);
		else return value;
		return Math.max(least, 0);
	};
}

export function oneOf<T extends string>(...choices: readonly [T, ...T[]]): Schema<T> {
	return (value, path, problems) => {
		const found = choices.find((choice) => choice === value);
		if (found !== undefined) return found;
		const wanted = choices.map((choice) => JSON.stringify(choice)).join(', ');
		problems.error(`${path}: Unsupported value: ${JSON.stringify(value)}: supported values: ${wanted}`);
		return choices[0];
	};
}

/** A string that must look like something. */
export function matching(pattern: RegExp, what: string): Schema<string> {
	return (value, path, problems) => {
		if (typeof value === 'string' && pattern.test(value)) return value;
		problems.error(`${path}: Invalid value: ${JSON.stringify(value)}: must be ${what}`);
		return '';
	};
}

/** A string, or a whole number: a port by its name or number. */
export const textOrInteger: Schema<string | number> = (value, path, problems) => {
	if (typeof value === 'string' || (typeof value === 'number' && Number.isInteger(value))) return value;
	wrongType(value, 'a name or a whole number', path, problems);
	return 0;
};

/** A field that means nothing without a cluster: it is taken, and the user is told. */
export const ignored: Schema<undefined> = (_value, path, problems) => {
	problems.warnings.push(`${path} is ignored: there is no cluster`);
	return undefined;
};

/** A field whose value doesn't matter here. */
export const accepted: Schema<undefined> = () => undefined;

/** A known field that is not carried out, and would not do what was asked for if it were passed over. */
export function refused(reason: string): Schema<undefined> {
	return (_value, path, problems) => {
		problems.error(`${path}: ${reason}`);
		return undefined;
	};
}
