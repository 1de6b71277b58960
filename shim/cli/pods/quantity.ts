// Kubernetes' quantities: `500m`, `64Mi`, `1e3` (resource.Quantity of apimachinery).

import type { Schema } from './schema.js';

const SUFFIXES: Readonly<Record<string, number>> = {
	n: 1e-9,
	u: 1e-6,
	m: 1e-3,
	'': 1,
	k: 1e3,
	M: 1e6,
	G: 1e9,
	T: 1e12,
	P: 1e15,
	E: 1e18,
	Ki: 2 ** 10,
	Mi: 2 ** 20,
	Gi: 2 ** 30,
	Ti: 2 ** 40,
	Pi: 2 ** 50,
	Ei: 2 ** 60,
};

/** The number that a quantity stands for; null when it is none. */
export function parseQuantity(value: string): number | null {
	const [, digits, exponent, suffix] = /^([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d+)|([a-zA-Z]{0,2}))$/.exec(value) ?? [];
	if (digits === undefined) return null;
	const factor = Object.hasOwn(SUFFIXES, suffix ?? '') ? SUFFIXES[suffix ?? '']! : undefined;
	if (factor === undefined) return null;
	const number = Number(`${digits}${exponent ?? ''}`) * factor;
	return Number.isFinite(number) ? number : null;
}

/** A quantity that is not negative, as its number. */
export const quantity: Schema<number> = (value, path, problems) => {
	const number = typeof value === 'number' || typeof value === 'string' ? parseQuantity(`${value}`) : null;
	if (number !== null && number >= 0) return number;
	const reason = number === null ? 'is no quantity, such as 500m or 64Mi' : 'must not be negative';
	problems.error(`${path}: Invalid value: ${JSON.stringify(value)}: ${reason}`);
	return 0;
};
