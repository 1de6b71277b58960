import { readFileSync } from 'node:fs';
import type { GuestImage } from './image.js';

/** The one file that knows QEMU's command line and devices. */

export const QEMU = '/usr/bin/qemu-system-x86_64';

export type Accelerator = 'kvm' | 'tcg';

/** Descriptors of QEMU, by the numbers that it finds them at. A machine's taps are at `taps` and above. */
export const QEMU_FDS = { qmp: 3, agent: 4, share: 5, memory: 6, state: 7, taps: 8 } as const;

/** Places for virtio devices, of the 24 that the machine has: a clone's devices have to be where its template's kernel looks for them. */
const SLOTS = { agent: 23, share: 22, balloon: 17, firstTap: 18 } as const;
/** Translated code that an emulated machine keeps: without a bound that grows to an eighth of the host's memory. */
const TRANSLATED_MIB = 64;
/** The port of a template's and a clone's PCI Express bus. */
const SHARE_PORT = 'share-port';
/** The places that a template's kernel is told of beside those that have a device while it boots. */
export const EMPTY_SLOTS = [SLOTS.firstTap + 3, SLOTS.firstTap + 2, SLOTS.firstTap + 1, SLOTS.firstTap] as const;

/** Where the machine has a place for a virtio device (hw/i386/microvm.c, with the second interrupt controller that ACPI brings). */
export function slotResources(slot: number): { readonly address: number; readonly bytes: number; readonly interrupt: number } {
	return { address: 0xfeb00000 + slot * 0x200, bytes: 0x200, interrupt: 24 + slot };
}

export interface MachineOptions {
	readonly accelerator: Accelerator;
	readonly memoryMib: number;
	readonly cpus: number;
	readonly hasShare: boolean;
	/** Hardware addresses of the network devices. */
	readonly macs: readonly string[];
	/** Where the guest's console goes, inside QEMU's root; null: nowhere. */
	readonly console: string | null;
	/** How it comes up: by its own boot; by one after which it is saved; or from such a machine's state. The latter two have their memory in a descriptor. */
	readonly start: 'boot' | 'template' | 'clone';
}

/** What QEMU needs to find in its root, SOURCE:TARGET each. */
export function qemuFiles(image: GuestImage): string[] {
	const libraries = '/usr/lib/x86_64-linux-gnu';
	return [
		`${QEMU}:${QEMU}`,
		`${libraries}:${libraries}`,
		`${libraries}:/lib/x86_64-linux-gnu`,
		'/lib64:/lib64',
		'/usr/share/qemu:/usr/share/qemu',
		'/usr/share/seabios:/usr/share/seabios',
		`${image.kernel}:/vmlinux`,
		`${image.initramfs}:/initramfs`,
		`${image.templateInitramfs}:/initramfs.template`,
	];
}

/** QEMU's program and arguments, as they are inside its root. */
export function qemuCommand(options: MachineOptions): string[] {
	const { accelerator, memoryMib, cpus, hasShare, macs, start } = options;
	const isTcg = accelerator === 'tcg';
	return [
		QEMU,
		...[
			'-M',
			`microvm,memory-backend=mem,pit=${isTcg ? 'off' : 'on'},pic=${isTcg ? 'off' : 'on'},isa-serial=${options.console === null ? 'off' : 'on'},pcie=${start === 'boot' ? 'off' : 'on'}`,
		],
		...['-accel', isTcg ? `tcg,tb-size=${TRANSLATED_MIB}` : accelerator],
		...['-cpu', isTcg ? 'max' : 'host'],
		...['-m', `${memoryMib}`, '-smp', `${cpus}`],
		...[
			'-object',
			start === 'boot'
				? `memory-backend-memfd,id=mem,size=${memoryMib}M,share=on`
				: `memory-backend-file,id=mem,size=${memoryMib}M,share=on,mem-path=/proc/self/fd/${QEMU_FDS.memory}`,
		],
		...(start === 'clone' ? ['-incoming', 'defer'] : []),
		...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
		...['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'],
		...['-global', 'virtio-mmio.force-legacy=false'],
		...['-kernel', '/vmlinux', '-initrd', start === 'boot' ? '/initramfs' : '/initramfs.template', '-append', kernelCommandLine(options)],
		...(options.console === null ? [] : ['-serial', `file:${options.console}`]),
		...['-chardev', `socket,id=qmp,fd=${QEMU_FDS.qmp}`, '-mon', 'chardev=qmp,mode=control'],
		...['-device', `virtio-serial-device,max_ports=2,${place(SLOTS.agent)}`, '-chardev', `socket,id=agent,fd=${QEMU_FDS.agent}`],
		...['-device', 'virtserialport,chardev=agent,name=isopod.agent'],
		// Memory that the guest has no use for any more goes back to the host.
		...['-device', `virtio-balloon-device,free-page-reporting=on,${place(SLOTS.balloon)}`],
		...(hasShare ? ['-chardev', `socket,id=share,fd=${QEMU_FDS.share}`] : []),
		...(start === 'boot'
			? ['-device', `vhost-user-fs-device,chardev=share,tag=share,queue-size=1024,${place(SLOTS.share)}`]
			: // Without a power controller the guest finds a device by looking.
				['-device', `pcie-root-port,id=${SHARE_PORT},chassis=1,power_controller_present=off`]),
		...macs.flatMap((mac, i) => [
			...['-netdev', `tap,id=net${i},fd=${QEMU_FDS.taps + i}`],
			...['-device', `virtio-net-device,netdev=net${i},mac=${mac},${place(SLOTS.firstTap + i)}`],
		]),
	];
}

function place(slot: number): string {
	return `bus=virtio-mmio-bus.${slot}`;
}

/** The share's device of a clone, to be plugged in when the machine runs: QEMU neither saves nor restores a machine that has one. */
export const CLONE_SHARE = {
	driver: 'vhost-user-fs-pci',
	id: 'share-device',
	chardev: 'share',
	tag: 'share',
	'queue-size': 1024,
	bus: SHARE_PORT,
} as const;

/** Of migration: memory is saved and restored by whoever has its descriptor. */
export const IGNORE_SHARED = { capabilities: [{ capability: 'x-ignore-shared', state: true }] } as const;

/** A guest under KVM that only says on its serial port, which is QEMU's standard output, that its kernel runs. */
export function probeCommand(image: GuestImage): string[] {
	return [
		QEMU,
		...['-M', 'microvm,accel=kvm', '-cpu', 'host', '-m', '128', '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
		...['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'],
		...['-kernel', image.kernel, '-append', 'console=ttyS0 earlyprintk=ttyS0 reboot=t panic=-1', '-serial', 'stdio'],
	];
}

function kernelCommandLine({ accelerator, console, start }: MachineOptions): string {
	return [
		console === null ? 'quiet' : 'console=ttyS0',
		// The machine's end: a triple fault, which -no-reboot makes QEMU's end.
		'reboot=t panic=-1',
		// A hardware-reduced machine has nothing to calibrate the counter with; KVM tells its frequency.
		...(accelerator === 'tcg' ? [`tsc_early_khz=${hostTscKhz()}`, 'no_timer_check'] : []),
		// What only takes time at boot: tests of ciphers, a second serial port, the bus that isn't there.
		'cryptomgr.notests 8250.nr_uarts=1 audit=0 random.trust_cpu=on',
		...(start === 'boot' ? ['pci=off'] : []),
		// Containers are kept apart by namespaces and capabilities, and the machine is the wall.
		'lsm=none init_on_alloc=0',
	].join(' ');
}

/** The frequency of the host's time stamp counter, in kHz. */
function hostTscKhz(): number {
	const mhz = Number(/^cpu MHz\s*: ([\d.]+)/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? '2000');
	return Math.round(mhz * 1000);
}
