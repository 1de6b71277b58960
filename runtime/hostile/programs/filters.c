// Guests' own seccomp filters as a way out: none lets a call through that the guest kernel answers, and none costs the host more than its share.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

static long raw(long result)
{
	return result == -1 ? -errno : result;
}
#define CALL(...) raw(syscall(__VA_ARGS__))

static long install(struct sock_filter *code, unsigned length)
{
	struct sock_fprog program = {(unsigned short)length, code};
	return CALL(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

static void fail(const char *what, long value)
{
	printf("%s %ld\n", what, value);
	fflush(stdout);
	_exit(1);
}

// What only the guest kernel answers like this: the host would do it, or say something else.
static void check_confined(void)
{
	static char page[4096];
	struct utsname name;
	if (CALL(425, 8, page) != -ENOSYS) fail("io_uring_setup", CALL(425, 8, page));
	if (CALL(SYS_ptrace, 0, 0, 0, 0) != -EPERM) fail("ptrace", CALL(SYS_ptrace, 0, 0, 0, 0));
	if (CALL(SYS_socket, AF_NETLINK, SOCK_RAW, 9) > 0) fail("audit socket", 0);
	if (CALL(SYS_add_key, "user", "a", "b", 1, -3) != -ENOSYS) fail("add_key", CALL(SYS_add_key, "user", "a", "b", 1, -3));
	if (uname(&name) != 0 || strncmp(name.release, "6.12", 4) != 0) fail("uname", 0);
	if (CALL(SYS_getpid) != getpid()) fail("getpid", 0);
}

// Filters that allow, log, trace or tell of everything.
static void results(void)
{
	uint32_t values[] = {SECCOMP_RET_ALLOW, SECCOMP_RET_LOG, SECCOMP_RET_TRACE, SECCOMP_RET_USER_NOTIF};
	for (int i = 0; i < 4; i++) {
		pid_t child = fork();
		if (child == 0) {
			struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, values[i])};
			if (install(code, 1) != 0) fail("install", i);
			if (i < 2) {
				check_confined();
				_exit(0);
			}
			// Nothing works any more, the end of the process either.
			char page[64];
			if (CALL(425, 8, page) != -ENOSYS || CALL(SYS_getpid) != -ENOSYS || CALL(SYS_getuid) != -ENOSYS) *(volatile char *)8 = 1;
			__builtin_trap();
		}
		int status;
		waitpid(child, &status, 0);
		if (i < 2 ? status != 0 : !WIFSIGNALED(status) || WTERMSIG(status) != SIGILL) fail("child", status);
	}
}

static char *volatile target;
static volatile int is_over;
static __thread sigjmp_buf again;

static void on_fault(int signal)
{
	(void)signal;
	siglongjmp(again, 1);
}

// Overwrites the program where the guest kernel puts it, as fast as it can.
static void *overwrite(void *argument)
{
	uint32_t result = (uint32_t)(uintptr_t)argument;
	struct sock_filter replacement = BPF_STMT(BPF_RET | BPF_K, result);
	while (!is_over) {
		if (sigsetjmp(again, 1) != 0) continue;
		for (int i = 0; i < 20; i++) ((volatile struct sock_filter *)(target + 16))[i] = replacement;
	}
	return NULL;
}

static void race(void)
{
	struct sigaction action = {.sa_handler = on_fault, .sa_flags = SA_NODEFER};
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	uint32_t values[] = {SECCOMP_RET_ALLOW, SECCOMP_RET_USER_NOTIF, SECCOMP_RET_TRACE, SECCOMP_RET_LOG};
	for (int i = 0; i < 4; i++) {
		pid_t child = fork();
		if (child == 0) {
			struct sock_filter code[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
			                             BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 71), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
			pthread_t thread;
			target = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			pthread_create(&thread, NULL, overwrite, (void *)(uintptr_t)values[i]);
			munmap(target, 4096);
			for (int round = 0; round < 100; round++) {
				long result = install(code, 4);
				// It has hit itself: its own affair.
				if (result == -ENOSYS || result == -EINVAL) continue;
				if (result != 0) fail("install", result);
			}
			is_over = 1;
			if (CALL(SYS_getuid) != -ENOSYS) check_confined();
			__builtin_trap();
		}
		int status;
		waitpid(child, &status, 0);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGILL) fail("racer", status);
	}
}

// As many long filters as there is room for, each in a process that stays.
static int fill(int ends[2])
{
	static struct sock_filter code[4000];
	for (int i = 0; i < 4000; i++) code[i] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	int count = 0;
	for (;;) {
		int told[2];
		if (pipe(told) != 0) fail("pipe", errno);
		pid_t child = fork();
		if (child == 0) {
			long result = install(code, 4000);
			char byte = result == 0 ? 'y' : result == -ENOMEM ? 'n' : '?';
			close(ends[1]);
			if (write(told[1], &byte, 1) != 1 || read(ends[0], &byte, 1) != 0) _exit(1);
			_exit(0);
		}
		char byte = 0;
		if (read(told[0], &byte, 1) != 1 || byte == '?') fail("told", byte);
		close(told[0]);
		close(told[1]);
		if (byte == 'n') return count;
		if (++count > 100) fail("no bound", count);
	}
}

static void exhaust(void)
{
	int counts[2];
	for (int i = 0; i < 2; i++) {
		int ends[2];
		if (pipe(ends) != 0) fail("pipe", errno);
		counts[i] = fill(ends);
		// At the bound a small one has no room either, and nothing else is harmed.
		check_confined();
		close(ends[1]);
		while (wait(NULL) > 0) continue;
		close(ends[0]);
	}
	if (counts[0] < 8 || counts[0] != counts[1]) fail("filled", counts[0] * 1000 + counts[1]);
}

int main(int argc, char **argv)
{
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (argc < 2) return 1;
	if (strcmp(argv[1], "results") == 0) results();
	if (strcmp(argv[1], "race") == 0) race();
	if (strcmp(argv[1], "exhaust") == 0) exhaust();
	printf("right\n");
	return 0;
}
