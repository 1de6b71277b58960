import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { parseManifest } from './manifest.js';
import { removePodFolder, Volumes } from './volumes.js';

const ADDRESSES = { podIps: ['10.0.0.2'], hostIp: '192.0.2.1' };

/** Volumes in a folder that is reached by a symlink, and a folder of the host's. */
function makeVolumes(t: Test, volumes: string): { readonly volumes: Volumes; readonly folder: string; readonly host: string } {
	const base = mkdtempSync(join(tmpdir(), 'isopod-volumes-'));
	const host = join(base, 'host');
	mkdirSync(host);
	writeFileSync(join(host, 'precious'), 'data');
	mkdirSync(join(base, 'true'));
	symlinkSync('true', join(base, 'data'));
	const folder = join(base, 'data/uid');
	const yaml = `apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  securityContext: {fsGroup: 77}\n  containers: [{name: c, image: x}]\n  volumes: [${volumes.replaceAll('HOST', host)}]\n`;
	t.teardown(() => {
		removePodFolder(folder);
		rmSync(base, { recursive: true });
	});
	const made = new Volumes(folder, parseManifest(yaml, 'f'));
	made.make(ADDRESSES);
	return { volumes: made, folder, host };
}

test('a subpath stays what it was, and leads nowhere else', async (t) => {
	const { volumes, folder } = makeVolumes(t, '{name: v, emptyDir: {}}');
	const volume = volumes.pathOf('v', undefined);
	const place = volumes.pathOf('v', 'a/b');
	t.equal(volumes.pathOf('v', 'a/b'), place, 'one mount for all');
	writeFileSync(join(place, 'x'), '1');
	t.equal(readFileSync(join(volume, 'a/b/x'), 'utf8'), '1');
	t.equal(statSync(place).mode & 0o777, 0o777);
	renameSync(join(volume, 'a'), join(volume, 'moved'));
	symlinkSync('/etc', join(volume, 'a'));
	t.ok(existsSync(join(place, 'x')), 'whatever a container puts there');
	symlinkSync('/etc/passwd', join(volume, 'file'));
	for (const path of ['a', 'a/ssl', 'file', 'a/new', 'moved/b/../../a', '..', '/etc']) t.throws(() => volumes.pathOf('v', path), path);
	t.notOk(existsSync('/etc/new'));
	removePodFolder(folder);
	t.notOk(existsSync(folder));
});

test("the end of a pod takes nothing of the host's with it", async (t) => {
	const { volumes, folder, host } = makeVolumes(
		t,
		'{name: h, hostPath: {path: HOST}}, {name: m, emptyDir: {medium: Memory, sizeLimit: 64Ki}}',
	);
	const place = volumes.pathOf('h', 'sub');
	writeFileSync(join(place, 'kept'), 'data');
	t.equal(readFileSync(join(volumes.pathOf('h', 'precious')), 'utf8'), 'data', 'a file can be a subpath');
	const memory = volumes.pathOf('m', undefined);
	t.throws(() => writeFileSync(join(memory, 'large'), Buffer.alloc(1 << 20)), { code: 'ENOSPC' });
	t.equal(statSync(memory).gid, 77);
	t.equal(statSync(memory).mode & 0o7777, 0o2777);
	t.not(statSync(host).gid, 77, "fsGroup does not change what is the host's");
	removePodFolder(folder);
	t.notOk(existsSync(folder));
	t.equal(readFileSync(join(host, 'precious'), 'utf8'), 'data');
	t.equal(readFileSync(join(host, 'sub/kept'), 'utf8'), 'data');
	t.notMatch(readFileSync('/proc/mounts', 'utf8'), host);
	removePodFolder(folder);
});

test('types of hostPath', async (t) => {
	const make = (type: string, path: string) => (): void => {
		makeVolumes(t, `{name: h, hostPath: {path: "${path}", type: ${type}}}`);
	};
	t.throws(make('Directory', 'HOST/none'), /it is no Directory/);
	t.throws(make('File', 'HOST'), /it is no File/);
	t.throws(make('Socket', 'HOST/precious'), /it is no Socket/);
	t.doesNotThrow(make('DirectoryOrCreate', 'HOST/made/deep'));
	t.doesNotThrow(make('FileOrCreate', 'HOST/file'));
	t.doesNotThrow(make('CharDevice', '/dev/null'));
});
