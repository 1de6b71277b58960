import { O_RDWR } from '../../kernel/abi/fcntl.js';
import { TIOCGWINSZ, WINSIZE_BYTES } from '../../kernel/abi/termios.js';
import type { Container } from '../../kernel/container.js';
import { DevptsFileSystem, type SlaveNode } from '../../kernel/fs/devpts/devpts-file-system.js';
import type { Kernel } from '../../kernel/kernel.js';
import { HostConsole } from '../../kernel/tty/host-console.js';
import type { Terminal } from '../../kernel/tty/terminal.js';
import { TerminalDescription } from '../../kernel/tty/terminal-description.js';
import { Dentry } from '../../kernel/vfs/dentry.js';
import type { DescriptorTable } from '../../kernel/vfs/descriptor-table.js';
import { MS_NOEXEC, MS_NOSUID } from '../../kernel/vfs/mount.js';
import { Path } from '../../kernel/vfs/path.js';
import { native } from '../../native.js';
import { SetupWalk } from './setup-walk.js';

const size = new Uint8Array(WINSIZE_BYTES);

/**
 * Makes a process's terminal out of what came in the place of stdin, stdout and stderr, the slave of a pty of the host's or streams, and opens it as those three.
 * It has a name in the container's devpts; the first program's is /dev/console, too (`isFirst`). Throws when there is no devpts or no room in it.
 */
export function openConsole(
	kernel: Kernel,
	container: Container,
	uid: number,
	stdio: readonly number[],
	files: DescriptorTable,
	isFirst: boolean,
): HostConsole {
	const { devpts } = container;
	const fs = devpts?.mount.fs;
	if (devpts === null || !(fs instanceof DevptsFileSystem)) throw new Error('open the terminal: the container has no devpts at /dev/pts');
	const [input = -1, output = -1, other = -1] = stdio;
	native.close(other);
	const isPty = native.ioctl(input, TIOCGWINSZ, size) >= 0;
	if (isPty) native.close(output);
	let console: HostConsole | null = null;
	const make = (index: number): Terminal => {
		console = new HostConsole(kernel, index, input, isPty ? input : output, () => fs.remove(index));
		return console.terminal;
	};
	const node = fs.addTerminal(make, uid);
	if (typeof node === 'number' || console === null) throw new Error('open the terminal: the devpts of the container is full');
	const path = new Path(devpts.mount, new Dentry(`${node.terminal.index}`, devpts.dentry, node));
	const description = new TerminalDescription(node.terminal, path, node, O_RDWR);
	for (let fd = 0; fd < 3; fd++) files.add(fd === 0 ? description : description.acquire(), false, 3);
	if (isFirst) mountConsole(container, path, node);
	return console;
}

/** /dev/console, as the runtime specification wants it where a process has a terminal. */
function mountConsole(container: Container, path: Path, node: SlaveNode): void {
	const place = new SetupWalk(container.mounts).make('/dev/console', true);
	container.mounts.attach(place.mount, place.dentry, node.fs, MS_NOSUID | MS_NOEXEC, 'devpts', path.mount.options, path.dentry);
}
