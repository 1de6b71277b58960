// What the loader and the guest kernel say to each other at exec. The TypeScript side is
// runtime/kernel/abi/exec-plan.ts; both files state every offset. All values are little-endian 64-bit words.
#ifndef ISOPOD_PLAN_H
#define ISOPOD_PLAN_H

// The private system-call numbers; the filter traps them like any other, the guest kernel answers ENOSYS to everyone
// who has no exec pending.
//   plan(buffer, size): the kernel has ended the exec's point of no return, lent the program as native descriptor 0 and
//   its interpreter (if any) as 1, and stored a `struct isopod_plan` at `buffer`. Returns bytes stored.
//   ring_attach: reserved for the ring lane; nothing makes it yet.
#define ISOPOD_NR_PLAN 0x1505
#define ISOPOD_NR_RING_ATTACH 0x1506

// Where the loader is linked. The host starts a program's heap (brk) behind the loader, up to 1 GiB further on, and
// only CAP_SYS_RESOURCE may move it, so this address decides how far every guest's heap can grow. It lies between the
// two areas in which Linux places things by itself, even with vm.mmap_rnd_bits at its maximum of 32 (16 TiB):
//   0x555555554000 … 0x655555554000  position-independent programs
//   0x6ffb........ … 0x7fffffffffff  mappings (downward) and the stack, for stack limits of up to some GiB
// which leaves the heap 7.9 TiB (15 TiB more with the default of 28 bits) and the mappings the same from their side.
// With an unlimited stack mappings grow upward from below 0x3aaaaaaaa000 instead, and are further away still.
// For sanitizers it is no memory of the program's: /proc/PID/maps must not show the loader, or ThreadSanitizer gives
// up.
#define ISOPOD_LOADER_BASE 0x680000000000

// The loader's text begins with the one `syscall` instruction from which the filter lets a file mapping through
// natively: `mmap(addr, len, prot, MAP_PRIVATE | MAP_FIXED, fd, off)`. The filter compares the instruction pointer
// after it. The build fails when the code is elsewhere (loader/loader.ld.S).
#define ISOPOD_GATE_SECTION 0x680000010000
#define ISOPOD_GATE_IP 0x68000001000a

// Reserved for the ring lane: nothing else of ours may ever be mapped there. The table page is the lowest that every
// host lets an unprivileged process map (vm.mmap_min_addr), the area is out of the heap's way just below the loader,
// and the island of stubs is put within 2 GiB of the text it serves when that is mapped, where no fixed address would
// do.
#define ISOPOD_RING_TABLE 0x10000
#define ISOPOD_RING_TABLE_LEN 0x1000
#define ISOPOD_RING_AREA 0x67ff00000000
#define ISOPOD_RING_AREA_LEN 0x10000000

#define ISOPOD_PLAN_VERSION 1
#define ISOPOD_MAX_SEGMENTS 32
// A script's path (4096), and five levels of interpreter and argument (256 a line).
#define ISOPOD_MAX_STRINGS 8192

#define ISOPOD_PLAN_STACK_EXECUTABLE 1

#ifndef __ASSEMBLER__

enum { ISOPOD_SEGMENT_PROGRAM = 0, ISOPOD_SEGMENT_INTERPRETER = 1 };

// One PT_LOAD, page-aligned by the kernel. file_len bytes (multiple of the page size, zero if none) come from
// the descriptor at file_offset, then anonymous memory up to mem_len. zero_from/zero_len: the bytes to clear in the
// last file page (the *whole* rest of that page), zero_len 0 if none. Addresses are relative to the object's base.
struct isopod_segment {
  unsigned long address;
  unsigned long file_len;
  unsigned long file_offset;
  unsigned long mem_len;
  unsigned long prot;
  unsigned long zero_from;
  unsigned long zero_len;
  unsigned long object;  // ISOPOD_SEGMENT_*
};

struct isopod_object {
  unsigned long span_address;  // lowest page address, absolute for a fixed object, 0-based otherwise
  unsigned long span_len;      // 0: there is no such object
  unsigned long is_fixed;      // 1: map at span_address exactly (ET_EXEC, or a PIE whose place the kernel chose)
  unsigned long entry;         // relative to the base
  // Fixed: the base that addresses are relative to (0 for ET_EXEC, the bias for ET_DYN).
  // Not fixed: the alignment the host's choice must have, a power of two; up to a page (or 0) none.
  unsigned long base_hint;
};

struct isopod_plan {
  unsigned long version;  // ISOPOD_PLAN_VERSION
  struct isopod_object object[2];
  unsigned long segment_count;
  struct isopod_segment segment[ISOPOD_MAX_SEGMENTS];
  // Auxiliary vector.
  unsigned long phdr;  // relative to the program's base; 0: no segment holds the program headers, AT_PHDR is 0
  unsigned long phnum;
  unsigned long uid, euid, gid, egid, secure;
  // Bit 0, ISOPOD_PLAN_STACK_EXECUTABLE: PT_GNU_STACK has PF_X. (Without a PT_GNU_STACK a 64-bit program's stack is not
  // executable.) The other bits are 0; the ring lane's are to come from them.
  unsigned long flags;
  // argv: the first drop_args of the caller's arguments are replaced by string_count NUL-terminated strings that lie
  // one after another in strings[0..strings_len). (`#!`: drop 1, put interpreter, its argument, the script's path. Else
  // 0 and 0.)
  unsigned long drop_args;
  unsigned long string_count;
  unsigned long strings_len;
  // AT_EXECFN: 0 keeps the caller's string; else 1 + the index of the string above that it is. The index may be
  // string_count: then one more string follows the arguments'.
  unsigned long execfn_string;
  char strings[ISOPOD_MAX_STRINGS];
};

#define ISOPOD_OFFSET(field, bytes) _Static_assert(__builtin_offsetof(struct isopod_plan, field) == (bytes), #field)
#ifndef __cplusplus
ISOPOD_OFFSET(object, 8);
ISOPOD_OFFSET(segment_count, 88);
ISOPOD_OFFSET(segment, 96);
ISOPOD_OFFSET(phdr, 2144);
ISOPOD_OFFSET(flags, 2200);
ISOPOD_OFFSET(drop_args, 2208);
ISOPOD_OFFSET(execfn_string, 2232);
ISOPOD_OFFSET(strings, 2240);
#endif
#undef ISOPOD_OFFSET

#endif  // __ASSEMBLER__
#endif
