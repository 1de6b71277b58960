import type { Task } from '../task/task.js';
import { UnixSocket } from './unix-socket.js';

/** socketpair(2) of AF_UNIX: two connected sockets without names, a reference each. */
export function makeSocketPair(task: Task, type: number, statusFlags: number): [UnixSocket, UnixSocket] {
	const first = new UnixSocket(task, type, statusFlags);
	const second = new UnixSocket(task, type, statusFlags);
	UnixSocket.join(task, first, second);
	return [first, second];
}
