// The loader: the only native program a guest process ever executes. It stands in for the program that execve named:
// asks the guest kernel for its plan, maps that program and its interpreter from the lent descriptors, mends what the
// host put on the stack for the loader itself, and jumps. The host's execve has done the rest: a new address space, the
// arguments and the environment on a randomized stack, the vDSO, reset signal handlers.
//
// Freestanding: no libc, no relocations, no initialised data, and no vector or floating-point instruction, so that the
// new program finds that state as execve leaves it. It runs on a stack of its own in .bss, because it rebuilds the real
// one.
#include "../plan.h"

typedef unsigned long u64;

enum { NR_MMAP = 9, NR_MPROTECT = 10, NR_MUNMAP = 11, NR_EXIT_GROUP = 231 };
enum { PROT_NONE = 0, PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4, PROT_GROWSDOWN = 0x01000000 };
enum {
  MAP_PRIVATE = 0x2,
  MAP_FIXED = 0x10,
  MAP_ANONYMOUS = 0x20,
  MAP_NORESERVE = 0x4000,
  MAP_FIXED_NOREPLACE = 0x100000
};
enum { ENOSYS = 38 };
enum {
  AT_NULL = 0,
  AT_PHDR = 3,
  AT_PHENT = 4,
  AT_PHNUM = 5,
  AT_BASE = 7,
  AT_ENTRY = 9,
  AT_UID = 11,
  AT_EUID = 12,
  AT_GID = 13,
  AT_EGID = 14,
  AT_SECURE = 23,
  AT_EXECFN = 31,
};

#define PAGE_SIZE 4096UL
#define PROGRAM_HEADER_SIZE 56

static struct isopod_plan plan;

// Much more than a few frames take; no signal can come before the program has handlers.
__attribute__((used)) static char own_stack[8192] __attribute__((aligned(16)));

struct start {
  u64 stack_pointer;
  u64 entry;
};

// The gate. Kept to fixed bytes: the address after its `syscall` is a constant of the filter (ISOPOD_GATE_IP).
u64 isopod_gate_mmap(u64 address, u64 length, u64 prot, u64 flags, u64 fd, u64 offset);
#ifndef ISOPOD_FUZZ  // A fuzz target has no process to start, and calls of its own.
__asm__(
    ".pushsection .gate, \"ax\", @progbits\n"
    ".globl isopod_gate_mmap, isopod_gate_ip\n"
    ".type isopod_gate_mmap, @function\n"
    "isopod_gate_mmap:\n"
    "  .byte 0x49, 0x89, 0xca\n"              // mov %rcx, %r10
    "  .byte 0xb8, 0x09, 0x00, 0x00, 0x00\n"  // mov $9, %eax
    "  .byte 0x0f, 0x05\n"                    // syscall
    "isopod_gate_ip:\n"
    "  ret\n"
    ".size isopod_gate_mmap, . - isopod_gate_mmap\n"
    ".popsection\n");

// The program starts as execve starts one: every register zero, flags clear. What the loader had in .bss is unmapped,
// which leaves its text alone; the entry waits below the stack pointer, where nothing can overwrite it: no handler is
// installed yet.
__asm__(
    ".pushsection .text, \"ax\", @progbits\n"
    ".globl _start\n"
    "_start:\n"
    "  mov %rsp, %rdi\n"
    "  lea own_stack + 8192(%rip), %rsp\n"
    "  xor %ebp, %ebp\n"
    "  call load\n"
    "  mov %rax, %rsp\n"
    "  push %rdx\n"
    "  mov $11, %eax\n"  // munmap
    "  lea isopod_bss_start(%rip), %rdi\n"
    "  lea isopod_bss_end(%rip), %rsi\n"
    "  sub %rdi, %rsi\n"
    "  syscall\n"
    "  xor %eax, %eax\n"
    "  xor %ebx, %ebx\n"
    "  xor %ecx, %ecx\n"
    "  xor %edx, %edx\n"
    "  xor %esi, %esi\n"
    "  xor %edi, %edi\n"
    "  xor %r8d, %r8d\n"
    "  xor %r9d, %r9d\n"
    "  xor %r10d, %r10d\n"
    "  xor %r11d, %r11d\n"
    "  xor %r12d, %r12d\n"
    "  xor %r13d, %r13d\n"
    "  xor %r14d, %r14d\n"
    "  xor %r15d, %r15d\n"
    "  xor %ebp, %ebp\n"
    "  push %rax\n"
    "  popfq\n"
    "  ret\n"
    ".popsection\n");

static u64 call6(u64 number, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f) {
  register u64 r10 __asm__("r10") = d;
  register u64 r8 __asm__("r8") = e;
  register u64 r9 __asm__("r9") = f;
  u64 result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

#endif  // ISOPOD_FUZZ

static int failed(u64 result) { return result > -4096UL; }

// Past the point of no return Linux ends a program that can't be loaded with a SIGSEGV that nothing can catch or ignore
// (force_fatal_sig in fs/exec.c). A fault of our own does exactly that and asks nobody.
#ifndef ISOPOD_FUZZ
__attribute__((noreturn)) static void die(void) {
  for (;;) __asm__ volatile("hlt");
}
#endif

static void fill_zero(u64 address, u64 length) {
  __asm__ volatile("rep stosb" : "+D"(address), "+c"(length) : "a"(0) : "memory");
}

static void copy(void* to, const void* from, u64 length) {
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(length) : : "memory");
}

static u64 string_length(const char* text) {
  const char* end = text;
  while (*end) end++;
  return (u64)(end - text);
}

// Reserves the span of an object, so that its segments go next to each other and nothing else gets between them.
// Returns its base.
static u64 reserve(const struct isopod_object* object) {
  const u64 flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  if (object->is_fixed) {
    // An ELF program that wants the loader's own pages (or the stack's) can't be loaded; Linux has no such pages, but
    // no linker uses the addresses either.
    u64 at = call6(NR_MMAP, object->span_address, object->span_len, PROT_NONE, flags | MAP_FIXED_NOREPLACE, -1UL, 0);
    if (at != object->span_address) die();
    return object->base_hint;
  }
  u64 alignment = object->base_hint > PAGE_SIZE ? object->base_hint : PAGE_SIZE;
  u64 slack = alignment - PAGE_SIZE;
  u64 at = call6(NR_MMAP, 0, object->span_len + slack, PROT_NONE, flags, -1UL, 0);
  if (failed(at)) die();
  if (slack == 0) return at - object->span_address;
  u64 base = (at - object->span_address + slack) & -alignment;
  u64 before = base + object->span_address - at;
  if (before) call6(NR_MUNMAP, at, before, 0, 0, 0, 0);
  if (slack > before) call6(NR_MUNMAP, at + before + object->span_len, slack - before, 0, 0, 0, 0);
  return base;
}

static void map_segment(const struct isopod_segment* segment, u64 base) {
  u64 address = base + segment->address;
  if (segment->file_len) {
    // The descriptor's number is the object's.
    u64 at = isopod_gate_mmap(address, segment->file_len, segment->prot, MAP_PRIVATE | MAP_FIXED, segment->object,
                              segment->file_offset);
    if (at != address) die();
  }
  if (segment->mem_len > segment->file_len) {
    u64 start = address + segment->file_len;
    u64 at = call6(NR_MMAP, start, segment->mem_len - segment->file_len, segment->prot,
                   MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1UL, 0);
    if (at != start) die();
  }
  if (segment->zero_len && (segment->prot & PROT_WRITE)) fill_zero(base + segment->zero_from, segment->zero_len);
}

// Builds argc, argv, envp and the auxiliary vector anew below `stack_pointer`, with the plan's strings in place of the
// first drop_args arguments. The caller's strings stay where they are. Sets *execfn. Returns the new stack pointer.
static u64* rebuild(u64* stack_pointer, const char** execfn) {
  u64 argument_count = stack_pointer[0];
  u64* arguments = stack_pointer + 1;
  u64* environment = arguments + argument_count + 1;
  u64* end = environment;
  while (*end++) {
  }
  while (end[0] != AT_NULL) end += 2;
  end += 2;

  u64 dropped = plan.drop_args < argument_count ? plan.drop_args : argument_count;
  // From the first kept argument to the end of the auxiliary vector it is one piece.
  const u64* kept = arguments + dropped;
  u64 kept_words = (u64)(end - kept);
  char* strings = (char*)(((u64)stack_pointer - plan.strings_len) & -16UL);
  u64* fresh = (u64*)(((u64)strings - 8 * (1 + plan.string_count + kept_words)) & -16UL);

  copy(strings, plan.strings, plan.strings_len);
  u64* out = fresh;
  *out++ = argument_count - dropped + plan.string_count;
  const char* string = strings;
  const char* strings_end = strings + plan.strings_len;
  for (u64 i = 0; string < strings_end; i++) {
    if (i < plan.string_count) *out++ = (u64)string;
    if (plan.execfn_string == i + 1) *execfn = string;
    string += string_length(string) + 1;
  }
  copy(out, kept, 8 * kept_words);
  return fresh;
}

static void mend_auxiliary_vector(u64* stack_pointer, u64 program_base, u64 interpreter_base, const char* execfn) {
  u64* entry = stack_pointer + 1 + stack_pointer[0] + 1;
  while (*entry++) {
  }
  for (; entry[0] != AT_NULL; entry += 2) {
    switch (entry[0]) {
      case AT_PHDR:
        entry[1] = plan.phdr ? program_base + plan.phdr : 0;
        break;
      case AT_PHENT:
        entry[1] = PROGRAM_HEADER_SIZE;
        break;
      case AT_PHNUM:
        entry[1] = plan.phnum;
        break;
      case AT_BASE:
        entry[1] = interpreter_base;
        break;
      case AT_ENTRY:
        entry[1] = program_base + plan.object[ISOPOD_SEGMENT_PROGRAM].entry;
        break;
      case AT_UID:
        entry[1] = plan.uid;
        break;
      case AT_EUID:
        entry[1] = plan.euid;
        break;
      case AT_GID:
        entry[1] = plan.gid;
        break;
      case AT_EGID:
        entry[1] = plan.egid;
        break;
      case AT_SECURE:
        entry[1] = plan.secure;
        break;
      case AT_EXECFN:
        if (execfn) entry[1] = (u64)execfn;
        break;
    }
  }
}

// The host's execve left AT_EXECFN's string at the very top of the stack, which tells where the stack ends.
static void make_stack_executable(const u64* stack_pointer, u64 top) {
  u64 start = (u64)stack_pointer & -PAGE_SIZE;
  u64 end = (top + PAGE_SIZE) & -PAGE_SIZE;
  // PROT_GROWSDOWN extends the range to the mapping's start and makes the pages it grows by executable, too.
  u64 prot = PROT_READ | PROT_WRITE | PROT_EXEC | PROT_GROWSDOWN;
  if (failed(call6(NR_MPROTECT, start, end - start, prot, 0, 0, 0))) die();
}

static u64 stack_top(const u64* stack_pointer) {
  const u64* entry = stack_pointer + 1 + stack_pointer[0] + 1;
  while (*entry++) {
  }
  for (; entry[0] != AT_NULL; entry += 2) {
    if (entry[0] == AT_EXECFN) return entry[1] + string_length((const char*)entry[1]);
  }
  return (u64)entry;
}

__attribute__((used)) static struct start load(u64* stack_pointer) {
  u64 got = call6(ISOPOD_NR_PLAN, (u64)&plan, sizeof plan, 0, 0, 0, 0);
  if (failed(got)) {
    // Not under a guest kernel, or executed by a guest for its own sake.
    if (got == (u64)-ENOSYS) call6(NR_EXIT_GROUP, 127, 0, 0, 0, 0, 0);
    die();
  }
  // The plan comes from the guest kernel, which trusts nothing of ours; these are against a mismatch of versions.
  u64 head = __builtin_offsetof(struct isopod_plan, strings);
  if (got < head || plan.version != ISOPOD_PLAN_VERSION || plan.segment_count > ISOPOD_MAX_SEGMENTS ||
      plan.strings_len > got - head || plan.object[ISOPOD_SEGMENT_PROGRAM].span_len == 0) {
    die();
  }

  u64 base[2] = {0, 0};
  for (int i = 0; i < 2; i++) {
    if (plan.object[i].span_len) base[i] = reserve(&plan.object[i]);
  }
  for (u64 i = 0; i < plan.segment_count; i++) {
    const struct isopod_segment* segment = &plan.segment[i];
    if (segment->object > ISOPOD_SEGMENT_INTERPRETER) die();
    map_segment(segment, base[segment->object]);
  }

  u64 top = plan.flags & ISOPOD_PLAN_STACK_EXECUTABLE ? stack_top(stack_pointer) : 0;
  const char* execfn = 0;
  if (plan.strings_len || plan.drop_args) stack_pointer = rebuild(stack_pointer, &execfn);
  mend_auxiliary_vector(stack_pointer, base[ISOPOD_SEGMENT_PROGRAM], base[ISOPOD_SEGMENT_INTERPRETER], execfn);
  if (top) make_stack_executable(stack_pointer, top);

  int first = plan.object[ISOPOD_SEGMENT_INTERPRETER].span_len ? ISOPOD_SEGMENT_INTERPRETER : ISOPOD_SEGMENT_PROGRAM;
  return (struct start){(u64)stack_pointer, base[first] + plan.object[first].entry};
}
