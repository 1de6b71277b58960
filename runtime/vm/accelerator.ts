import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type GuestImage, imageFolder } from './image.js';
import { type Accelerator, probeCommand } from './qemu.js';

const PROBE_LIMIT_MS = 1500;

/**
 * Which accelerator runs guests on this host. A device that opens proves nothing (there are hosts whose /dev/kvm runs no ordinary guest), so a small guest is
 * run for a moment; the answer is kept until the host's next start.
 */
export function findAccelerator(image: GuestImage): Accelerator {
	const file = join(imageFolder(), 'accelerator.json');
	const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
	try {
		const known = JSON.parse(readFileSync(file, 'utf8')) as { bootId?: string; image?: string; accelerator?: Accelerator };
		if (known.bootId === bootId && known.image === image.hash && known.accelerator !== undefined) return known.accelerator;
	} catch {
		// Nobody has asked yet.
	}
	const accelerator = runsUnderKvm(image) ? 'kvm' : 'tcg';
	mkdirSync(imageFolder(), { recursive: true });
	const folder = mkdtempSync(join(imageFolder(), 'partial-'));
	writeFileSync(join(folder, 'file'), JSON.stringify({ bootId, image: image.hash, accelerator }));
	renameSync(join(folder, 'file'), file);
	rmSync(folder, { recursive: true });
	return accelerator;
}

/** Whether a guest under KVM says anything in time: its kernel's first words on a serial port. */
function runsUnderKvm(image: GuestImage): boolean {
	const [program = '', ...args] = probeCommand(image);
	const { stdout, error } = spawnSync(program, args, {
		timeout: PROBE_LIMIT_MS,
		killSignal: 'SIGKILL',
		stdio: ['ignore', 'pipe', 'ignore'],
		encoding: 'latin1',
	});
	return (error === undefined || (error as NodeJS.ErrnoException).code === 'ETIMEDOUT') && stdout.includes('Linux version');
}
