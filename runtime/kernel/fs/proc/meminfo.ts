import { PAGE_SIZE } from '../../abi/limits.js';
import { hostField, readHostProc } from './host-proc.js';
import type { ProcFileSystem } from './proc-file-system.js';
import { processTimes } from './process-times.js';

const KIB_PER_PAGE = PAGE_SIZE / 1024;

/** What meminfo(5) and sysinfo(2) say, in KiB. */
export interface MemoryNumbers {
	readonly totalKib: number;
	readonly freeKib: number;
	readonly availableKib: number;
}

/** The host's memory as far as the container may use it. `host` is the text of the host's meminfo. */
export function memoryNumbers(fs: ProcFileSystem, host = readHostProc('meminfo')): MemoryNumbers {
	const totalKib = hostField(host, 'MemTotal');
	const freeKib = hostField(host, 'MemFree');
	const availableKib = hostField(host, 'MemAvailable');
	const limitKib = Math.floor(fs.container.memoryLimitBytes / 1024);
	if (limitKib >= totalKib) return { totalKib, freeKib, availableKib };
	const leftKib = Math.max(0, limitKib - processTimes(fs.container).residentPages * KIB_PER_PAGE);
	return { totalKib: limitKib, freeKib: Math.min(freeKib, leftKib), availableKib: Math.min(availableKib, leftKib) };
}

/** /proc/meminfo, proc_meminfo(5): the host's, with no more memory than the container may use, and no swap. */
export function meminfoText(fs: ProcFileSystem): string {
	const host = readHostProc('meminfo');
	const numbers = memoryNumbers(fs, host);
	return host.replace(/^(\w+): +(\d+) kB$/gm, (line, name: string, value: string) => {
		switch (name) {
			case 'MemTotal':
				return field(name, numbers.totalKib);
			case 'MemFree':
				return field(name, numbers.freeKib);
			case 'MemAvailable':
				return field(name, numbers.availableKib);
			case 'SwapTotal':
			case 'SwapFree':
			case 'SwapCached':
				return field(name, 0);
			default:
				// Nothing that is a part of the memory is larger than it.
				return name.startsWith('Vmalloc') || name.startsWith('Commit') || name.startsWith('DirectMap')
					? line
					: field(name, Math.min(Number(value), numbers.totalKib));
		}
	});
}

function field(name: string, kib: number): string {
	return `${`${name}:`.padEnd(15)} ${String(kib).padStart(8)} kB`;
}

/** /proc/swaps, proc_swaps(5): none. */
export function swapsText(): string {
	return 'Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n';
}

/** /proc/vmstat, proc_vmstat(5): what the guest kernel can tell. */
export function vmstatText(fs: ProcFileSystem): string {
	const host = readHostProc('meminfo');
	const pages = (kib: number): number => Math.floor(kib / KIB_PER_PAGE);
	const { freeKib } = memoryNumbers(fs, host);
	return (
		`nr_free_pages ${pages(freeKib)}\nnr_anon_pages ${processTimes(fs.container).residentPages}\nnr_mapped ${pages(hostField(host, 'Mapped'))}\n` +
		'nr_dirty 0\nnr_writeback 0\npgpgin 0\npgpgout 0\npswpin 0\npswpout 0\npgfault 0\npgmajfault 0\noom_kill 0\n'
	);
}
