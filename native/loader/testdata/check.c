// What a program can see of how it was loaded. Prints the same on the host and under the loader, built in any of the
// ways programs are built; the test compares.
//
//   check args [ARGUMENT...]   arguments, environment and auxiliary vector
//   check heap                 brk: room, and 1 GiB of it
//   check memory               initialised, zero and aligned data
//   check stack                runs code on the stack
//   check thread PROGRAM...    executes from a second thread
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

extern char** environ;
extern char _start[];

static const unsigned long kMiB = 1UL << 20;

static char initialised[100] = "initialised";
static char zero[512UL << 20];
static _Alignas(ALIGNMENT) char aligned[16] = "aligned";
static __thread char per_thread[16] = "per thread";

static int print_object(struct dl_phdr_info* info, size_t size, void* is_found) {
  (void)size;
  if (*(bool*)is_found) return 0;
  *(bool*)is_found = true;
  const ElfW(Phdr)* headers = (const ElfW(Phdr)*)getauxval(AT_PHDR);
  printf("phdr: same %d, count %d, first type ok %d\n", info->dlpi_phdr == headers,
         info->dlpi_phnum == getauxval(AT_PHNUM), headers[0].p_type <= PT_PHDR || headers[0].p_type >= PT_LOOS);
  return 0;
}

static int check_args(int argc, char** argv) {
  printf("argc %d\n", argc);
  for (int i = 0; i <= argc; i++) printf("argv[%d] %s\n", i, argv[i] == NULL ? "(null)" : argv[i]);
  for (char** variable = environ; *variable != NULL; variable++) printf("env %s\n", *variable);
  bool is_found = false;
  dl_iterate_phdr(print_object, &is_found);
  printf("entry %d, phent %lu, pagesz %lu, secure %lu, flags %lu\n", getauxval(AT_ENTRY) == (unsigned long)_start,
         getauxval(AT_PHENT), getauxval(AT_PAGESZ), getauxval(AT_SECURE), getauxval(AT_FLAGS));
  printf("ids %lu %lu %lu %lu\n", getauxval(AT_UID), getauxval(AT_EUID), getauxval(AT_GID), getauxval(AT_EGID));
  unsigned long base = getauxval(AT_BASE);
  printf("base: has one %d, ELF there %d\n", base != 0, base == 0 || memcmp((void*)base, ELFMAG, SELFMAG) == 0);
  printf("execfn %s\n", (const char*)getauxval(AT_EXECFN));
  const unsigned char* random = (const unsigned char*)getauxval(AT_RANDOM);
  int sum = 0;
  for (int i = 0; i < 16; i++) sum |= random[i];
  struct timespec now;
  printf("random %d, platform %s, vdso %d, clock %d\n", sum != 0, (const char*)getauxval(AT_PLATFORM),
         getauxval(AT_SYSINFO_EHDR) != 0, clock_gettime(CLOCK_MONOTONIC, &now));
  printf("order: argv below strings %d, auxv aligned %d\n", (void*)argv < (void*)argv[0],
         (uintptr_t)&argv[-1] % 16 == 0);
  return 0;
}

static int check_heap(void) {
  FILE* maps = fopen("/proc/self/maps", "re");
  char line[4096];
  if (fgets(line, sizeof line, maps) == NULL) return 1;
  // Behind what stdio has allocated by now; and the nearest mapping above.
  uintptr_t start = (uintptr_t)syscall(SYS_brk, 0);
  uintptr_t next = 0;
  while (next == 0 && fgets(line, sizeof line, maps) != NULL) {
    uintptr_t from = strtoul(line, NULL, 16);
    if (from >= start) next = from;
  }
  fclose(maps);
  printf("room for 64 GiB %d\n", (next - start) >> 30 >= 64);
  uintptr_t top = (uintptr_t)syscall(SYS_brk, 0);
  bool is_grown = (uintptr_t)syscall(SYS_brk, top + 1024 * kMiB) == top + 1024 * kMiB;
  printf("1 GiB by brk %d\n", is_grown);
  unsigned long wrong = 0;
  for (uintptr_t at = top; is_grown && at < top + 1024 * kMiB; at += kMiB) {
    if (*(char*)at != 0) wrong++;
    *(char*)at = 1;
  }
  printf("not zero: %lu\n", wrong);
  syscall(SYS_brk, top);
#ifdef __GLIBC__
  mallopt(M_MMAP_MAX, 0);
  char* block = malloc(1024 * kMiB);
  printf("malloc from brk %d\n", block != NULL && (uintptr_t)block - start + 64 * kMiB < 128 * kMiB);
  memset(block, 1, 16 * kMiB);
  free(block);
#endif
  return 0;
}

static int check_memory(void) {
  unsigned long wrong = 0;
  for (size_t at = 0; at < sizeof zero; at += 4096) wrong += zero[at] != 0;
  for (size_t at = 0; at < 8192; at++) wrong += zero[at] != 0 || zero[sizeof zero - 1 - at] != 0;
  zero[0] = zero[sizeof zero / 2] = zero[sizeof zero - 1] = 1;
  printf("%s, %s, %s, not zero: %lu, aligned: %d\n", initialised, aligned, per_thread, wrong,
         (uintptr_t)aligned % ALIGNMENT == 0);
  return 0;
}

static int check_stack(void) {
  volatile unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3};  // mov $42, %eax; ret
  int (*function)(void) = (int (*)(void))(uintptr_t)code;
  // Deep in the stack, too: it must grow executable.
  volatile unsigned char deep[256 * 1024];
  memcpy((void*)deep, (void*)code, sizeof code);
  int (*deep_function)(void) = (int (*)(void))(uintptr_t)deep;
  printf("code on the stack: %d %d\n", function(), deep_function());
  return 0;
}

static void* execute(void* argv) {
  execv(((char**)argv)[0], argv);
  printf("execv: %s\n", strerror(errno));
  return NULL;
}

int main(int argc, char** argv) {
  const char* what = argc < 2 ? "args" : argv[1];
  if (strcmp(what, "heap") == 0) return check_heap();
  if (strcmp(what, "memory") == 0) return check_memory();
  if (strcmp(what, "stack") == 0) return check_stack();
  if (strcmp(what, "thread") == 0) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, execute, argv + 2) != 0) return 1;
    pthread_join(thread, NULL);
    return 1;
  }
  return check_args(argc, argv);
}
