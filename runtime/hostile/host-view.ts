// What the host sees of guests: nothing that a guest says of itself counts here.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** Images that the guests of one container have executed, as long as it is watched. */
export class ImageWatch {
	/** What /proc/PID/exe led to, in the guests' own native root: "/x" is the loader. */
	readonly images = new Set<string>();
	private readonly timer: NodeJS.Timeout;
	/** The PID namespace of the container, once a process of it has shown its mark. */
	private namespace = '';

	/** `mark` is an argument of the container's first program, and of no other process on the host. */
	constructor(private readonly mark: string) {
		this.timer = setInterval(() => this.look(), 10);
	}

	stop(): void {
		clearInterval(this.timer);
	}

	private look(): void {
		for (const pid of readdirSync('/proc')) {
			if (!/^\d+$/.test(pid)) continue;
			try {
				const namespace = readlinkSync(`/proc/${pid}/ns/pid`);
				if (this.namespace === '' && readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0').includes(this.mark))
					this.namespace = namespace;
				if (namespace === this.namespace) this.images.add(readlinkSync(`/proc/${pid}/exe`).replace(' (deleted)', ''));
			} catch {
				// It ended meanwhile.
			}
		}
	}
}
