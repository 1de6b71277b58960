import type { IpcObject } from '../../ipc/sysv/ipc-object.js';
import { ProcDirectory } from './proc-directory.js';
import { ProcFile } from './proc-file.js';
import type { ProcFileSystem } from './proc-file-system.js';

const column = (value: number, width: number): string => String(value).padStart(width);

/** Key, id and permissions, as every row begins. */
function head(object: IpcObject): string {
	return `${column(object.key, 10)} ${column(object.id, 10)}  ${object.mode.toString(8).padStart(4)}`;
}

function owners({ uid, gid, cuid, cgid }: IpcObject): string {
	return [uid, gid, cuid, cgid].map((id) => column(id, 5)).join(' ');
}

function times(...seconds: number[]): string {
	return seconds.map((second) => column(second, 10)).join(' ');
}

/** /proc/sysvipc, proc_sysvipc(5): the container's System V objects, whoever may use them. */
export function sysvipcDirectory(fs: ProcFileSystem): ProcDirectory {
	const { container } = fs;
	const shm = (): string => {
		let text =
			'       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      dtime      ctime                   rss                  swap\n';
		for (const segment of container.ipc.segments.all()) {
			const counts = `${column(segment.creatorPid, 5)} ${column(segment.lastPid, 5)}  ${column(segment.attachCount, 5)}`;
			const use = `${column(segment.file.residentBytes, 21)} ${column(0, 21)}`;
			const when = times(segment.atimeSec, segment.dtimeSec, segment.ctimeSec);
			text += `${head(segment)} ${column(segment.sizeBytes, 21)} ${counts} ${owners(segment)} ${when} ${use}\n`;
		}
		return text;
	};
	const sem = (): string => {
		let text = '       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n';
		for (const set of container.ipc.semaphores.all())
			text += `${head(set)} ${column(set.size, 10)} ${owners(set)} ${times(set.otimeSec, set.ctimeSec)}\n`;
		return text;
	};
	const msg = (): string => {
		let text = '       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      stime      rtime      ctime\n';
		for (const queue of container.ipc.queues.all()) {
			const counts = `${column(queue.bytes, 10)} ${column(queue.count, 10)} ${column(queue.sendPid, 5)} ${column(queue.receivePid, 5)}`;
			text += `${head(queue)}  ${counts} ${owners(queue)} ${times(queue.stimeSec, queue.rtimeSec, queue.ctimeSec)}\n`;
		}
		return text;
	};
	const directory = new ProcDirectory(fs);
	for (const [name, text] of Object.entries({ msg, sem, shm })) directory.add(name, new ProcFile(fs, fs.allocateInos(1), 0o444, text));
	return directory;
}
