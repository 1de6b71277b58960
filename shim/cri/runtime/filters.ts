/** What a filter of CRI's lists says of an id: nothing, or how it begins. */
export function matchesId(id: string | null | undefined, wanted: string | null | undefined): boolean {
	return !wanted || (id ?? '').startsWith(wanted);
}

/** All labels of the filter are there. */
export function matchesLabels(
	labels: Readonly<Record<string, string>> | null | undefined,
	wanted: Readonly<Record<string, string>> | null | undefined,
): boolean {
	return Object.entries(wanted ?? {}).every(([name, value]) => labels?.[name] === value);
}

/** Items of one message of a list that is streamed: the client is never told of more at once. */
const PAGE_ITEMS = 100;

/** A list as the messages that a client gets of it one after another; one message says that there is nothing. */
export async function* pages<T, M>(items: readonly T[], message: (items: T[]) => M): AsyncGenerator<M> {
	for (let at = 0; at < Math.max(1, items.length); at += PAGE_ITEMS) yield message(items.slice(at, at + PAGE_ITEMS));
}

/** The values of what has succeeded: a container that ends while all are asked for theirs is no failure of the others. */
export async function fulfilled<T>(promises: readonly Promise<T>[]): Promise<T[]> {
	const settled = await Promise.allSettled(promises);
	return settled.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
}
