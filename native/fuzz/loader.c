// A fuzz target for the loader: any plan that the guest kernel could send, for any stack that the host's execve could
// leave. The loader's own code runs, its calls end in a model of an address space: what it reserves, maps and gives
// back stays inside of what it was given, and the new program's arguments, environment and auxiliary vector are the old
// ones but for what the plan changes.
#define ISOPOD_FUZZ
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long u64;
static u64 call6(u64 number, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f);
static void die(void) __attribute__((noreturn));

#include "../loader/loader.c"

// Where the model's address space puts what has no place of its own.
static const u64 kFirstAddress = 0x7f0000000000;
static jmp_buf end_of_process;
static struct isopod_plan sent;
static u64 sent_bytes;
static struct { u64 start, end; } reserved[2];
static int reservations;

static void check(int holds) {
  if (!holds) abort();
}

static void die(void) { longjmp(end_of_process, 1); }

static int is_reserved(u64 start, u64 length) {
  for (int i = 0; i < reservations; i++) {
    if (start >= reserved[i].start && start <= reserved[i].end && length <= reserved[i].end - start) return 1;
  }
  return 0;
}

static u64 call6(u64 number, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f) {
  (void)e, (void)f;
  switch (number) {
    case ISOPOD_NR_PLAN:
      check(a == (u64)&plan && b == sizeof plan);
      memcpy(&plan, &sent, sent_bytes);
      return sent_bytes;
    case NR_MMAP:
      if (c == PROT_NONE) {
        const u64 at = d & MAP_FIXED_NOREPLACE ? a : kFirstAddress + (u64)reservations * 0x10000000000;
        if (b == 0 || at % PAGE_SIZE != 0 || b > 0x8000000000) return -22UL;
        check(reservations < 2);
        reserved[reservations].start = at;
        reserved[reservations++].end = at + b;
        return at;
      }
      check(d == (MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS) && is_reserved(a, b));
      return a;
    case NR_MUNMAP: {
      check(is_reserved(a, b) && b > 0);
      // Off one end of the last reservation, never from its middle.
      const int last = reservations - 1;
      check(a == reserved[last].start || a + b == reserved[last].end);
      if (a == reserved[last].start)
        reserved[last].start += b;
      else
        reserved[last].end = a;
      return 0;
    }
    case NR_MPROTECT:
      return 0;
    default:
      abort();
  }
}

u64 isopod_gate_mmap(u64 address, u64 length, u64 prot, u64 flags, u64 fd, u64 offset) {
  (void)prot, (void)offset;
  check(fd <= 1 && flags == (MAP_PRIVATE | MAP_FIXED) && is_reserved(address, length));
  return address;
}

static const uint8_t* input;
static size_t input_left;

static u64 number(u64 below) {
  uint32_t value = 0;
  for (int i = 0; i < 4 && input_left > 0; i++, input_left--) value = value << 8 | *input++;
  return value % below;
}

// A plan as runtime/kernel/abi/exec-plan.ts makes one: segments lie within their object's span; strings end with a NUL.
static void make_plan(void) {
  memset(&sent, 0, sizeof sent);
  sent.version = number(16) == 0 ? number(4) : ISOPOD_PLAN_VERSION;
  const int objects = 1 + (int)number(2);
  for (int i = 0; i < objects; i++) {
    struct isopod_object* object = &sent.object[i];
    object->span_len = (1 + number(4096)) * PAGE_SIZE;
    object->is_fixed = number(2);
    object->span_address = object->is_fixed ? 0x400000 + (u64)i * 0x100000000 : number(16) * PAGE_SIZE;
    object->base_hint = object->is_fixed ? 0 : PAGE_SIZE << number(22);
    object->entry = number(1 << 20);
  }
  sent.segment_count = number(ISOPOD_MAX_SEGMENTS + 1);
  for (u64 i = 0; i < sent.segment_count; i++) {
    struct isopod_segment* segment = &sent.segment[i];
    segment->object = number((u64)objects);
    const struct isopod_object* object = &sent.object[segment->object];
    const u64 pages = object->span_len / PAGE_SIZE;
    const u64 first = number(pages);
    segment->address = object->span_address + first * PAGE_SIZE;
    segment->mem_len = (1 + number(pages - first)) * PAGE_SIZE;
    segment->file_len = number(segment->mem_len / PAGE_SIZE + 1) * PAGE_SIZE;
    // There is no memory behind the model, so nothing is cleared.
    segment->prot = PROT_READ;
  }
  sent.flags = number(2);
  sent.drop_args = number(6);
  const u64 strings = number(8);
  for (u64 i = 0; i < strings; i++) {
    const u64 length = number(300);
    for (u64 j = 0; j < length; j++) sent.strings[sent.strings_len++] = (char)('a' + j % 26);
    sent.strings[sent.strings_len++] = '\0';
  }
  sent.string_count = strings == 0 ? 0 : strings - number(2);
  sent.execfn_string = number(strings + 1);
  sent_bytes = __builtin_offsetof(struct isopod_plan, strings) + sent.strings_len;
}

enum { kStackWords = 8192, kMostArguments = 20 };

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static char text[] = "an argument";
  input = data;
  input_left = size;
  reservations = 0;
  make_plan();
  // As the host leaves it: argc, argv, envp, auxiliary vector, the name. Below it is room for the new one, and nothing
  // more.
  u64* const stack = malloc(kStackWords * sizeof(u64));
  const u64 arguments = number(kMostArguments), variables = number(kMostArguments), entries = number(24);
  const u64 words = 1 + arguments + 1 + variables + 1 + entries * 2 + 2 + 2;
  u64* const before = stack + kStackWords - words;
  u64* out = before;
  *out++ = arguments;
  for (u64 i = 0; i < arguments; i++) *out++ = (u64)text + i % 4;
  *out++ = 0;
  for (u64 i = 0; i < variables; i++) *out++ = (u64)text + i % 8;
  *out++ = 0;
  for (u64 i = 0; i < entries; i++) {
    const u64 type = 1 + number(34);
    *out++ = type;
    *out++ = type == AT_EXECFN ? (u64)text : number(1000);
  }
  *out++ = AT_NULL;
  *out++ = 0;
  memset(out, 0, 2 * sizeof(u64));

  if (setjmp(end_of_process) == 0) {
    const struct start start = load(before);
    const u64* after = (const u64*)start.stack_pointer;
    check((u64)after % 8 == 0 && after >= stack && after <= before);
    const u64 dropped = sent.drop_args < arguments ? sent.drop_args : arguments;
    const int is_same = sent.strings_len == 0 && sent.drop_args == 0;
    check(*after == arguments - (is_same ? 0 : dropped) + (is_same ? 0 : sent.string_count));
    const char* string = sent.strings;
    for (u64 i = 0; !is_same && i < sent.string_count; i++, string += strlen(string) + 1)
      check(strcmp((const char*)after[1 + i], string) == 0);
    const u64* kept = after + 1 + (is_same ? 0 : sent.string_count);
    const u64* old = before + 1 + (is_same ? 0 : dropped);
    for (u64 left = arguments - (is_same ? 0 : dropped) + 1 + variables + 1; left > 0; left--) check(*kept++ == *old++);
    for (u64 i = 0; i < entries; i++, kept += 2, old += 2) {
      check(kept[0] == old[0]);
      if (kept[0] == AT_UID) check(kept[1] == sent.uid);
    }
    check(kept[0] == AT_NULL);
  }
  free(stack);
  return 0;
}
