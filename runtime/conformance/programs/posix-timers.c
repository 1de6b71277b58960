// timer_create(2) and its family: clocks, notifications, overruns, fork, exec, errors; and sigqueue(3) between
// processes.
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef int ktimer;

// The result, or the negative error.
static long raw(long result) { return result < 0 ? -errno : result; }

static int create(clockid_t clock, struct sigevent* event, ktimer* id) {
  return syscall(SYS_timer_create, clock, event, id) == 0 ? 0 : errno;
}

static int set(ktimer id, int flags, long value_ms, long interval_ms) {
  struct itimerspec to = {{interval_ms / 1000, interval_ms % 1000 * 1000000},
                          {value_ms / 1000, value_ms % 1000 * 1000000}};
  return syscall(SYS_timer_settime, id, flags, &to, NULL) == 0 ? 0 : errno;
}

static volatile sig_atomic_t count, last_code, last_value, last_overrun, last_id;

static void handler(int signal, siginfo_t* info, void* context) {
  (void)signal;
  (void)context;
  count++;
  last_code = info->si_code;
  last_value = info->si_value.sival_int;
  last_overrun = info->si_overrun;
  last_id = info->si_timerid;
}

static void catch_signal(int signal) {
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
  sigaction(signal, &action, NULL);
}

static void errors(void) {
  ktimer id;
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
  for (int clock = -3; clock < 14; clock++)
    if (clock != 8 && clock != 9) printf("clock %d: %d\n", clock, create(clock, &event, &id));
  event.sigev_signo = 0;
  printf("signal 0: %d\n", create(CLOCK_MONOTONIC, &event, &id));
  event.sigev_signo = 65;
  printf("signal 65: %d\n", create(CLOCK_MONOTONIC, &event, &id));
  event.sigev_signo = SIGUSR1;
  event.sigev_notify = 7;
  printf("notify 7: %d\n", create(CLOCK_MONOTONIC, &event, &id));
  event.sigev_notify = SIGEV_THREAD_ID;
  event._sigev_un._tid = 1 << 21;
  printf("no thread: %d\n", create(CLOCK_MONOTONIC, &event, &id));
  printf("bad event: %d\n", create(CLOCK_MONOTONIC, (void*)8, &id));
  printf("bad id: %d\n", create(CLOCK_MONOTONIC, NULL, (void*)8));
  printf("settime of none: %d\n", set(12345, 0, 1, 0));
  printf("settime without: %ld\n", raw(syscall(SYS_timer_settime, 12345, 0, NULL, NULL)));
  create(CLOCK_MONOTONIC, NULL, &id);
  struct itimerspec bad = {{0, 0}, {0, 1000000000}};
  printf("settime of bad: %ld\n", raw(syscall(SYS_timer_settime, id, 0, &bad, NULL)));
  struct itimerspec got;
  printf("gettime: %ld %ld %ld\n", syscall(SYS_timer_gettime, id, &got), got.it_value.tv_sec, got.it_value.tv_nsec);
  printf("gettime to nowhere: %ld\n", raw(syscall(SYS_timer_gettime, id, (void*)8)));
  printf("overrun: %ld\n", syscall(SYS_timer_getoverrun, id));
  printf("delete: %ld", syscall(SYS_timer_delete, id));
  printf(" %ld\n", raw(syscall(SYS_timer_delete, id)));
  printf("overrun of none: %ld\n", raw(syscall(SYS_timer_getoverrun, id)));
}

// A blocked call that the timer ends.
static void interrupts(clockid_t clock, int flags) {
  ktimer id;
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 1, .sigev_value.sival_int = 77};
  catch_signal(SIGRTMIN + 1);
  create(clock, &event, &id);
  struct itimerspec to = {{0, 0}, {0, 20000000}};
  if (flags == TIMER_ABSTIME) {
    clock_gettime(clock, &to.it_value);
    to.it_value.tv_nsec += 20000000;
    if (to.it_value.tv_nsec >= 1000000000) to.it_value.tv_sec++, to.it_value.tv_nsec -= 1000000000;
  }
  count = 0;
  syscall(SYS_timer_settime, id, flags, &to, NULL);
  int ends[2];
  char byte;
  if (pipe(ends) != 0) exit(1);
  const ssize_t got = read(ends[0], &byte, 1);
  const int error = errno;
  printf("clock %d: read %zd %d, %d signals, code %d, value %d, own id %d\n", clock, got, error, count, last_code,
         last_value, last_id == id);
  struct itimerspec left;
  syscall(SYS_timer_gettime, id, &left);
  printf("left %ld %ld\n", left.it_value.tv_sec, left.it_value.tv_nsec);
  syscall(SYS_timer_delete, id);
  close(ends[0]);
  close(ends[1]);
}

static void overruns(void) {
  ktimer id;
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 2};
  catch_signal(SIGRTMIN + 2);
  sigset_t set_of;
  sigemptyset(&set_of);
  sigaddset(&set_of, SIGRTMIN + 2);
  sigprocmask(SIG_BLOCK, &set_of, NULL);
  create(CLOCK_MONOTONIC, &event, &id);
  count = 0;
  set(id, 0, 10, 10);
  usleep(300000);
  sigprocmask(SIG_UNBLOCK, &set_of, NULL);
  const long overrun = syscall(SYS_timer_getoverrun, id);
  printf("overruns: %d signals at least, %s\n", count >= 1, overrun >= 20 && overrun < 3000 ? "many" : "few");
  set(id, 0, 0, 0);
  const int before = count;
  usleep(50000);
  printf("disarmed: %d\n", count == before);
  syscall(SYS_timer_delete, id);
}

static void periodic(void) {
  ktimer id;
  catch_signal(SIGALRM);
  create(CLOCK_REALTIME, NULL, &id);
  count = 0;
  set(id, 0, 5, 5);
  struct itimerspec left;
  syscall(SYS_timer_gettime, id, &left);
  printf("interval %ld\n", left.it_interval.tv_nsec);
  while (count < 5) pause();
  printf("periodic: code %d, own value %d\n", last_code, last_value == id);
  // A child has none of it.
  if (fork() == 0) {
    printf("child: %ld\n", raw(syscall(SYS_timer_gettime, id, &left)));
    fflush(stdout);
    _exit(0);
  }
  while (wait(NULL) < 0) continue;
  struct itimerspec old, to = {{0, 0}, {100, 0}};
  syscall(SYS_timer_settime, id, 0, &to, &old);
  printf("old interval %ld\n", old.it_interval.tv_nsec);
  syscall(SYS_timer_gettime, id, &left);
  printf("left %d\n", left.it_value.tv_sec == 99 || left.it_value.tv_sec == 100);
  syscall(SYS_timer_delete, id);
}

static void none(void) {
  ktimer id;
  struct sigevent event = {.sigev_notify = SIGEV_NONE};
  create(CLOCK_MONOTONIC, &event, &id);
  set(id, 0, 10, 1000);
  usleep(50000);
  struct itimerspec left;
  syscall(SYS_timer_gettime, id, &left);
  printf("none: %d\n", left.it_value.tv_sec == 0 && left.it_value.tv_nsec > 500000000);
  set(id, 0, 10, 0);
  usleep(50000);
  syscall(SYS_timer_gettime, id, &left);
  printf("none, over: %ld %ld\n", left.it_value.tv_sec, left.it_value.tv_nsec);
  syscall(SYS_timer_delete, id);
}

static void cpu(clockid_t clock) {
  ktimer id;
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGPROF};
  catch_signal(SIGPROF);
  create(clock, &event, &id);
  count = 0;
  struct timespec from, now;
  clock_gettime(clock, &from);
  set(id, 0, 30, 0);
  usleep(100000);
  const int asleep = count;
  do {
    clock_gettime(clock, &now);
  } while (count == 0 && now.tv_sec - from.tv_sec < 5);
  const long used = (now.tv_sec - from.tv_sec) * 1000 + (now.tv_nsec - from.tv_nsec) / 1000000;
  // The host counts in ticks, and may be some of them early.
  printf("cpu clock %d: asleep %d, then %d, not at once %d\n", clock, asleep, count, used >= 10);
  syscall(SYS_timer_delete, id);
}

static pthread_barrier_t barrier;
static pid_t waiter;

static void* wait_for_signal(void* unused) {
  waiter = gettid();
  pthread_barrier_wait(&barrier);
  sigset_t set_of;
  sigemptyset(&set_of);
  sigaddset(&set_of, SIGRTMIN + 3);
  siginfo_t info;
  printf("sigwaitinfo %d", sigwaitinfo(&set_of, &info) == SIGRTMIN + 3);
  printf(": code %d, value %d\n", info.si_code, info.si_value.sival_int);
  return unused;
}

static void threads(void) {
  sigset_t set_of;
  sigemptyset(&set_of);
  sigaddset(&set_of, SIGRTMIN + 3);
  sigprocmask(SIG_BLOCK, &set_of, NULL);
  pthread_barrier_init(&barrier, NULL, 2);
  pthread_t thread;
  pthread_create(&thread, NULL, wait_for_signal, NULL);
  pthread_barrier_wait(&barrier);
  ktimer id;
  struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + 3, .sigev_value.sival_int = 5};
  event._sigev_un._tid = waiter;
  printf("thread: %d", create(CLOCK_MONOTONIC, &event, &id));
  set(id, 0, 10, 0);
  pthread_join(thread, NULL);
  syscall(SYS_timer_delete, id);
}

static volatile int notified;
static void notify(union sigval value) { notified += value.sival_int; }

// The C library's own thread for SIGEV_THREAD.
static void library(void) {
  timer_t id;
  struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = notify, .sigev_value.sival_int = 3};
  printf("library: %d\n", timer_create(CLOCK_MONOTONIC, &event, &id));
  struct itimerspec to = {{0, 5000000}, {0, 5000000}};
  timer_settime(id, 0, &to, NULL);
  for (int i = 0; i < 2000 && notified < 9; i++) usleep(5000);
  printf("notified: %d\n", notified >= 9 && notified % 3 == 0);
  timer_delete(id);
}

static void descriptor(void) {
  sigset_t set_of;
  sigemptyset(&set_of);
  sigaddset(&set_of, SIGRTMIN + 4);
  sigprocmask(SIG_BLOCK, &set_of, NULL);
  const int fd = signalfd(-1, &set_of, 0);
  ktimer id;
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 4, .sigev_value.sival_int = 9};
  create(CLOCK_MONOTONIC, &event, &id);
  set(id, 0, 10, 0);
  struct signalfd_siginfo info;
  printf("signalfd: %zd", read(fd, &info, sizeof info));
  printf(" code %d value %d own id %d overrun %u\n", info.ssi_code, info.ssi_int, (int)info.ssi_tid == id,
         info.ssi_overrun);
  syscall(SYS_timer_delete, id);
  close(fd);
}

static void values(void) {
  sigset_t set_of;
  sigemptyset(&set_of);
  sigaddset(&set_of, SIGRTMIN + 5);
  sigprocmask(SIG_BLOCK, &set_of, NULL);
  const pid_t child = fork();
  if (child == 0) {
    siginfo_t info;
    long sum = 0;
    for (int i = 0; i < 10; i++) {
      sigwaitinfo(&set_of, &info);
      sum = sum * 3 + info.si_value.sival_int;
    }
    printf("queued: code %d, sum %ld\n", info.si_code, sum);
    fflush(stdout);
    _exit(0);
  }
  for (int i = 0; i < 10; i++) sigqueue(child, SIGRTMIN + 5, (union sigval){.sival_int = i});
  waitpid(child, NULL, 0);
  siginfo_t forged = {.si_signo = SIGRTMIN + 5, .si_code = SI_USER};
  printf("forged: %ld\n", raw(syscall(SYS_rt_sigqueueinfo, getppid(), SIGRTMIN + 5, &forged)));
}

int main(int argc, char** argv) {
  ktimer id;
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (argc > 1) {
    struct itimerspec left;
    printf("after exec: %ld\n", raw(syscall(SYS_timer_gettime, atoi(argv[1]), &left)));
    return 0;
  }
  errors();
  interrupts(CLOCK_REALTIME, 0);
  interrupts(CLOCK_MONOTONIC, TIMER_ABSTIME);
  interrupts(CLOCK_REALTIME, TIMER_ABSTIME);
  interrupts(CLOCK_BOOTTIME, 0);
  overruns();
  periodic();
  none();
  cpu(CLOCK_PROCESS_CPUTIME_ID);
  cpu(CLOCK_THREAD_CPUTIME_ID);
  threads();
  library();
  descriptor();
  values();
  create(CLOCK_MONOTONIC, NULL, &id);
  set(id, 0, 60000, 0);
  char text[16];
  snprintf(text, sizeof text, "%d", id);
  execl("/proc/self/exe", argv[0], text, NULL);
  return 1;
}
