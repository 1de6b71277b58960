// The process that unpacks one layer (unpack-process.ts starts it).

import { createReadStream, writeFileSync } from 'node:fs';
import { HostError } from '../../runtime/host-error.js';
import { decompress, LayerMeter } from './layer-stream.js';
import { unpackLayer } from './unpack.js';
import type { UnpackAnswer, UnpackOrder } from './unpack-process.js';

const STDIN = 0;
/** The server's own is low; of all on the host this is the process to kill when memory runs out. */
const OOM_SCORE_ADJUSTMENT = '500';

async function unpack({ folder, lower, maxBytes, maxEntries }: UnpackOrder): Promise<UnpackAnswer> {
	try {
		writeFileSync('/proc/self/oom_score_adj', OOM_SCORE_ADJUSTMENT);
		const meter = new LayerMeter(maxBytes);
		const blob = createReadStream('', { fd: STDIN, highWaterMark: 1 << 18 });
		const unpacked = await unpackLayer(meter.through(decompress(blob)), folder, lower, { maxEntries });
		return { ...unpacked, diffId: meter.digest() };
	} catch (error) {
		const { step, code } = HostError.from('Unpack the layer', error);
		return { step, code };
	}
}

const [, , order] = process.argv;
// Started without one by the build, to compile it.
if (order !== undefined) unpack(JSON.parse(order) as UnpackOrder).then((answer) => process.stdout.write(JSON.stringify(answer)));
