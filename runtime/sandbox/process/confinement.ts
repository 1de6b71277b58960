/** The sandbox process's own system-call list comes here; the launcher has done the rest. */
export function confineProcess(): void {}
