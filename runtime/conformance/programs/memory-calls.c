// What a program learns of memory and shares of it: process_vm_readv, mincore, pagemap, remap_file_pages, memory
// policies, robust lists, kcmp.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096 };

// The result, or the negative error.
static long raw(long result) { return result < 0 ? -errno : result; }
#define CALL(...) raw(syscall(__VA_ARGS__))

static char* pages(int count, int prot, int flags, int fd) {
  char* at = mmap(NULL, (size_t)count * PAGE, prot, flags, fd, 0);
  if (at == MAP_FAILED) exit(9);
  madvise(at, (size_t)count * PAGE, MADV_NOHUGEPAGE);
  return at;
}

// A child that stays until its pipe is closed.
static pid_t keep_child(int* release) {
  int ends[2];
  if (pipe(ends) != 0) exit(8);
  const pid_t child = fork();
  if (child == 0) {
    char byte;
    close(ends[1]);
    if (read(ends[0], &byte, 1) == 0) _exit(0);
    _exit(1);
  }
  close(ends[0]);
  *release = ends[1];
  return child;
}

static void process_memory(void) {
  char* shared = pages(4, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  char* locked = pages(1, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  char* closed = pages(1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  strcpy(shared, "before the fork");
  strcpy(shared + 2 * PAGE - 4, "over the edge");
  int release;
  const pid_t child = keep_child(&release);
  strcpy(shared, "changed by the parent");
  char text[64] = "", more[64] = "";
  struct iovec local[2] = {{text, 20}, {more, 40}};
  struct iovec remote[3] = {{shared, 16}, {shared + 2 * PAGE - 4, 14}, {shared + PAGE, 10}};
  printf("read: %ld", raw(process_vm_readv(child, local, 2, remote, 2, 0)));
  printf(" '%s' '%s' '%s'\n", text, text + 16, more);
  strcpy(text, "written into the child");
  local[0].iov_len = 23;
  printf("write: %ld", raw(process_vm_writev(child, local, 1, remote, 3, 0)));
  memset(text, 0, sizeof text);
  printf(" %ld '%s' mine '%s'\n", raw(process_vm_readv(child, local, 1, remote, 1, 0)), text, shared);
  printf("flags: %ld\n", raw(process_vm_readv(child, local, 1, remote, 1, 1)));
  printf("nobody: %ld\n", raw(process_vm_readv(1 << 21, local, 1, remote, 1, 0)));
  printf("nothing here: %ld\n", raw(process_vm_readv(1 << 21, local, 0, remote, 1, 0)));
  printf("nothing there: %ld\n", raw(process_vm_readv(1 << 21, local, 1, remote, 0, 0)));
  printf("too many: %ld %ld\n", raw(process_vm_readv(child, local, 1025, remote, 1, 0)),
         raw(process_vm_readv(child, local, 1, remote, 1025, 0)));
  printf("no vector: %ld %ld\n", raw(process_vm_readv(child, (void*)8, 1, remote, 1, 0)),
         raw(process_vm_readv(child, local, 1, (void*)8, 1, 0)));
  struct iovec bad[2] = {{shared, 8}, {(void*)PAGE, 8}};
  printf("partly: %ld\n", raw(process_vm_readv(child, local, 1, bad, 2, 0)));
  printf("not there: %ld %ld\n", raw(process_vm_readv(child, local, 1, bad + 1, 1, 0)),
         raw(process_vm_writev(child, local, 1, bad + 1, 1, 0)));
  struct iovec read_only = {locked, 8}, none = {closed, 8};
  printf("read-only: %ld %ld\n", raw(process_vm_readv(child, local, 1, &read_only, 1, 0)),
         raw(process_vm_writev(child, local, 1, &read_only, 1, 0)));
  printf("none: %ld %ld\n", raw(process_vm_readv(child, local, 1, &none, 1, 0)),
         raw(process_vm_writev(child, local, 1, &none, 1, 0)));
  printf("self: %ld\n", raw(process_vm_writev(getpid(), local, 1, remote, 1, 0)));
  // A megabyte and more, at odd places.
  const size_t big = (1 << 20) + 12345;
  char* from = mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  char* to = calloc(1, 2 << 20);
  int release_big;
  const pid_t second = keep_child(&release_big);
  for (size_t i = 0; i < big; i++) from[i + 777] = (char)(i * 31 >> 3);
  struct iovec big_local = {to + 99, big}, big_remote = {from + 777, big};
  const long moved = process_vm_readv(second, &big_local, 1, &big_remote, 1, 0);
  printf("big: %ld %d\n", moved, memcmp(from + 777, to + 99, big) == 0);
  close(release_big);
  waitpid(second, NULL, 0);
  // More than is moved at once.
  const size_t huge = 40 << 20;
  char* source = mmap(NULL, huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char* copy = mmap(NULL, huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (size_t i = 0; i < huge / sizeof(uint64_t); i++) ((uint64_t*)source)[i] = i * 0x9e3779b97f4a7c15;
  int release_huge;
  const pid_t third = keep_child(&release_huge);
  memset(source, 0, 4096);
  struct iovec pieces[3] = {
      {source, 1000}, {source + 1000, (30 << 20) + 1}, {source + 1001 + (30 << 20), huge - 1001 - (30 << 20)}};
  struct iovec places[2] = {{copy, 17 << 20}, {copy + (17 << 20), huge - (17 << 20)}};
  printf("huge: %ld", raw(process_vm_readv(third, places, 2, pieces, 3, 0)));
  printf(" %d", memcmp(copy + 4096, source + 4096, huge - 4096) == 0 && ((uint64_t*)copy)[1] == 0x9e3779b97f4a7c15);
  memset(source, 1, huge);
  memset(copy, 2, huge);
  struct iovec whole = {source, huge};
  printf(" %ld", raw(process_vm_writev(third, &whole, 1, pieces, 3, 0)));
  printf(" %ld", raw(process_vm_readv(third, places, 2, &whole, 1, 0)));
  printf(" %d\n", memcmp(source, copy, huge) == 0);
  close(release_huge);
  waitpid(third, NULL, 0);
  munmap(source, huge);
  munmap(copy, huge);
  // Other users' processes.
  const pid_t other = fork();
  if (other == 0) {
    if (setresgid(1000, 1000, 1000) != 0 || setresuid(1000, 1000, 1000) != 0) _exit(1);
    printf("another user's: %ld", raw(process_vm_readv(child, local, 1, remote, 1, 0)));
    printf(" %ld", CALL(SYS_get_robust_list, child, text, more));
    printf(" %ld", CALL(SYS_kcmp, child, getpid(), 1, 0, 0));
    printf(" %ld\n", CALL(SYS_move_pages, child, 0UL, NULL, NULL, NULL, 0));
    fflush(stdout);
    _exit(0);
  }
  waitpid(other, NULL, 0);
  close(release);
  waitpid(child, NULL, 0);
  printf("gone: %ld\n", raw(process_vm_readv(child, local, 1, remote, 1, 0)));
}

static void residence(void) {
  char* memory = pages(8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  memory[0] = memory[3 * PAGE] = memory[7 * PAGE] = 1;
  unsigned char vector[8] = {9, 9, 9, 9, 9, 9, 9, 9};
  printf("mincore: %ld ", CALL(SYS_mincore, memory, 8 * PAGE, vector));
  for (int i = 0; i < 8; i++) printf("%d", vector[i]);
  munmap(memory + 4 * PAGE, PAGE);
  printf("\nhole: %ld\n", CALL(SYS_mincore, memory, 8 * PAGE, vector));
  printf("unaligned: %ld\n", CALL(SYS_mincore, memory + 1, PAGE, vector));
  printf("no vector: %ld\n", CALL(SYS_mincore, memory, PAGE, (void*)8));
  printf("too long: %ld\n", CALL(SYS_mincore, memory, -1L, vector));
  printf("empty: %ld\n", CALL(SYS_mincore, memory, 0L, vector));
  printf("short: %ld %d\n", CALL(SYS_mincore, memory, 1L, vector), vector[0]);

  const int fd = open("/proc/self/pagemap", O_RDONLY);
  uint64_t entries[4] = {0};
  printf("pagemap: %zd", pread(fd, entries, 32, (off_t)((uintptr_t)memory / PAGE * 8)));
  for (int i = 0; i < 4; i++) printf(" %d", (int)(entries[i] >> 63));
  printf("\nodd: %ld %ld\n", raw(pread(fd, entries, 7, 0)), raw(pread(fd, entries, 8, 4)));
  close(fd);
}

static void remapping(void) {
  const int fd = open("pages", O_RDWR | O_CREAT | O_TRUNC, 0600);
  char line[PAGE];
  for (int i = 0; i < 4; i++) {
    memset(line, 'a' + i, PAGE);
    if (write(fd, line, PAGE) != PAGE) exit(7);
  }
  char* at = pages(4, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
  printf("remap: %ld", CALL(SYS_remap_file_pages, at, 2 * PAGE, 0, 2, 0));
  printf(" %c%c%c%c", at[0], at[PAGE], at[2 * PAGE], at[3 * PAGE]);
  printf(" %ld", CALL(SYS_remap_file_pages, at, PAGE, PROT_READ, 0, 0));
  char* own = pages(1, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  printf(" %ld\n", CALL(SYS_remap_file_pages, own, PAGE, 0, 0, 0));
  close(fd);
  unlink("pages");
}

enum { DEFAULT, PREFERRED, BIND, INTERLEAVE, LOCAL, MANY };

static void show_policy(void* address, unsigned flags) {
  int mode = -1;
  unsigned long nodes = 99;
  const long result = CALL(SYS_get_mempolicy, &mode, &nodes, 64UL, address, flags);
  printf(" [%ld", result);
  if (result == 0) printf(" %x %lx", mode, nodes);
  printf("]");
}

static void policies(void) {
  char* memory = pages(4, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  unsigned long node = 1, other = 2, both = 3, none = 0;
  printf("policy:");
  show_policy(NULL, 0);
  show_policy(NULL, 4);
  show_policy(NULL, 5);
  show_policy(NULL, 1);
  show_policy(memory, 0);
  show_policy(memory, 2);
  show_policy((void*)PAGE, 2);
  memory[0] = 1;
  show_policy(memory, 3);
  show_policy(memory, 8);
  printf("\nset:");
  for (int mode = -1; mode < 8; mode++) {
    printf(" %ld/%ld/%ld/%ld", CALL(SYS_set_mempolicy, mode, &node, 64UL), CALL(SYS_set_mempolicy, mode, &other, 64UL),
           CALL(SYS_set_mempolicy, mode, &both, 64UL), CALL(SYS_set_mempolicy, mode, &none, 64UL));
    show_policy(NULL, 0);
  }
  for (int flag = 1 << 13; flag <= 3 << 14; flag += 1 << 13) {
    printf(" %x:%ld", flag, CALL(SYS_set_mempolicy, BIND | flag, &node, 64UL));
    show_policy(NULL, 0);
  }
  printf("\nset: %ld", CALL(SYS_set_mempolicy, BIND, (void*)8, 64UL));
  printf(" %ld", CALL(SYS_set_mempolicy, BIND, &node, 1UL));
  printf(" %ld", CALL(SYS_set_mempolicy, BIND, &node, 1UL << 20));
  printf(" %ld", CALL(SYS_set_mempolicy, BIND, &both, 2UL));
  fflush(stdout);
  if (fork() == 0) {
    show_policy(NULL, 0);
    fflush(stdout);
    _exit(0);
  }
  while (wait(NULL) < 0) continue;
  CALL(SYS_set_mempolicy, DEFAULT, NULL, 0UL);
  printf("\nbind: %ld", CALL(SYS_mbind, memory + PAGE, 2 * PAGE, BIND, &node, 64UL, 0));
  for (int i = 0; i < 4; i++) show_policy(memory + i * PAGE, 2);
  printf(" %ld", CALL(SYS_mbind, memory + 2 * PAGE, PAGE, DEFAULT, NULL, 0UL, 0));
  for (int i = 0; i < 4; i++) show_policy(memory + i * PAGE, 2);
  printf("\nbind: %ld", CALL(SYS_mbind, memory, PAGE, BIND, &other, 64UL, 0));
  printf(" %ld", CALL(SYS_mbind, memory + 1, PAGE, BIND, &node, 64UL, 0));
  printf(" %ld", CALL(SYS_mbind, memory, PAGE, BIND, &node, 64UL, 8));
  printf(" %ld", CALL(SYS_mbind, memory, PAGE, 9, &node, 64UL, 0));
  printf(" %ld", CALL(SYS_mbind, memory, 0L, BIND, &node, 64UL, 0));
  munmap(memory + 2 * PAGE, PAGE);
  printf(" %ld\n", CALL(SYS_mbind, memory, 4 * PAGE, BIND, &node, 64UL, 0));
  void* addresses[4] = {memory, memory + PAGE, memory + 2 * PAGE, (void*)PAGE};
  memory[0] = 1;
  int status[4] = {9, 9, 9, 9};
  printf("move_pages: %ld", CALL(SYS_move_pages, 0, 4UL, addresses, NULL, status, 0));
  printf(" %d %d %d %d", status[0], status[1], status[2], status[3]);
  printf(" %ld %ld", CALL(SYS_move_pages, 0, 4UL, addresses, NULL, status, 8),
         CALL(SYS_move_pages, 1 << 21, 0UL, NULL, NULL, NULL, 0));
  int to[1] = {7};
  printf(" %ld", CALL(SYS_move_pages, 0, 1UL, addresses, to, status, 2));
  printf(" migrate %ld %ld\n", CALL(SYS_migrate_pages, 0, 64UL, &node, &node),
         CALL(SYS_migrate_pages, 1 << 21, 64UL, &node, &node));
}

static pthread_barrier_t barrier;
static pid_t thread_id;
static struct robust_list_head* thread_head;

static void* stay(void* unused) {
  size_t length;
  thread_id = gettid();
  syscall(SYS_get_robust_list, 0, &thread_head, &length);
  pthread_barrier_wait(&barrier);
  pthread_barrier_wait(&barrier);
  return unused;
}

static void others(void) {
  pthread_barrier_init(&barrier, NULL, 2);
  pthread_t thread;
  pthread_create(&thread, NULL, stay, NULL);
  pthread_barrier_wait(&barrier);
  struct robust_list_head* head = NULL;
  size_t length = 0;
  printf("robust list: %ld", CALL(SYS_get_robust_list, thread_id, &head, &length));
  printf(" %d %zu %ld\n", head == thread_head, length, CALL(SYS_get_robust_list, 1 << 21, &head, &length));
  pthread_barrier_wait(&barrier);
  pthread_join(thread, NULL);
  int release;
  const int copy = dup(1);
  const pid_t child = keep_child(&release);
  printf("kcmp: %ld", CALL(SYS_kcmp, getpid(), getpid(), 0, 1, copy));
  printf(" %ld", CALL(SYS_kcmp, getpid(), child, 0, 1, copy));
  printf(" %d", CALL(SYS_kcmp, getpid(), getpid(), 0, 1, release) > 0);
  for (int type = 1; type < 7; type++) printf(" %d", CALL(SYS_kcmp, getpid(), child, type, 0, 0) > 0);
  printf(" %ld %ld", CALL(SYS_kcmp, getpid(), child, 9, 0, 0), CALL(SYS_kcmp, getpid(), 1 << 21, 1, 0, 0));
  printf(" %ld\n", CALL(SYS_kcmp, getpid(), child, 0, 1, 77));
  const int poller = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN};
  epoll_ctl(poller, EPOLL_CTL_ADD, release, &event);
  uint32_t slot[3] = {poller, release, 0};
  printf("epoll: %ld", CALL(SYS_kcmp, getpid(), getpid(), 7, release, slot));
  printf(" %d", CALL(SYS_kcmp, getpid(), getpid(), 7, 1, slot) > 0);
  slot[2] = 1;
  printf(" %ld", CALL(SYS_kcmp, getpid(), getpid(), 7, 1, slot));
  slot[0] = release;
  printf(" %ld", CALL(SYS_kcmp, getpid(), getpid(), 7, 1, slot));
  slot[0] = 777;
  printf(" %ld %ld\n", CALL(SYS_kcmp, getpid(), getpid(), 7, 1, slot), CALL(SYS_kcmp, getpid(), getpid(), 7, 1, 8));
  close(release);
  waitpid(child, NULL, 0);
  struct timex clock = {.modes = 0};
  printf("adjtimex: %d", adjtimex(&clock) >= 0);
  printf(" %d %ld\n", CALL(SYS_clock_adjtime, 0, &clock) >= 0, CALL(SYS_clock_adjtime, 77, &clock));
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  process_memory();
  residence();
  remapping();
  policies();
  others();
  return 0;
}
