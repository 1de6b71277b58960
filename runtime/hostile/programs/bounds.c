// Takes as many of each thing as there are, prints the errno that ends it, gives them back, and then does something
// ordinary: what one kind used up must not be missing elsewhere.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

// More than any bound that is looked for.
enum { kMost = 100000, kThreads = 10000 };

static int descriptors[kMost];

static int make_pipe(void) {
  int ends[2];
  if (pipe(ends) != 0) return -1;
  close(ends[1]);
  return ends[0];
}

static int make_dup(void) { return dup(0); }
static int make_event(void) { return eventfd(0, 0); }
static int make_epoll(void) { return epoll_create1(0); }
static int make_timer(void) { return timerfd_create(CLOCK_MONOTONIC, 0); }
static int make_memory(void) { return memfd_create("bound", 0); }
static int make_socket(void) { return socket(AF_UNIX, SOCK_STREAM, 0); }
static int make_inet(void) { return socket(AF_INET, SOCK_DGRAM, 0); }
static int make_inotify(void) { return inotify_init1(0); }
static int make_file(void) { return open("/tmp", O_TMPFILE | O_RDWR, 0600); }
static int make_pty(void) { return open("/dev/ptmx", O_RDWR | O_NOCTTY); }

static int make_signals(void) {
  sigset_t set;
  sigemptyset(&set);
  return signalfd(-1, &set, 0);
}

static void exhaust(const char* name, int (*make)(void)) {
  int count = 0;
  while (count < kMost && (descriptors[count] = make()) >= 0) count++;
  printf("%s %s\n", name, count == kMost ? "endless" : strerrorname_np(errno));
  while (count > 0) close(descriptors[--count]);
}

static void exhaust_locks(void) {
  int file = open("/tmp/locks", O_CREAT | O_RDWR, 0600);
  int i = 0;
  for (; i < kMost; i++) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = i * 2, .l_len = 1};
    if (fcntl(file, F_SETLK, &lock) != 0) break;
  }
  printf("locks %s\n", i == kMost ? "endless" : strerrorname_np(errno));
  close(file);
}

static void exhaust_queue(void) {
  int ends[2];
  socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends);
  static char block[65536];
  int i = 0;
  while (i < kMost && write(ends[0], block, sizeof block) > 0) i++;
  printf("queue %s\n", i == kMost ? "endless" : strerrorname_np(errno));
  close(ends[0]);
  close(ends[1]);
}

static void exhaust_signals(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN);
  sigprocmask(SIG_BLOCK, &set, NULL);
  int i = 0;
  union sigval value = {.sival_int = 0};
  while (i < kMost && sigqueue(getpid(), SIGRTMIN, value) == 0) i++;
  printf("signals %s\n", i == kMost ? "endless" : strerrorname_np(errno));
}

static int blocking[2];

static void* block(void* unused) {
  char byte;
  (void)!read(blocking[0], &byte, 1);
  return unused;
}

static void exhaust_threads(void) {
  static pthread_t threads[kThreads];
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 16384);
  (void)!pipe(blocking);
  int count = 0;
  while (count < kThreads && pthread_create(&threads[count], &attributes, block, NULL) == 0) count++;
  close(blocking[1]);
  for (int i = 0; i < count; i++) pthread_join(threads[i], NULL);
  printf("blocked %d\n", count);
}

int main(void) {
  exhaust("dup", make_dup);
  exhaust("pipe", make_pipe);
  exhaust("eventfd", make_event);
  exhaust("epoll", make_epoll);
  exhaust("timerfd", make_timer);
  exhaust("signalfd", make_signals);
  exhaust("memfd", make_memory);
  exhaust("unix", make_socket);
  exhaust("inet", make_inet);
  exhaust("inotify", make_inotify);
  exhaust("tmpfile", make_file);
  exhaust("pty", make_pty);
  exhaust_locks();
  exhaust_queue();
  exhaust_signals();
  exhaust_threads();
  exhaust("again", make_pipe);
  printf("end\n");
  return 0;
}
