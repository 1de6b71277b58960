import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const PACKAGE = resolve(import.meta.dirname, '../../..');
const APPLETS =
	'sh true false cat echo sleep id kill ls head hostname env grep wc ps mkdir test stat printf md5sum dd stty touch nc httpd wget mount rm seq tail yes';

/** A small root file system: busybox with some of its programs. */
export function makeTree(tree: string): void {
	for (const folder of ['bin', 'tmp']) mkdirSync(join(tree, folder), { recursive: true });
	copyFileSync(join(PACKAGE, '.isopod/rootfs/base/bin/busybox'), join(tree, 'bin/busybox'));
	for (const applet of APPLETS.split(' ')) symlinkSync('busybox', join(tree, 'bin', applet));
}

/** Writes an image of a tree to `archive`, a tar file with an OCI layout that names it; `config` is its configuration's `config`. */
export function writeArchive(archive: string, tree: string, name: string, config: object): void {
	const layout = mkdtempSync(join(tmpdir(), 'isopod-image-'));
	const blobs = join(layout, 'blobs/sha256');
	mkdirSync(blobs, { recursive: true });
	const put = (bytes: Buffer, mediaType: string): { readonly mediaType: string; readonly digest: string; readonly size: number } => {
		const digest = createHash('sha256').update(bytes).digest('hex');
		writeFileSync(join(blobs, digest), bytes);
		return { mediaType, digest: `sha256:${digest}`, size: bytes.length };
	};
	const json = (value: object): Buffer => Buffer.from(JSON.stringify(value));
	const layer = spawnSync('tar', ['--create', '--numeric-owner', '--owner=0', '--group=0', '--directory', tree, '.'], {
		maxBuffer: 1 << 30,
	}).stdout;
	const layerEntry = put(layer, 'application/vnd.oci.image.layer.v1.tar');
	const rootfs = { type: 'layers', diff_ids: [layerEntry.digest] };
	const manifest = json({
		schemaVersion: 2,
		mediaType: 'application/vnd.oci.image.manifest.v1+json',
		config: put(json({ architecture: 'amd64', os: 'linux', config, rootfs }), 'application/vnd.oci.image.config.v1+json'),
		layers: [layerEntry],
	});
	const entry = { ...put(manifest, 'application/vnd.oci.image.manifest.v1+json'), annotations: { 'io.containerd.image.name': name } };
	writeFileSync(join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
	writeFileSync(join(layout, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [entry] }));
	spawnSync('tar', ['--create', '--file', archive, '--directory', layout, '.']);
	rmSync(layout, { recursive: true });
}
