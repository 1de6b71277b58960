// The loader's linker script, preprocessed: two page-aligned segments (text, .bss), none of them writable and executable.
#include "../plan.h"

OUTPUT_FORMAT("elf64-x86-64")
OUTPUT_ARCH(i386:x86-64)
ENTRY(_start)

PHDRS {
  text PT_LOAD FLAGS(5);
  data PT_LOAD FLAGS(6);
  stack PT_GNU_STACK FLAGS(6);
}

SECTIONS {
  . = ISOPOD_GATE_SECTION;
  .text : { KEEP(*(.gate)) *(.text .text.*) *(.rodata .rodata.*) } :text
  . = ALIGN(0x1000);
  isopod_bss_start = .;
  .bss : { *(.bss .bss.*) . = ALIGN(0x1000); } :data
  isopod_bss_end = .;
  .forbidden : { *(.data .data.* .got .got.* .rela.*) } :data
  /DISCARD/ : { *(.comment) *(.note*) *(.eh_frame*) }
}

ASSERT(isopod_gate_mmap == ISOPOD_GATE_SECTION, "the gate is not at ISOPOD_GATE_SECTION")
ASSERT(isopod_gate_ip == ISOPOD_GATE_IP, "the gate's syscall does not end at ISOPOD_GATE_IP")
// Initialised data would need relocations or a third segment; the loader has none.
ASSERT(SIZEOF(.forbidden) == 0, "the loader must not have initialised data")
ASSERT(ISOPOD_GATE_SECTION == ISOPOD_LOADER_BASE + 0x10000, "the loader's text is not in its place")
