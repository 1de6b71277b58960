import { native } from '../../native.js';
import { PAGE_SIZE } from '../abi/limits.js';

/** Bytes of one page's entry, proc_pid_pagemap(5). */
export const PAGE_ENTRY_BYTES = 8;
/** In an entry's high word. */
const PRESENT = 0x8000_0000;
/** What a reader without privileges on the host is shown of the high word: flags, no frame. */
const FLAGS = 0xff80_0000;
const window = Buffer.alloc(64 << 10);
const WINDOW_PAGES = window.length / PAGE_ENTRY_BYTES;

/** What the host says of a thread's pages. Owns a descriptor: `close` it. */
export class PageMap {
	private readonly fd: number;
	private first = 0;
	private count = 0;

	constructor(pid: number, tid: number) {
		this.fd = native.openProcFile(`${pid}/task/${tid}/pagemap`, false);
	}

	get isOpen(): boolean {
		return this.fd >= 0;
	}

	close(): void {
		if (this.fd >= 0) native.close(this.fd);
	}

	/** Is the page at `address` in memory? */
	isPresent(address: number): boolean {
		const page = Math.floor(address / PAGE_SIZE);
		if (page < this.first || page >= this.first + this.count) this.load(page);
		if (page >= this.first + this.count) return false;
		return (window.readUInt32LE((page - this.first) * PAGE_ENTRY_BYTES + 4) & PRESENT) !== 0;
	}

	private load(page: number): void {
		const bytes = native.pread(this.fd, window, 0, WINDOW_PAGES * PAGE_ENTRY_BYTES, page * PAGE_ENTRY_BYTES);
		this.first = page;
		this.count = Math.max(0, Math.floor(bytes / PAGE_ENTRY_BYTES));
	}

	/** Entries from byte `position` on into `bytes`, without what a guest may not know: bytes, or -errno. */
	read(bytes: Uint8Array, length: number, position: number): number {
		const got = native.pread(this.fd, bytes, 0, length, position);
		const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
		for (let at = 0; at + PAGE_ENTRY_BYTES <= got; at += PAGE_ENTRY_BYTES) {
			view.setUint32(at, 0, true);
			view.setUint32(at + 4, view.getUint32(at + 4, true) & FLAGS, true);
		}
		return got;
	}
}
