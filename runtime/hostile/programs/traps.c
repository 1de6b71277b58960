// What facts about the host's traps would break in a naive guest kernel; argv[1] names the check, each prints "right" or what went wrong.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(is_right, ...) do { if (!(is_right)) { printf(__VA_ARGS__); printf(" (errno %d)\n", errno); exit(1); } } while (0)
static volatile sig_atomic_t handled;
static sigjmp_buf back;
static void count(int signal) { (void)signal; handled++; }
static void jump(int signal) { (void)signal; siglongjmp(back, 1); }

static void handle(int signal, void (*handler)(int), int flags)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
	sigaction(signal, &action, 0);
}

static void start_timer(int microseconds)
{
	struct itimerval timer = {{0, microseconds}, {0, microseconds}};
	setitimer(ITIMER_REAL, &timer, 0);
}

static void no_answer_lost(void)
{
	handle(SIGALRM, count, SA_RESTART);
	start_timer(200);
	umask(0);
	for (int i = 1; i <= 200000; i++) {
		int before = umask(i & 0777);
		CHECK(before == ((i - 1) & 0777), "call %d answered %d", i, before);
	}
	start_timer(0);
	CHECK(handled > 100, "only %d signals", (int)handled);
}

// Forks a process that sends `first` (and `second`) to this one and then writes a byte to the pipe.
static pid_t disturb(int to, int first, int second)
{
	pid_t parent = getpid(), child = fork();
	if (child == 0) {
		usleep(100000);
		kill(parent, first);
		usleep(100000);
		if (second) kill(parent, second);
		usleep(100000);
		if (write(to, "x", 1) != 1) _exit(1);
		_exit(0);
	}
	return child;
}

static void blocked_call_ends(void)
{
	int ends[2];
	char byte;
	CHECK(pipe(ends) == 0, "pipe");
	handle(SIGUSR1, count, 0);
	pid_t child = disturb(ends[1], SIGUSR1, 0);
	CHECK(read(ends[0], &byte, 1) == -1 && errno == EINTR && handled == 1, "a handler without SA_RESTART");
	CHECK(read(ends[0], &byte, 1) == 1, "the read after it");
	waitpid(child, 0, 0);
	handle(SIGUSR1, count, SA_RESTART);
	child = disturb(ends[1], SIGUSR1, 0);
	CHECK(read(ends[0], &byte, 1) == 1 && handled == 2, "a handler with SA_RESTART");
	waitpid(child, 0, 0);
	handle(SIGUSR1, jump, 0);
	child = disturb(ends[1], SIGUSR1, 0);
	if (sigsetjmp(back, 1) == 0) CHECK(read(ends[0], &byte, 1) == -2, "the read came back instead of the jump");
	CHECK(read(ends[0], &byte, 1) == 1, "a read after siglongjmp");
	waitpid(child, 0, 0);
	// Stop and continue: the reader is the child, because a container's first process doesn't stop.
	int answers[2];
	CHECK(pipe(answers) == 0, "pipe");
	child = fork();
	if (child == 0) _exit(read(ends[0], &byte, 1) == 1 ? 0 : 1);
	int status;
	usleep(50000);
	kill(child, SIGSTOP);
	CHECK(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status), "a stop wasn't seen");
	kill(child, SIGCONT);
	usleep(50000);
	CHECK(write(ends[1], "x", 1) == 1, "write");
	CHECK(waitpid(child, &status, 0) == child && status == 0, "a read over stop and continue: status %x", status);
}

static void fork_comes_back(void)
{
	handle(SIGALRM, count, SA_RESTART);
	start_timer(1000);
	for (int i = 0; i < 300; i++) {
		int status;
		pid_t child = fork();
		if (child == 0) _exit(i & 0x7f);
		CHECK(child > 0, "fork %d", i);
		CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == (i & 0x7f), "fork %d: status %x", i, status);
		CHECK(waitpid(-1, &status, WNOHANG) == -1 && errno == ECHILD, "fork %d made two children", i);
	}
	start_timer(0);
}

static void exit_before_next_call(void)
{
	for (int i = 0; i < 2000; i++) {
		int ends[2];
		char byte;
		CHECK(pipe2(ends, O_NONBLOCK) == 0, "pipe %d", i);
		pid_t child = fork();
		if (child == 0) _exit(0);
		close(ends[1]);
		CHECK(waitpid(child, 0, 0) == child, "wait %d", i);
		CHECK(read(ends[0], &byte, 1) == 0, "round %d: the dead child still holds the pipe", i);
		close(ends[0]);
	}
}

static void *check_mask(void *expected)
{
	mode_t mask = (mode_t)(long)expected;
	return (void *)(long)(umask(mask) != mask);
}

static void *idle(void *unused) { return unused; }

// Thread ids go once around (the host's limit is 32768 at least) while two processes with masks of their own look at theirs.
static void thread_ids_come_back(void)
{
	pid_t child = fork();
	long mask = child == 0 ? 0123 : 0321;
	umask((mode_t)mask);
	for (int i = 0; i < 17000; i++) {
		pthread_t thread;
		void *is_wrong = 0;
		CHECK(pthread_create(&thread, 0, i % 8 ? idle : check_mask, (void *)(i % 8 ? 0 : mask)) == 0, "thread %d", i);
		pthread_join(thread, &is_wrong);
		CHECK(!is_wrong, "thread %d was taken for another process's", i);
	}
	if (child == 0) exit(0);
	int status;
	CHECK(waitpid(child, &status, 0) == child && status == 0, "the child's status %x", status);
}

// The child is killed while its own fork is under way: whose child the grandchild is can't be asked for any more.
static void orphan_is_found(void)
{
	int ends[2];
	CHECK(pipe(ends) == 0, "pipe");
	for (int i = 0; i < 300; i++) {
		int status;
		char byte;
		pid_t child = fork();
		CHECK(child >= 0, "fork %d", i);
		if (child == 0) {
			umask(5);
			if (fork() == 0) _exit(umask(0) == 5 && write(ends[1], "x", 1) == 1 ? 0 : 1);
			raise(SIGKILL);
		}
		CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status), "child %d: status %x", i, status);
		CHECK(read(ends[0], &byte, 1) == 1, "the orphan %d", i);
	}
}

int main(int argc, char **argv)
{
	static const struct { const char *name; void (*check)(void); } checks[] = {{"answers", no_answer_lost}, {"blocked", blocked_call_ends},
		{"fork", fork_comes_back}, {"exit", exit_before_next_call}, {"threads", thread_ids_come_back},
		{"orphan", orphan_is_found}};
	for (size_t i = 0; argc > 1 && i < sizeof checks / sizeof *checks; i++) {
		if (strcmp(argv[1], checks[i].name) != 0) continue;
		checks[i].check();
		printf("right\n");
		return 0;
	}
	return 2;
}
