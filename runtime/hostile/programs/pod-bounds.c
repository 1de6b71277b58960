// Takes as many of each thing as the pod may have, whose bounds the test has set low, and prints the errno that ends
// it, or how many there were. Each kind in a process of its own, whose end gives everything back.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/filter.h>
#include <linux/mempolicy.h>
#include <linux/seccomp.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

// More than any bound that is looked for.
enum { kMost = 3000 };

// What one more of a kind gives: anything but -1.
static long made;

#define UNTIL(expression) \
  for (made = 0; made < kMost && (expression) != -1;) made++

static const char* ending(void) { return made == kMost ? "endless" : strerrorname_np(errno); }

static const char* name_of(const char* folder, long i) {
  static char name[64];
  snprintf(name, sizeof name, "%s/%ld", folder, i);
  return name;
}

static const char* descriptors(void) {
  UNTIL(dup(0));
  return ending();
}

static const char* descriptors_by_number(void) {
  UNTIL(dup2(0, 10 + made));
  return ending();
}

// Each child has as many as its parent.
static const char* descriptors_by_fork(void) {
  for (int i = 0; i < 100; i++) dup(0);
  const char* result = "endless";
  for (int i = 0; i < 40; i++) {
    const pid_t child = fork();
    if (child == 0) pause();
    if (child < 0) {
      result = strerrorname_np(errno);
      break;
    }
  }
  signal(SIGTERM, SIG_IGN);
  kill(0, SIGTERM);
  while (wait(NULL) > 0) {
  }
  return result;
}

static const char* processes(void) {
  pid_t child;
  for (made = 0; made < kMost && (child = fork()) >= 0; made++) {
    if (child == 0) pause();
  }
  const char* result = ending();
  signal(SIGTERM, SIG_IGN);
  kill(0, SIGTERM);
  while (wait(NULL) > 0) {
  }
  return result;
}

static void* sleep_on(void* unused) {
  pause();
  return unused;
}

static const char* threads(void) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 16384);
  pthread_t thread;
  UNTIL((errno = pthread_create(&thread, &attributes, sleep_on, NULL)) == 0 ? 0 : -1);
  return ending();
}

static int lock(int file, long at) {
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = at * 2, .l_len = 1};
  return fcntl(file, F_SETLK, &lock);
}

static const char* locks_of_a_file(void) {
  const int file = open("/tmp/file", O_CREAT | O_RDWR, 0600);
  UNTIL(lock(file, made));
  return ending();
}

static const char* locks(void) {
  int files[10];
  for (int i = 0; i < 10; i++) files[i] = open(name_of("/tmp", i), O_CREAT | O_RDWR, 0600);
  UNTIL(lock(files[made % 10], made));
  for (int i = 0; i < 10; i++) unlink(name_of("/tmp", i));
  return ending();
}

static const char* inotify_watches(void) {
  const int instance = inotify_init();
  for (long i = 0; i < 60; i++) mkdir(name_of("/tmp", i), 0700);
  for (made = 0; made < 60 && inotify_add_watch(instance, name_of("/tmp", made), IN_ALL_EVENTS) != -1;) made++;
  const char* result = made == 60 ? "endless" : strerrorname_np(errno);
  for (long i = 0; i < 60; i++) rmdir(name_of("/tmp", i));
  return result;
}

static const char* inotify_queue(void) {
  const int instance = inotify_init1(IN_NONBLOCK);
  inotify_add_watch(instance, "/tmp", IN_CREATE);
  for (long i = 0; i < 60; i++) {
    mkdir(name_of("/tmp", i), 0700);
    rmdir(name_of("/tmp", i));
  }
  char buffer[65536];
  const ssize_t length = read(instance, buffer, sizeof buffer);
  const struct inotify_event* event = NULL;
  for (ssize_t at = 0; at < length; at += (ssize_t)(sizeof *event + event->len)) event = (void*)(buffer + at);
  return event != NULL && event->mask == IN_Q_OVERFLOW ? "overflow" : "endless";
}

static const char* epoll_watches(void) {
  const int instance = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN};
  UNTIL(epoll_ctl(instance, EPOLL_CTL_ADD, eventfd(0, 0), &event));
  return ending();
}

static const char* pipe_pages(void) {
  int ends[2];
  for (made = 0; made < 40; made++) pipe(ends);
  return fcntl(ends[0], F_GETPIPE_SZ) == 8192 && fcntl(ends[0], F_SETPIPE_SZ, 1 << 20) == -1 ? strerrorname_np(errno)
                                                                                             : "endless";
}

static const char* descriptors_in_flight(void) {
  int ends[2];
  socketpair(AF_UNIX, SOCK_DGRAM, 0, ends);
  union {
    char bytes[CMSG_SPACE(10 * sizeof(int))];
    struct cmsghdr header;
  } control = {0};
  struct iovec part = {"x", 1};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  control.header = (struct cmsghdr){CMSG_LEN(10 * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
  UNTIL(sendmsg(ends[0], &message, MSG_DONTWAIT));
  return ending();
}

static const char* socket_queues(void) {
  static char block[4096];
  long total = 0;
  for (int i = 0; i < 60; i++) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) != 0) return strerrorname_np(errno);
    ssize_t written;
    while ((written = write(ends[0], block, sizeof block)) > 0) total += written;
  }
  // 60 queues of 200 KiB each, were there no bound of all.
  return total < 3 << 20 ? strerrorname_np(errno) : "endless";
}

static const char* unix_sockets(void) {
  UNTIL(socket(AF_UNIX, SOCK_DGRAM, 0));
  return ending();
}

static const char* host_sockets(void) {
  UNTIL(socket(AF_INET, SOCK_DGRAM, 0));
  return ending();
}

static const char* pidfds(void) {
  UNTIL(syscall(SYS_pidfd_open, getpid(), 0));
  return ending();
}

static const char* memory_files(void) {
  UNTIL(memfd_create("bound", 0));
  return ending();
}

static const char* tmpfs_large_files(void) {
  static char block[20000];
  UNTIL(write(open("/tmp", O_TMPFILE | O_RDWR, 0600), block, sizeof block));
  return ending();
}

static const char* tmpfs_inodes(void) {
  UNTIL(mknod(name_of("/tmp", made), S_IFREG | 0600, 0));
  const char* result = ending();
  while (made > 0) unlink(name_of("/tmp", --made));
  return result;
}

static const char* tmpfs_xattrs(void) {
  static char value[1000];
  const int file = open("/tmp/attributes", O_CREAT | O_RDWR, 0600);
  char name[32];
  for (made = 0; made < kMost; made++) {
    snprintf(name, sizeof name, "trusted.%ld", made);
    if (fsetxattr(file, name, value, sizeof value, 0) != 0) break;
  }
  const char* result = ending();
  close(file);
  unlink("/tmp/attributes");
  return result;
}

static const char* terminals(void) {
  UNTIL(open("/dev/ptmx", O_RDWR | O_NOCTTY));
  return ending();
}

static const char* shared_segments(void) {
  UNTIL(shmget(IPC_PRIVATE, 4096, 0600));
  const char* result = ending();
  for (int id = 0; id < 1 << 20; id++) {
    if ((id & 0x7fff) < kMost)
      shmctl(id, IPC_RMID, NULL);
    else
      id |= 0x7fff;
  }
  return result;
}

static const char* semaphore_sets(void) {
  int ids[kMost];
  UNTIL(ids[made] = semget(IPC_PRIVATE, 1, 0600));
  const char* result = ending();
  while (made > 0) semctl(ids[--made], 0, IPC_RMID);
  return result;
}

static const char* semaphores(void) {
  int ids[kMost];
  UNTIL(ids[made] = semget(IPC_PRIVATE, 40, 0600));
  const char* result = ending();
  while (made > 0) semctl(ids[--made], 0, IPC_RMID);
  return result;
}

static const char* message_queues(void) {
  int ids[kMost];
  UNTIL(ids[made] = msgget(IPC_PRIVATE, 0600));
  const char* result = ending();
  while (made > 0) msgctl(ids[--made], IPC_RMID, NULL);
  return result;
}

static const char* message_bytes(void) {
  struct {
    long type;
    char text[1000];
  } message = {1, {0}};
  const int one = msgget(IPC_PRIVATE, 0600), other = msgget(IPC_PRIVATE, 0600);
  UNTIL(msgsnd(made % 2 == 0 ? one : other, &message, sizeof message.text, IPC_NOWAIT));
  const char* result = ending();
  msgctl(one, IPC_RMID, NULL);
  msgctl(other, IPC_RMID, NULL);
  return result;
}

static const char* posix_queues(void) {
  UNTIL(mq_open(name_of("", made), O_CREAT | O_RDWR, 0600, NULL));
  const char* result = ending();
  while (made > 0) mq_unlink(name_of("", --made));
  return result;
}

static const char* aio_events(void) {
  aio_context_t context = 0;
  UNTIL((context = 0, syscall(SYS_io_setup, 30, &context)));
  return ending();
}

static const char* aio_contexts(void) {
  aio_context_t context = 0;
  UNTIL((context = 0, syscall(SYS_io_setup, 1, &context)));
  return ending();
}

static const char* posix_timers(void) {
  timer_t timer;
  UNTIL(timer_create(CLOCK_MONOTONIC, NULL, &timer));
  return ending();
}

static const char* filters(void) {
  struct sock_filter allow[] = {{BPF_LD | BPF_W | BPF_ABS, 0, 0, 0}, {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
  const struct sock_fprog program = {2, allow};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  UNTIL(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
  return ending();
}

static const char* policy_ranges(void) {
  const size_t page = 4096;
  char* memory = mmap(NULL, 2 * kMost * page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const unsigned long node = 1;
  UNTIL(syscall(SYS_mbind, memory + 2 * made * page, page, MPOL_BIND, &node, 8L, 0L));
  return ending();
}

static const char* cached_names(void) {
  // Forgotten names are found again, those of open files and of the working directory among them.
  mkdir("/bin/names", 0700);
  if (chdir("/bin/names") != 0) return strerrorname_np(errno);
  const int file = open("kept", O_CREAT | O_RDWR, 0600);
  struct stat before, after;
  fstat(file, &before);
  for (int i = 0; i < 3000; i++) access(name_of("missing", i), F_OK), access(name_of(".", i), F_OK);
  if (stat("kept", &after) != 0 || before.st_ino != after.st_ino) return "lost";
  if (rename("kept", "moved") != 0 || stat("/bin/names/moved", &after) != 0 || before.st_ino != after.st_ino)
    return "not moved";
  return unlink("moved") == 0 && rmdir("/bin/names") == 0 ? "found" : strerrorname_np(errno);
}

static const struct {
  const char* name;
  const char* (*take)(void);
} kinds[] = {
#define KIND(name) \
  { #name, name }
    KIND(descriptors),
    KIND(descriptors_by_number),
    KIND(descriptors_by_fork),
    KIND(processes),
    KIND(threads),
    KIND(locks_of_a_file),
    KIND(locks),
    KIND(inotify_watches),
    KIND(inotify_queue),
    KIND(epoll_watches),
    KIND(pipe_pages),
    KIND(descriptors_in_flight),
    KIND(socket_queues),
    KIND(unix_sockets),
    KIND(host_sockets),
    KIND(pidfds),
    KIND(memory_files),
    KIND(tmpfs_large_files),
    KIND(tmpfs_inodes),
    KIND(tmpfs_xattrs),
    KIND(terminals),
    KIND(shared_segments),
    KIND(semaphore_sets),
    KIND(semaphores),
    KIND(message_queues),
    KIND(message_bytes),
    KIND(posix_queues),
    KIND(aio_events),
    KIND(aio_contexts),
    KIND(posix_timers),
    KIND(filters),
    KIND(policy_ranges),
    KIND(cached_names),
};

int main(void) {
  // Twice: what one process had is there again for the next.
  for (int round = 0; round < 2; round++) {
    for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
      const pid_t child = fork();
      if (child == 0) {
        setpgid(0, 0);
        printf("%s %s\n", kinds[i].name, kinds[i].take());
        fflush(stdout);
        _exit(0);
      }
      if (child < 0 || waitpid(child, NULL, 0) < 0) printf("fork %s\n", strerrorname_np(errno));
    }
  }
  printf("end\n");
  return 0;
}
