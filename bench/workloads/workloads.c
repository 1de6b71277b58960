/*
 * One workload of the benchmark: `workloads NAME COUNT`. Prints the nanoseconds that one operation took.
 *
 * Static, so that the same bytes run on the host, in gVisor and in Isopod; its own path is argv[0], its files lie in
 * /data.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif

static char* self;

/* A workload that fails has measured nothing: it says where and ends. */
static void check(int ok, const char* step) {
  if (ok) return;
  fprintf(stderr, "%s: %s\n", step, strerror(errno));
  exit(1);
}

static uint64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static uint64_t run_getppid(long count) {
  uint64_t start = now_ns();
  for (long i = 0; i < count; i++) syscall(SYS_getppid);
  return now_ns() - start;
}

/* Trapped in Isopod, where getppid is native. */
static uint64_t run_umask(long count) {
  uint64_t start = now_ns();
  for (long i = 0; i < count; i++) check(syscall(SYS_umask, 022) >= 0, "umask");
  return now_ns() - start;
}

/* A pipe takes 64 KiB, so bytes are written in batches outside of the measured time where it is the reading that
 * counts, and the other way round. */
static uint64_t run_bytes(long count, int is_read) {
  static char batch[4096];
  uint64_t total = 0;
  int ends[2];
  check(pipe(ends) == 0, "pipe");
  for (long done = 0; done < count; done += (long)sizeof(batch)) {
    if (is_read) check(write(ends[1], batch, sizeof(batch)) == (ssize_t)sizeof(batch), "write");
    uint64_t start = now_ns();
    for (size_t i = 0; i < sizeof(batch); i++)
      check((is_read ? read(ends[0], batch, 1) : write(ends[1], batch, 1)) == 1, "one byte");
    total += now_ns() - start;
    if (!is_read)
      for (size_t got = 0; got < sizeof(batch);) {
        ssize_t part = read(ends[0], batch, sizeof(batch) - got);
        check(part > 0, "read");
        got += (size_t)part;
      }
  }
  return total;
}

static uint64_t run_read(long count) { return run_bytes(count, 1); }

static uint64_t run_write(long count) { return run_bytes(count, 0); }

static uint64_t run_pread(long count) {
  static char page[4096];
  int fd = open("/data/file", O_RDONLY);
  check(fd >= 0, "open");
  uint64_t start = now_ns();
  for (long i = 0; i < count; i++)
    check(pread(fd, page, sizeof(page), (i & 15) * 4096) == (ssize_t)sizeof(page), "pread");
  return now_ns() - start;
}

static uint64_t run_open(long count) {
  uint64_t start = now_ns();
  for (long i = 0; i < count; i++) {
    int fd = open("/data/file", O_RDONLY);
    check(fd >= 0 && close(fd) == 0, "open and close");
  }
  return now_ns() - start;
}

static uint64_t run_stat(long count) {
  struct stat status;
  uint64_t start = now_ns();
  for (long i = 0; i < count; i++) check(stat("/data/file", &status) == 0, "stat");
  return now_ns() - start;
}

/* One byte to another process and back. */
static uint64_t run_pipe(long count) {
  int there[2], back[2];
  char byte = 0;
  check(pipe(there) == 0 && pipe(back) == 0, "pipe");
  pid_t child = fork();
  check(child >= 0, "fork");
  if (child == 0) {
    close(there[1]);
    while (read(there[0], &byte, 1) == 1) check(write(back[1], &byte, 1) == 1, "write");
    _exit(0);
  }
  uint64_t start = now_ns();
  for (long i = 0; i < count; i++) check(write(there[1], &byte, 1) == 1 && read(back[0], &byte, 1) == 1, "round trip");
  uint64_t total = now_ns() - start;
  close(there[1]);
  check(waitpid(child, NULL, 0) == child, "wait");
  return total;
}

static uint64_t run_children(long count, int is_exec) {
  uint64_t start = now_ns();
  for (long i = 0; i < count; i++) {
    int status;
    pid_t child = fork();
    check(child >= 0, "fork");
    if (child == 0) {
      if (is_exec) execl(self, self, "exit", "1", (char*)NULL);
      _exit(is_exec);
    }
    check(waitpid(child, &status, 0) == child && status == 0, "wait");
  }
  return now_ns() - start;
}

static uint64_t run_fork(long count) { return run_children(count, 0); }

static uint64_t run_exec(long count) { return run_children(count, 1); }

static uint64_t run_fault(long count) {
  uint64_t total = 0;
  for (long done = 0; done < count; done += 4096) {
    char* pages = mmap(NULL, 4096 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(pages != MAP_FAILED, "mmap");
    /* Huge pages would be one fault for 512 pages on the host and make the comparison one of settings. */
    madvise(pages, 4096 * 4096, MADV_NOHUGEPAGE);
    uint64_t start = now_ns();
    for (size_t i = 0; i < 4096; i++) ((volatile char*)pages)[i * 4096] = 1;
    total += now_ns() - start;
    munmap(pages, 4096 * 4096);
  }
  return total;
}

static void* empty_thread(void* argument) { return argument; }

static uint64_t run_thread(long count) {
  uint64_t start = now_ns();
  for (long i = 0; i < count; i++) {
    pthread_t thread;
    check(pthread_create(&thread, NULL, empty_thread, NULL) == 0 && pthread_join(thread, NULL) == 0, "thread");
  }
  return now_ns() - start;
}

static uint64_t run_cpu(long count) {
  volatile uint64_t state = 1;
  uint64_t start = now_ns();
  for (long i = 0; i < count; i++) state = state * 6364136223846793005u + 1442695040888963407u;
  return now_ns() - start;
}

/* The floor of the notification lane: `run` in a child whose `calls` (two at most) are answered by this process, with
 * nothing between. Host only. */
static uint64_t under_notification(uint64_t (*run)(long count), long count, const int calls[2], uint32_t flags,
                                   long traps) {
  int results[2], channel[2];
  check(pipe(results) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, channel) == 0, "pipe");
  pid_t child = fork();
  check(child >= 0, "fork");
  if (child == 0) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[0], 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[1], 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
    check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
    int listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter);
    check(listener >= 0, "seccomp");
    char data = 0, control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec vector = {.iov_base = &data, .iov_len = 1};
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    struct cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &listener, sizeof(int));
    check(sendmsg(channel[1], &message, 0) == 1, "sendmsg");
    close(listener);
    uint64_t total = run(count);
    check(write(results[1], &total, sizeof(total)) == sizeof(total), "write");
    syscall(SYS_exit, 0);
  }
  char data, control[CMSG_SPACE(sizeof(int))];
  struct iovec vector = {.iov_base = &data, .iov_len = 1};
  struct msghdr message = {
      .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
  check(recvmsg(channel[0], &message, 0) == 1 && CMSG_FIRSTHDR(&message) != NULL, "recvmsg");
  int listener;
  memcpy(&listener, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
  ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
  for (long i = 0; i < traps; i++) {
    struct seccomp_notif request = {0};
    check(ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request) == 0, "receive");
    struct seccomp_notif_resp response = {.id = request.id, .flags = flags};
    check(ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response) == 0, "send");
  }
  uint64_t total;
  check(read(results[0], &total, sizeof(total)) == sizeof(total), "read");
  waitpid(child, NULL, 0);
  return total;
}

static uint64_t run_notify(long count) {
  return under_notification(run_getppid, count, (const int[2]){SYS_getppid, SYS_getppid}, 0, count);
}

/* The two calls that a guest kernel must see of it: it must know each process, and each end. */
static uint64_t run_notify_fork(long count) {
  return under_notification(run_fork, count, (const int[2]){SYS_clone, SYS_exit_group},
                            SECCOMP_USER_NOTIF_FLAG_CONTINUE, 2 * count);
}

/* Shows that it runs, and then waits to be measured. */
static uint64_t run_idle(long count) {
  (void)count;
  check(write(1, "0\n", 2) == 2, "write");
  sleep(60);
  return 0;
}

static uint64_t run_exit(long count) {
  (void)count;
  _exit(0);
}

static const struct workload {
  const char* name;
  uint64_t (*run)(long count);
} workloads[] = {
    {"getppid", run_getppid}, {"umask", run_umask},   {"read", run_read},
    {"write", run_write},     {"pread", run_pread},   {"open", run_open},
    {"stat", run_stat},       {"pipe", run_pipe},     {"fork", run_fork},
    {"exec", run_exec},       {"fault", run_fault},   {"thread", run_thread},
    {"cpu", run_cpu},         {"notify", run_notify}, {"notify-fork", run_notify_fork},
    {"idle", run_idle},       {"exit", run_exit},
};

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  self = argv[0];
  long count = atol(argv[2]);
  for (size_t i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++) {
    if (strcmp(argv[1], workloads[i].name) != 0) continue;
    printf("%.1f\n", (double)workloads[i].run(count) / (double)count);
    return 0;
  }
  return 2;
}
