import { closeSync, openSync } from 'node:fs';
import t from 'tap';
import { native } from '../native.js';
import { encodeFrame, FrameReader, receiveFrames, sendFrame } from './frames.js';

t.test('frames survive any cut of the stream', async (t) => {
	const bodies = [Buffer.from('one'), Buffer.alloc(0), Buffer.alloc(100_000, 7)];
	const stream = Buffer.concat(bodies.map(encodeFrame));
	for (const step of [1, 3, 4, 5, 4096, stream.length]) {
		const reader = new FrameReader();
		const got = [];
		for (let at = 0; at < Math.min(stream.length, step * 30_000); at += step) got.push(...reader.push(stream.subarray(at, at + step)));
		const wanted = stream.length <= step * 30_000 ? bodies : bodies.slice(0, 2);
		t.strictSame(
			got.map(({ body }) => Buffer.from(body)),
			wanted,
			`${step} bytes at a time`,
		);
	}
});

t.test('a frame that is announced too long is refused', async (t) => {
	const header = Buffer.alloc(4);
	header.writeUInt32LE(0xffff_ffff);
	t.throws(() => new FrameReader().push(header), /4294967295 bytes announced/);
});

t.test('descriptors travel with their frame, and the end of the stream is told', async (t) => {
	const pair = new Int32Array(2);
	t.equal(native.socketPair(pair), 0);
	const [near, far] = [pair[0]!, pair[1]!];
	t.teardown(() => native.close(far));
	native.setNonBlocking(far, true);
	const fd = openSync('/dev/zero', 'r');
	t.equal(sendFrame(near, Buffer.from('with'), [fd]), 0);
	t.equal(sendFrame(near, Buffer.from('without')), 0);
	closeSync(fd);
	const reader = new FrameReader();
	const frames = receiveFrames(far, reader) ?? [];
	t.strictSame(
		frames.map(({ body, fds }) => [Buffer.from(body).toString(), fds.length]),
		[
			['with', 1],
			['without', 0],
		],
	);
	const bytes = Buffer.alloc(4, 1);
	t.equal(native.pread(frames[0]!.fds[0]!, bytes, 0, 4, -1), 4);
	t.strictSame([...bytes], [0, 0, 0, 0]);
	native.close(frames[0]!.fds[0]!);
	native.close(near);
	t.equal(receiveFrames(far, reader), null);
});
