// A program's own seccomp filters: results, precedence, inheritance, SIGSYS, errors. Each case is a child of its own.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define LOAD_NUMBER BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))
#define LOAD_ARGUMENT(n) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[n]))
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, value)
// The result `value` for one call.
#define FOR(number, value) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), RETURN(value)
#define PROGRAM(...)                         \
  struct sock_filter code[] = {__VA_ARGS__}; \
  struct sock_fprog program = {sizeof code / sizeof *code, code}

// The result, or the negative error.
static long raw(long result) { return result < 0 ? -errno : result; }
#define CALL(...) raw(syscall(__VA_ARGS__))

static long install(struct sock_fprog* program, unsigned flags) {
  return CALL(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, program);
}

// Says itself how the case ended.
static void in_child(const char* name, void (*run)(void)) {
  printf("%s:", name);
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    run();
    fflush(stdout);
    _exit(0);
  }
  int status;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status))
    printf(" signal %d", WTERMSIG(status));
  else if (WEXITSTATUS(status) != 0)
    printf(" exit %d", WEXITSTATUS(status));
  printf("\n");
}

static void show(const char* name, long value) {
  printf(" %s %ld", name, value);
  fflush(stdout);
}

static void errnos(void) {
  PROGRAM(LOAD_NUMBER, FOR(SYS_getppid, SECCOMP_RET_ERRNO | 71), FOR(SYS_getuid, SECCOMP_RET_ERRNO | 72),
          FOR(SYS_getgid, SECCOMP_RET_ERRNO | 0), FOR(SYS_open, SECCOMP_RET_ERRNO | 9999), RETURN(SECCOMP_RET_ALLOW));
  show("install", install(&program, 0));
  show("native", CALL(SYS_getppid));
  show("trapped", CALL(SYS_getuid));
  show("zero", CALL(SYS_getgid));
  show("clipped", syscall(SYS_open, "/", 0));
  show("errno", errno);
  show("other", CALL(SYS_getpgid, 0) > 0);
}

static void kill_native(void) {
  PROGRAM(LOAD_NUMBER, FOR(SYS_getppid, SECCOMP_RET_KILL_PROCESS), RETURN(SECCOMP_RET_ALLOW));
  show("install", install(&program, 0));
  syscall(SYS_getppid);
}

static void kill_trapped(void) {
  PROGRAM(LOAD_NUMBER, FOR(SYS_getuid, SECCOMP_RET_KILL_PROCESS), RETURN(SECCOMP_RET_ALLOW));
  show("install", install(&program, 0));
  syscall(SYS_getuid);
}

static void* die(void* unused) {
  syscall(SYS_getuid);
  printf(" survived");
  return unused;
}

static void kill_thread(void) {
  PROGRAM(LOAD_NUMBER, FOR(SYS_getuid, SECCOMP_RET_KILL_THREAD), RETURN(SECCOMP_RET_ALLOW));
  show("install", install(&program, 0));
  pthread_t thread;
  pthread_create(&thread, NULL, die, NULL);
  pthread_join(thread, NULL);
  show("others go on", CALL(SYS_getgid) >= 0);
}

static volatile siginfo_t seen;
static volatile int signals;

// As sandboxes do: answers the call itself.
static void on_sigsys(int signal, siginfo_t* info, void* context) {
  (void)signal;
  seen = *info;
  signals++;
  ((ucontext_t*)context)->uc_mcontext.gregs[REG_RAX] = 4242;
}

static void traps(void) {
  struct sigaction action = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigaction(SIGSYS, &action, NULL);
  PROGRAM(LOAD_NUMBER, FOR(SYS_getppid, SECCOMP_RET_TRAP | 5), FOR(SYS_getuid, SECCOMP_RET_TRAP | 6),
          RETURN(SECCOMP_RET_ALLOW));
  show("install", install(&program, 0));
  for (int i = 0; i < 2; i++) {
    show("result", CALL(i == 0 ? SYS_getppid : SYS_getuid));
    show("code", seen.si_code);
    show("errno", seen.si_errno);
    show("call", seen.si_syscall);
    show("arch", seen.si_arch == AUDIT_ARCH_X86_64);
    show("address", seen.si_call_addr != NULL);
  }
  for (int i = 0; i < 1000; i++) syscall(SYS_getuid);
  show("signals", signals);
}

static void trap_unhandled(void) {
  PROGRAM(LOAD_NUMBER, FOR(SYS_getuid, SECCOMP_RET_TRAP), RETURN(SECCOMP_RET_ALLOW));
  show("install", install(&program, 0));
  syscall(SYS_getuid);
}

static void nobody(void) {
  PROGRAM(LOAD_NUMBER, FOR(SYS_getppid, SECCOMP_RET_TRACE | 7), FOR(SYS_getuid, SECCOMP_RET_TRACE),
          FOR(SYS_getgid, SECCOMP_RET_USER_NOTIF), FOR(SYS_gettid, SECCOMP_RET_USER_NOTIF),
          FOR(SYS_geteuid, SECCOMP_RET_LOG), FOR(SYS_getegid, 0x12340000), RETURN(SECCOMP_RET_ALLOW));
  show("install", install(&program, 0));
  show("trace", CALL(SYS_getppid));
  show("trace", CALL(SYS_getuid));
  show("notify", CALL(SYS_getgid));
  show("notify", CALL(SYS_gettid));
  show("log", CALL(SYS_geteuid) >= 0);
  show("unknown", CALL(SYS_getegid));
}

static void computed(void) {
  // What the third argument of getpgid says.
  PROGRAM(LOAD_NUMBER, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpgid, 1, 0), RETURN(SECCOMP_RET_ALLOW),
          LOAD_ARGUMENT(2), BPF_STMT(BPF_ST, 3), BPF_STMT(BPF_LDX | BPF_MEM, 3), BPF_STMT(BPF_MISC | BPF_TXA, 0),
          BPF_STMT(BPF_RET | BPF_A, 0));
  show("install", install(&program, 0));
  show("allow", CALL(SYS_getpgid, 0, 0, SECCOMP_RET_ALLOW) > 0);
  show("errno", CALL(SYS_getpgid, 0, 0, SECCOMP_RET_ERRNO | 33));
  show("trace", CALL(SYS_getpgid, 0, 0, SECCOMP_RET_TRACE | 33));
  show("notify", CALL(SYS_getpgid, 0, 0, SECCOMP_RET_USER_NOTIF));
  show("log", CALL(SYS_getpgid, 0, 0, SECCOMP_RET_LOG) > 0);
  show("kill", CALL(SYS_getpgid, 0, 0, SECCOMP_RET_KILL_PROCESS));
}

static void zero(void) {
  PROGRAM(BPF_STMT(BPF_RET | BPF_A, 0));
  show("install", install(&program, 0));
  show("next", CALL(SYS_getppid));
}

static void arguments(void) {
  PROGRAM(LOAD_NUMBER, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 3), LOAD_ARGUMENT(2),
          BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 5), RETURN(SECCOMP_RET_ERRNO | EPERM),
          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3), LOAD_ARGUMENT(0),
          FOR(AF_INET, SECCOMP_RET_ERRNO | EAFNOSUPPORT), RETURN(SECCOMP_RET_ALLOW));
  show("install", install(&program, 0));
  show("data", mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
  show("code", mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
  show("errno", errno);
  show("inet", raw(socket(AF_INET, SOCK_STREAM, 0)));
  show("unix", raw(socket(AF_UNIX, SOCK_STREAM, 0)) > 0);
}

static void stacked(void) {
  {
    PROGRAM(LOAD_NUMBER, FOR(SYS_getuid, SECCOMP_RET_ERRNO | 11), FOR(SYS_getppid, SECCOMP_RET_ERRNO | 12),
            FOR(SYS_getgid, SECCOMP_RET_ALLOW), FOR(SYS_mmap, SECCOMP_RET_ERRNO | 13),
            FOR(SYS_munmap, SECCOMP_RET_ERRNO | 14), RETURN(SECCOMP_RET_ALLOW));
    show("first", install(&program, 0));
  }
  PROGRAM(LOAD_NUMBER, FOR(SYS_getuid, SECCOMP_RET_ERRNO | 21), FOR(SYS_getppid, SECCOMP_RET_ALLOW),
          FOR(SYS_getgid, SECCOMP_RET_ERRNO | 23), RETURN(SECCOMP_RET_ALLOW));
  show("second", install(&program, 0));
  show("newest", CALL(SYS_getuid));
  show("older", CALL(SYS_getppid));
  show("newer", CALL(SYS_getgid));
  show("munmap", CALL(SYS_munmap, 0L, 4096L));
  show("mode", prctl(PR_GET_SECCOMP));
}

static void inherited(void) {
  PROGRAM(LOAD_NUMBER, FOR(SYS_getuid, SECCOMP_RET_ERRNO | 11), FOR(SYS_getppid, SECCOMP_RET_ERRNO | 12),
          RETURN(SECCOMP_RET_ALLOW));
  show("install", prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
  if (fork() == 0) {
    show("fork", CALL(SYS_getuid));
    execl("/proc/self/exe", "seccomp", "again", NULL);
    _exit(3);
  }
  while (wait(NULL) < 0) continue;
}

static pthread_barrier_t barrier;

static void* other(void* unused) {
  pthread_barrier_wait(&barrier);
  pthread_barrier_wait(&barrier);
  show("synced", CALL(SYS_getuid));
  show("synced", CALL(SYS_getppid));
  return unused;
}

static void synced(void) {
  pthread_barrier_init(&barrier, NULL, 2);
  pthread_t thread;
  pthread_create(&thread, NULL, other, NULL);
  pthread_barrier_wait(&barrier);
  PROGRAM(LOAD_NUMBER, FOR(SYS_getuid, SECCOMP_RET_ERRNO | 11), FOR(SYS_getppid, SECCOMP_RET_ERRNO | 12),
          RETURN(SECCOMP_RET_ALLOW));
  show("install", install(&program, SECCOMP_FILTER_FLAG_TSYNC));
  pthread_barrier_wait(&barrier);
  pthread_join(thread, NULL);
}

static void* diverge(void* unused) {
  PROGRAM(RETURN(SECCOMP_RET_ALLOW));
  show("its own", install(&program, 0));
  pthread_barrier_wait(&barrier);
  pthread_barrier_wait(&barrier);
  return unused;
}

static void unsynced(void) {
  pthread_barrier_init(&barrier, NULL, 2);
  pthread_t thread;
  pthread_create(&thread, NULL, diverge, NULL);
  pthread_barrier_wait(&barrier);
  PROGRAM(RETURN(SECCOMP_RET_ALLOW));
  show("tsync", install(&program, SECCOMP_FILTER_FLAG_TSYNC) > 0);
  show("tsync", install(&program, SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH));
  pthread_barrier_wait(&barrier);
  pthread_join(thread, NULL);
}

static void errors(void) {
  PROGRAM(LOAD_NUMBER, RETURN(SECCOMP_RET_ALLOW));
  show("operation", CALL(SYS_seccomp, 77, 0, NULL));
  show("flags", install(&program, 1 << 20));
  show("wait", install(&program, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV));
  show("strict", CALL(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 1, NULL));
  show("strict", CALL(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, &program));
  show("null", install(NULL, 0));
  show("null", install(NULL, SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW));
  program.len = 0;
  show("empty", install(&program, 0));
  program.len = 4097;
  show("long", install(&program, 0));
  program.len = 1;
  show("no end", install(&program, 0));
  program.len = 2;
  program.filter = (void*)8;
  show("nowhere", install(&program, 0));
  program.filter = code;
  code[0] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0);
  show("jump out", install(&program, 0));
  code[0] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 5);
  show("jump out", install(&program, 0));
  code[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 1);
  show("unaligned", install(&program, 0));
  code[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64);
  show("beyond", install(&program, 0));
  code[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0);
  show("bytes", install(&program, 0));
  code[0] = (struct sock_filter)BPF_STMT(0xff, 0);
  show("code", install(&program, 0));
  code[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_MEM, 2);
  show("unset", install(&program, 0));
  show("mode", prctl(PR_GET_SECCOMP));
  show("prctl", raw(prctl(PR_SET_SECCOMP, 7, &program)));
  uint32_t actions[] = {SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD, SECCOMP_RET_TRAP,  SECCOMP_RET_ERRNO,
                        SECCOMP_RET_TRACE,        SECCOMP_RET_LOG,         SECCOMP_RET_ALLOW, 0x12340000};
  for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
    show("available", CALL(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &actions[i]));
  show("available", CALL(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 1, &actions[0]));
  show("available", CALL(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, NULL));
}

static void status_lines(void) {
  PROGRAM(LOAD_NUMBER, RETURN(SECCOMP_RET_ALLOW));
  for (int i = 0; i < 3; i++) {
    char line[256];
    FILE* status = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof line, status) != NULL)
      if (strncmp(line, "Seccomp", 7) == 0) printf(" %s", strtok(line, "\n"));
    fclose(status);
    install(&program, 0);
  }
}

// A helper that gets what it needs and nothing else.
static void listed(void) {
  PROGRAM(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0), RETURN(SECCOMP_RET_KILL_PROCESS), LOAD_NUMBER,
          FOR(SYS_open, SECCOMP_RET_ERRNO | EACCES), FOR(SYS_openat, SECCOMP_RET_ERRNO | EACCES),
          FOR(SYS_read, SECCOMP_RET_ALLOW), FOR(SYS_write, SECCOMP_RET_ALLOW), FOR(SYS_close, SECCOMP_RET_ALLOW),
          FOR(SYS_exit_group, SECCOMP_RET_ALLOW), FOR(SYS_brk, SECCOMP_RET_ALLOW),
          FOR(SYS_clock_gettime, SECCOMP_RET_ALLOW), RETURN(SECCOMP_RET_KILL_PROCESS));
  show("install", install(&program, 0));
  show("open", raw(open("/", O_RDONLY)));
  show("close", raw(close(77)));
  show("socket", raw(socket(AF_INET, SOCK_STREAM, 0)));
}

static void on_alarm(int signal) { signals += signal == SIGALRM; }

// Waits under a mask of the call's own, though the filter knows nothing of rt_sigsuspend.
static void masked(void) {
  struct sigaction action = {.sa_handler = on_alarm};
  sigaction(SIGALRM, &action, NULL);
  sigset_t set, none;
  sigemptyset(&none);
  sigemptyset(&set);
  sigaddset(&set, SIGALRM);
  sigprocmask(SIG_BLOCK, &set, NULL);
  PROGRAM(LOAD_NUMBER, FOR(SYS_rt_sigsuspend, SECCOMP_RET_KILL_PROCESS), RETURN(SECCOMP_RET_ALLOW));
  show("install", install(&program, 0));
  struct itimerval timer = {{0, 0}, {0, 50000}};
  setitimer(ITIMER_REAL, &timer, NULL);
  struct timespec limit = {5, 0};
  show("ppoll", raw(ppoll(NULL, 0, &limit, &none)));
  show("signals", signals);
  syscall(SYS_rt_sigsuspend, &none, 8);
}

// Installs while signals come.
static void under_signals(void) {
  struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
  struct itimerval timer = {{0, 1000}, {0, 1000}};
  setitimer(ITIMER_REAL, &timer, NULL);
  PROGRAM(LOAD_NUMBER, FOR(SYS_getuid, SECCOMP_RET_ERRNO | 11), RETURN(SECCOMP_RET_ALLOW));
  int installed = 0;
  for (int i = 0; i < 100; i++) installed += install(&program, 0) == 0;
  memset(&timer, 0, sizeof timer);
  setitimer(ITIMER_REAL, &timer, NULL);
  show("installed", installed);
  show("errno", CALL(SYS_getuid));
}

static void unprivileged(void) {
  PROGRAM(RETURN(SECCOMP_RET_ALLOW));
  if (setresuid(1000, 1000, 1000) != 0) _exit(5);
  show("as a user", install(&program, 0));
}

static void strict(void) {
  show("strict", prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
  if (write(1, " written", 8) != 8) syscall(SYS_exit, 7);
  syscall(SYS_exit, 4);
}

static void forbidden(void) {
  prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
  syscall(SYS_getuid);
  syscall(SYS_exit, 4);
}

int main(int argc, char** argv) {
  (void)argv;
  setvbuf(stdout, NULL, _IOFBF, 4096);
  if (argc > 1) {
    show("exec", CALL(SYS_getuid));
    show("exec", CALL(SYS_getppid));
    fflush(stdout);
    return 0;
  }
  // Without no_new_privs, and without the privilege.
  fflush(stdout);
  if (fork() == 0) {
    PROGRAM(RETURN(SECCOMP_RET_ALLOW));
    if (setresgid(1000, 1000, 1000) != 0 || setresuid(1000, 1000, 1000) != 0) _exit(5);
    show("new privileges", install(&program, 0));
    printf("\n");
    fflush(stdout);
    _exit(0);
  }
  while (wait(NULL) < 0) continue;
  in_child("errnos", errnos);
  in_child("kill, native", kill_native);
  in_child("kill, trapped", kill_trapped);
  in_child("kill a thread", kill_thread);
  in_child("traps", traps);
  in_child("trap without a handler", trap_unhandled);
  in_child("nobody", nobody);
  in_child("computed", computed);
  in_child("zero", zero);
  in_child("arguments", arguments);
  in_child("stacked", stacked);
  in_child("inherited", inherited);
  in_child("synced", synced);
  in_child("unsynced", unsynced);
  in_child("errors", errors);
  in_child("status", status_lines);
  in_child("listed", listed);
  in_child("masked", masked);
  in_child("under signals", under_signals);
  in_child("unprivileged", unprivileged);
  in_child("strict", strict);
  // Which signal ends it isn't the same.
  const pid_t child = fork();
  if (child == 0) forbidden();
  int status;
  waitpid(child, &status, 0);
  printf("forbidden: %d\n", WIFSIGNALED(status));
  fflush(stdout);
  return 0;
}
