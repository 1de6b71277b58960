import t from 'tap';
import { ProcDirectory } from '../fs/proc/proc-directory.js';
import { PROC_ERRORS, PseudoFileSystem } from '../fs/proc/pseudo-file-system.js';
import { anonymousPath } from './anonymous-path.js';
import { MountNamespace } from './mount.js';
import { Path } from './path.js';
import { dentryText, linkText, mountpointText, pathText } from './path-text.js';

class TestFileSystem extends PseudoFileSystem {
	override readonly root: ProcDirectory = new ProcDirectory(this);
	constructor() {
		super('testfs', 1, 4096, PROC_ERRORS.create, PROC_ERRORS.link);
	}
}

const fs = new TestFileSystem();
const mounts = MountNamespace.of(fs, 0, 'root');
const root = new Path(mounts.root, mounts.root.root);
const home = root.dentry.addChild('home', fs.root);
const user = home.addChild('user', fs.root);
const other = new TestFileSystem();
const mounted = mounts.attach(mounts.root, user, other, 0, 'other');
const file = mounted.root.addChild('file', other.root);
const bound = mounts.attach(mounts.root, root.dentry.addChild('bound', fs.root), other, 0, 'other', '', file);

t.test('pathText() walks up through mounts', async (t) => {
	t.equal(pathText(root, root), '/');
	t.equal(pathText(new Path(mounts.root, user), root), '/home/user');
	t.equal(pathText(new Path(mounted, mounted.root), root), '/home/user');
	t.equal(pathText(new Path(mounted, file), root), '/home/user/file');
	t.equal(pathText(new Path(bound, file), root), '/bound');
});

t.test('pathText() stops at the root of the process, and marks what is outside', async (t) => {
	const jail = new Path(mounts.root, home);
	t.equal(pathText(new Path(mounted, file), jail), '/user/file');
	t.equal(pathText(jail, jail), '/');
	t.equal(pathText(root, jail), '(unreachable)/');
	t.equal(pathText(new Path(bound, file), jail), '(unreachable)/bound');
	t.equal(linkText(new Path(bound, file), jail), '/bound');
	t.equal(mountpointText(bound, jail), null);
	t.equal(mountpointText(mounted, jail), '/user');
});

t.test('deleted and anonymous files', async (t) => {
	const gone = mounted.root.addChild('gone', other.root);
	gone.isDeleted = true;
	t.equal(pathText(new Path(mounted, gone), root), '/home/user/gone (deleted)');
	t.equal(linkText(anonymousPath(other.root, 'anon_inode:[eventfd]'), root), 'anon_inode:[eventfd]');
	t.equal(pathText(anonymousPath(other.root, 'pipe:[7]'), root), 'pipe:[7]');
});

t.test('dentryText() stays within the file system', async (t) => {
	t.equal(dentryText(bound.root), '/file');
	t.equal(dentryText(mounted.root), '/');
});
