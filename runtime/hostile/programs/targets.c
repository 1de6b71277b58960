// "wait" is a victim: it prints the address of a word, waits for the file tmp/end and prints whether the word is what it was. "aim ADDRESS
// PID..." makes every call that names another process with numbers that mean nobody in this container, and prints "PID NAME ERRNO" for each.
// "memory" reaches for the memory of the container's own processes, and prints "held" or what it got.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(is_right, ...) do { if (!(is_right)) { printf(__VA_ARGS__); printf(" (errno %d)\n", errno); exit(1); } } while (0)
#define WORD 0x5ec4e7
static volatile long word = WORD;

static int wait_for_end(void)
{
	printf("%p\n", (void *)&word);
	fflush(stdout);
	while (access("tmp/end", F_OK) != 0) usleep(20000);
	printf("%s\n", word == WORD ? "untouched" : "touched");
	return 0;
}

static int target;

static void show(const char *name, long result)
{
	printf("%d %s %s\n", target, name, result == -1 ? strerrorname_np(errno) : "ok");
}
#define TRY(name, ...) show(name, syscall(__VA_ARGS__))

static void aim(int pid, void *address)
{
	static char page[4096] __attribute__((aligned(4096)));
	char path[64];
	static const char *const files[] = {"mem", "maps", "environ", "root", "fd/0", "task"};
	struct iovec local = {page, 8}, remote = {address, 8};
	struct rlimit limit = {1, 1};
	struct sched_param priority = {0};
	siginfo_t info = {.si_signo = SIGKILL, .si_code = SI_QUEUE};
	cpu_set_t cpus;
	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	target = pid;
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		snprintf(path, sizeof path, "/proc/%d/%s", pid, files[i]);
		show(files[i], open(path, O_RDONLY));
	}
	TRY("kill", SYS_kill, pid, SIGKILL);
	TRY("kill group", SYS_kill, -pid, SIGKILL);
	TRY("tkill", SYS_tkill, pid, SIGKILL);
	TRY("tgkill", SYS_tgkill, pid, pid, SIGKILL);
	TRY("rt_sigqueueinfo", SYS_rt_sigqueueinfo, pid, SIGKILL, &info);
	TRY("rt_tgsigqueueinfo", SYS_rt_tgsigqueueinfo, pid, pid, SIGKILL, &info);
	TRY("ptrace attach", SYS_ptrace, PTRACE_ATTACH, pid, 0, 0);
	TRY("ptrace seize", SYS_ptrace, PTRACE_SEIZE, pid, 0, 0);
	TRY("ptrace peek", SYS_ptrace, PTRACE_PEEKDATA, pid, address, page);
	TRY("ptrace poke", SYS_ptrace, PTRACE_POKEDATA, pid, address, 1);
	TRY("process_vm_readv", SYS_process_vm_readv, pid, &local, 1, &remote, 1, 0);
	TRY("process_vm_writev", SYS_process_vm_writev, pid, &local, 1, &remote, 1, 0);
	TRY("pidfd_open", SYS_pidfd_open, pid, 0);
	TRY("kcmp", SYS_kcmp, getpid(), pid, 0, 0, 0);
	memset(page, 0, sizeof page);
	TRY("perf_event_open", SYS_perf_event_open, page, pid, -1, -1, 0);
	TRY("move_pages", SYS_move_pages, pid, 1, &address, 0, page, 0);
	TRY("migrate_pages", SYS_migrate_pages, pid, 8, page, page);
	TRY("sched_setaffinity", SYS_sched_setaffinity, pid, sizeof cpus, &cpus);
	TRY("sched_setscheduler", SYS_sched_setscheduler, pid, SCHED_BATCH, &priority);
	TRY("sched_setparam", SYS_sched_setparam, pid, &priority);
	TRY("setpriority", SYS_setpriority, PRIO_PROCESS, pid, 19);
	TRY("setpriority group", SYS_setpriority, PRIO_PGRP, pid, 19);
	TRY("prlimit64", SYS_prlimit64, pid, RLIMIT_NOFILE, &limit, page);
	TRY("ioprio_set", SYS_ioprio_set, 1, pid, 3 << 13);
	TRY("ioprio_set group", SYS_ioprio_set, 2, pid, 3 << 13);
	TRY("get_robust_list", SYS_get_robust_list, pid, page, page + 8);
	TRY("setpgid", SYS_setpgid, pid, 0);
	TRY("getsid", SYS_getsid, pid);
	TRY("wait4", SYS_wait4, pid, 0, WNOHANG, 0);
}

// A child of this process that waits under another value of the word, and as another user when `uid` says so.
static pid_t make_child(uid_t uid, long value)
{
	int ends[2];
	char byte;
	CHECK(pipe(ends) == 0, "pipe");
	pid_t child = fork();
	if (child == 0) {
		word = value;
		if (uid != 0 && setresuid(uid, uid, uid) != 0) _exit(1);
		if (write(ends[1], "x", 1) != 1) _exit(1);
		for (;;) {
			if (word != value) _exit(3);
			usleep(10000);
		}
	}
	close(ends[1]);
	CHECK(read(ends[0], &byte, 1) == 1, "the child of user %d", (int)uid);
	close(ends[0]);
	return child;
}

static int is_refusal(void) { return errno == EPERM || errno == EACCES || errno == ENOENT || errno == EIO || errno == ESRCH || errno == ENOSYS; }

// Whoever has no right to `pid` gets an errno; whoever has one gets the word that it really has, or an errno.
static void reach(pid_t pid, long value, int has_right)
{
	char path[64];
	long seen = 0, other = 1;
	struct iovec local = {&seen, sizeof seen}, remote = {(void *)&word, sizeof word}, from = {&other, sizeof other};
	snprintf(path, sizeof path, "/proc/%d/mem", pid);
	static const int modes[] = {O_RDONLY, O_WRONLY, O_RDWR};
	for (int i = 0; i < 3; i++) {
		int fd = open(path, modes[i]);
		CHECK(fd >= 0 || is_refusal(), "open %s", path);
		CHECK(fd < 0 || has_right, "%s was opened with mode %d", path, i);
		if (fd < 0) continue;
		if (pread(fd, &seen, sizeof seen, (long)&word) == sizeof seen) CHECK(seen == value, "%s shows %lx", path, seen);
		close(fd);
	}
	if (process_vm_readv(pid, &local, 1, &remote, 1, 0) == -1) CHECK(is_refusal(), "process_vm_readv");
	else CHECK(has_right && seen == value, "process_vm_readv of %d shows %lx", pid, seen);
	if (has_right) return;
	CHECK(process_vm_writev(pid, &from, 1, &remote, 1, 0) == -1 && is_refusal(), "process_vm_writev of %d", pid);
	CHECK(ptrace(PTRACE_ATTACH, pid, 0, 0) == -1 && is_refusal(), "PTRACE_ATTACH of %d", pid);
	CHECK(ptrace(PTRACE_SEIZE, pid, 0, 0) == -1 && is_refusal(), "PTRACE_SEIZE of %d", pid);
	CHECK(kill(pid, SIGKILL) == -1 && errno == EPERM, "kill of %d", pid);
	struct rlimit limit = {1, 1};
	CHECK(prlimit(pid, RLIMIT_NOFILE, &limit, 0) == -1 && errno == EPERM, "prlimit of %d", pid);
	cpu_set_t cpus;
	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	CHECK(sched_setaffinity(pid, sizeof cpus, &cpus) == -1 && errno == EPERM, "sched_setaffinity of %d", pid);
	CHECK(sched_setscheduler(pid, SCHED_BATCH, &(struct sched_param){0}) == -1 && errno == EPERM, "sched_setscheduler of %d", pid);
	CHECK(setpriority(PRIO_PROCESS, pid, 19) == -1 && errno == EPERM, "setpriority of %d", pid);
	CHECK(syscall(SYS_ioprio_set, 1, pid, 3 << 13) == -1 && errno == EPERM, "ioprio_set of %d", pid);
	int pidfd = syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0) return;
	CHECK(syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, 0, 0) == -1 && errno == EPERM, "pidfd_send_signal to %d", pid);
	CHECK(syscall(SYS_pidfd_getfd, pidfd, 0, 0) == -1 && errno == EPERM, "pidfd_getfd of %d", pid);
	CHECK(syscall(SYS_process_madvise, pidfd, &remote, 1, 21, 0) == -1 && is_refusal(), "process_madvise of %d", pid);
	close(pidfd);
}

static int memory(void)
{
	pid_t own = make_child(0, 77), theirs = make_child(1000, 88), init = getpid();
	int status;
	reach(own, 77, 1);
	CHECK(setpriority(PRIO_PROCESS, own, 5) == 0, "setpriority of the own child");
	// A program that writes its own memory through /proc changes its own memory, or nothing.
	int fd = open("/proc/self/mem", O_RDWR);
	CHECK(fd >= 0 || is_refusal(), "open /proc/self/mem");
	if (fd >= 0) {
		long value = 5;
		ssize_t written = pwrite(fd, &value, sizeof value, (long)&word);
		CHECK(word == (written == sizeof value ? 5 : WORD), "/proc/self/mem wrote elsewhere");
		word = WORD;
		close(fd);
	}
	pid_t attacker = fork();
	if (attacker == 0) {
		if (setresgid(2000, 2000, 2000) != 0 || setresuid(2000, 2000, 2000) != 0) _exit(1);
		reach(init, WORD, 0);
		reach(own, 77, 0);
		reach(theirs, 88, 0);
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		exit(0);
	}
	CHECK(waitpid(attacker, &status, 0) == attacker && status == 0, "the attacker's status %x", status);
	CHECK(word == WORD, "init's memory was written");
	usleep(50000);
	CHECK(waitpid(own, &status, WNOHANG) == 0 && waitpid(theirs, &status, WNOHANG) == 0, "a victim ended: %x", status);
	CHECK(kill(own, SIGKILL) == 0 && kill(theirs, SIGKILL) == 0, "kill of the victims");
	printf("held\n");
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "wait") == 0) return wait_for_end();
	if (argc > 1 && strcmp(argv[1], "memory") == 0) return memory();
	if (argc < 4 || strcmp(argv[1], "aim") != 0) return 2;
	for (int i = 3; i < argc; i++) aim(atoi(argv[i]), (void *)strtoul(argv[2], 0, 16));
	return 0;
}
