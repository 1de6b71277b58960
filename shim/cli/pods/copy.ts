// `cp`: through tar in the container, both ways. What comes out of a container is hostile.

import { once } from 'node:events';
import {
	chmodSync,
	closeSync,
	constants,
	createReadStream,
	lstatSync,
	mkdirSync,
	openSync,
	readdirSync,
	readlinkSync,
	type Stats,
	statSync,
	writeSync,
} from 'node:fs';
import { basename, join, posix } from 'node:path';
import { PassThrough, Readable, Writable } from 'node:stream';
import { type Pack, pack } from 'tar-stream';
import { HostError } from '../../../runtime/host-error.js';
import { runCommand } from '../../cri/streaming/client.js';
import { type TarEntry, TarReader } from '../../image/tar-reader.js';
import type { Connection } from './connection.js';
import type { Commands } from './main.js';
import { findContainer } from './names.js';
import { printable } from './table.js';

const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants;

export function registerCopy(commands: Commands): void {
	commands
		.add('cp', '<source> <target>', [
			'isopod cp site.conf web:/etc/nginx/conf.d/',
			'isopod cp web/nginx:/var/log/nginx ./logs',
			'isopod cp -c nginx web:/etc/hostname .',
		])
		.option('-c, --container <name>', 'container of the pod')
		.action((source: string, target: string, { container }: { container?: string }) =>
			commands.run(async (connection) => {
				const [from, to] = [parsePlace(source), parsePlace(target)];
				if ((from.name === null) === (to.name === null))
					throw new Error('one of source and target must be NAME:PATH, and the other a local file');
				if (from.name !== null) await download(connection, from.name, from.path, to.path, container);
				else await upload(connection, from.path, to.name!, to.path, container);
			}),
		);
}

interface Place {
	/** Null for a local file. */
	readonly name: string | null;
	readonly path: string;
}

/** `NAME:PATH`; a local path that has a colon begins with `/` or `./`. Throws Error. */
export function parsePlace(text: string): Place {
	const colon = text.indexOf(':');
	if (colon < 0 || /^[./~]/.test(text)) return { name: null, path: text };
	const path = text.slice(colon + 1);
	if (colon === 0 || path === '') throw new Error(`want NAME:PATH, got ${JSON.stringify(text)}`);
	return { name: text.slice(0, colon), path };
}

async function download(connection: Connection, name: string, path: string, target: string, container: string | undefined): Promise<void> {
	const { id } = await findContainer(connection, name, { container, mustRun: true });
	const clean = posix.normalize(path).replace(/(.)\/$/, '$1');
	const [folder, base] = [posix.dirname(clean), posix.basename(clean)];
	const cmd = base === '' || base === '..' ? ['tar', '-cf', '-', '-C', clean, '.'] : ['tar', '-cf', '-', '-C', folder, `./${base}`];
	const isInside = statSync(target, { throwIfNoEntry: false })?.isDirectory() === true;
	const root = isInside && base !== '' && base !== '.' && base !== '..' ? join(target, base) : target;
	const { url } = await connection.call('Exec', { containerId: id ?? '', cmd, stdout: true, stderr: true });
	const archive = new PassThrough();
	const stop = new AbortController();
	const messages = new Messages();
	const command = runCommand(url, { stdin: null, stdout: archive, stderr: messages, signal: stop.signal }).finally(() => archive.end());
	command.catch(() => undefined);
	let count = 0;
	try {
		count = await extract(archive, cmd.at(-1)!, root);
	} catch (error) {
		stop.abort();
		// A program that never ran has written no archive.
		const code = await command.catch((failure: unknown) => {
			if (!(failure instanceof HostError)) throw failure;
			return 0;
		});
		throw code === 0 ? error : new Error(`tar in the container ended with exit code ${code}: ${messages.text}`);
	}
	const code = await command;
	if (code !== 0) throw new Error(`tar in the container ended with exit code ${code}: ${messages.text}`);
	if (count === 0) throw new Error(`nothing was copied from ${printable(path)}`);
}

/** What tar says; the container may say anything, so that it is cut and cleaned. */
class Messages extends Writable {
	text = '';

	override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
		this.text = printable(`${this.text}${chunk.toString()}`.trim()).slice(0, 1000);
		done();
	}
}

/**
 * Unpacks files and folders below `top` of an archive to `root`; how many there were. Links and devices are passed over, and each folder on the
 * way is looked at, so that nothing is written outside of `root`. Throws EBADMSG for a name that leads out of it.
 */
export async function extract(archive: AsyncIterable<Uint8Array>, top: string, root: string): Promise<number> {
	const reader = new TarReader(archive);
	const skipped = top.split('/').filter((part) => part !== '.' && part !== '').length;
	let count = 0;
	for (let entry = await reader.next(); entry !== null; entry = await reader.next()) {
		const parts = entry.name.split('/').filter((part) => part !== '.' && part !== '');
		const shown = printable(Buffer.from(entry.name, 'latin1').toString());
		if (parts.includes('..') || entry.name.startsWith('/') || parts.length < skipped)
			throw new HostError(`Copy ${shown}: it leads out of the target`, 'EBADMSG');
		if (entry.type !== 'file' && entry.type !== 'directory') {
			process.stderr.write(`warning: skipping ${shown}: ${entry.type === 'link' ? 'a hard link' : `a ${entry.type}`}\n`);
			continue;
		}
		await writeEntry(reader, entry, root, parts.slice(skipped));
		count++;
	}
	return count;
}

async function writeEntry(reader: TarReader, { type, mode }: TarEntry, root: string, parts: readonly string[]): Promise<void> {
	// Names are bytes.
	let path = Buffer.from(root);
	const step = (): string => `Write ${printable(path.toString())}`;
	const folders = type === 'directory' ? parts : parts.slice(0, -1);
	if (type === 'directory' || parts.length > 0) makeFolder(path, true);
	for (const part of folders) {
		path = Buffer.concat([path, Buffer.from('/'), Buffer.from(part, 'latin1')]);
		if (!makeFolder(path, false)) throw new HostError(`${step()}: there is something else than a folder`, 'ENOTDIR');
	}
	if (type === 'directory') {
		chmodSync(path, (mode & 0o777) | 0o700);
		return;
	}
	if (parts.length > 0) path = Buffer.concat([path, Buffer.from('/'), Buffer.from(parts.at(-1)!, 'latin1')]);
	let fd: number;
	try {
		fd = openSync(path, O_WRONLY | O_CREAT | O_TRUNC | (parts.length > 0 ? O_NOFOLLOW : 0), mode & 0o777);
	} catch (error) {
		throw HostError.from(step(), error);
	}
	try {
		for await (const chunk of reader.data()) for (let at = 0; at < chunk.length; ) at += writeSync(fd, chunk, at);
	} finally {
		closeSync(fd);
	}
}

/** Whether there is a folder now; a symlink to one counts only for the target itself, which the user named. */
function makeFolder(path: Buffer, isTarget: boolean): boolean {
	const stat = isTarget ? statSync(path, { throwIfNoEntry: false }) : lstatSync(path, { throwIfNoEntry: false });
	if (stat !== undefined) return stat.isDirectory();
	mkdirSync(path, { recursive: isTarget });
	return true;
}

async function upload(connection: Connection, source: string, name: string, path: string, container: string | undefined): Promise<void> {
	const stat = statSync(source, { throwIfNoEntry: false });
	if (stat === undefined) throw new HostError(`Copy ${source}`, 'ENOENT');
	const { id } = await findContainer(connection, name, { container, mustRun: true });
	const containerId = id ?? '';
	const isFolder = path.endsWith('/') || (await isFolderThere(connection, containerId, path));
	const [folder, base] = isFolder ? [path, basename(join(process.cwd(), source))] : [posix.dirname(path), posix.basename(path)];
	const cmd = ['tar', '-xmf', '-', '-C', folder];
	const { url } = await connection.call('Exec', { containerId, cmd, stdin: true, stdout: true, stderr: true });
	const archive = pack();
	const messages = new Messages();
	const written = addTree(archive, source, base, stat).then(() => archive.finalize());
	written.catch((error: Error) => archive.destroy(error));
	const code = await runCommand(url, { stdin: Readable.from(archive), stdout: messages, stderr: messages });
	if (code !== 0) throw new Error(`tar in the container ended with exit code ${code}: ${messages.text}`);
	await written;
}

async function isFolderThere({ call }: Connection, containerId: string, path: string): Promise<boolean> {
	const { exitCode } = await call('ExecSync', { containerId, cmd: ['test', '-d', path], timeout: 10 }, 15_000).catch(() => ({
		exitCode: 1,
	}));
	return exitCode === 0;
}

async function addTree(archive: Pack, path: string, name: string, stat: Stats): Promise<void> {
	const header = { name, mode: stat.mode & 0o7777, uid: stat.uid, gid: stat.gid, mtime: stat.mtime };
	if (stat.isDirectory()) {
		await add(archive, { ...header, type: 'directory' });
		for (const child of readdirSync(path).sort())
			await addTree(archive, join(path, child), `${name}/${child}`, lstatSync(join(path, child)));
	} else if (stat.isSymbolicLink()) await add(archive, { ...header, type: 'symlink', linkname: readlinkSync(path) });
	else if (stat.isFile()) {
		const entry = archive.entry({ ...header, type: 'file', size: stat.size });
		// A file that grows meanwhile is copied as long as it was.
		if (stat.size > 0)
			for await (const chunk of createReadStream(path, { end: stat.size - 1 }))
				if (!entry.write(chunk as Buffer)) await once(entry, 'drain');
		const closed = once(entry, 'close');
		entry.end(null);
		await closed;
	} else process.stderr.write(`warning: skipping ${printable(path)}: it is no file, folder or symlink\n`);
}

function add(archive: Pack, header: Parameters<Pack['entry']>[0]): Promise<void> {
	return new Promise((resolve, reject) => {
		archive.entry(header, (error) => (error == null ? resolve() : reject(error)));
	});
}
