// Attacks on exec: argv[1] names one. Each prints "held" or what came through.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(is_right, ...) do { if (!(is_right)) { printf(__VA_ARGS__); printf(" (errno %d)\n", errno); exit(1); } } while (0)
#define NR_PLAN 0x1505
static char plan[65536];
static char *child_args[] = {"prog", "child", 0}, *no_env[] = {0};

static int status_of(pid_t child)
{
	int status;
	CHECK(waitpid(child, &status, 0) == child, "wait");
	return status;
}

// What an exec must not have changed: tells its parent by the exit status.
static int be_child(void)
{
	char image[64] = {0};
	CHECK(readlink("/proc/self/exe", image, sizeof image - 1) > 0, "/proc/self/exe");
	int is_set_id = strcmp(image, "/tmp/setid") == 0;
	if (!is_set_id && strcmp(image, "/bin/prog") != 0) return 10;
	return is_set_id == (geteuid() != getuid()) ? 7 : is_set_id ? 11 : 12;
}

static void parent_death(void)
{
	int ends[2], signal = -1;
	char byte;
	CHECK(prctl(PR_SET_PDEATHSIG, 0) == 0 && prctl(PR_SET_PDEATHSIG, SIGUSR1) == 0, "PR_SET_PDEATHSIG of init");
	CHECK(prctl(PR_SET_PDEATHSIG, 65) == -1 && errno == EINVAL, "PR_SET_PDEATHSIG of 65");
	CHECK(pipe(ends) == 0, "pipe");
	pid_t child = fork();
	if (child == 0) {
		if (fork() == 0) {
			sigset_t set;
			sigemptyset(&set);
			sigaddset(&set, SIGUSR2);
			sigprocmask(SIG_BLOCK, &set, 0);
			if (prctl(PR_SET_PDEATHSIG, SIGUSR2) != 0 || prctl(PR_GET_PDEATHSIG, &signal) != 0 || signal != SIGUSR2) _exit(1);
			if (write(ends[1], "x", 1) != 1) _exit(1);
			sigwait(&set, &signal);
			_exit(signal == SIGUSR2 && write(ends[1], "y", 1) == 1 ? 0 : 1);
		}
		_exit(read(ends[0], &byte, 1) == 1 ? 0 : 1);
	}
	close(ends[1]);
	CHECK(status_of(child) == 0, "the parent");
	CHECK(read(ends[0], &byte, 1) == 1 && byte == 'y', "the grandchild saw no signal");
	for (int option = 0; option < 200; option++) {
		// Known ones are other checks' own; none may end the process or be one that the host alone decides.
		if (option == PR_SET_PDEATHSIG || option == PR_SET_NAME || option == PR_SET_SECCOMP || option == PR_CAPBSET_DROP) continue;
		if (fork() == 0) {
			alarm(10);
			prctl(option, -1L, -1L, -1L, -1L);
			_exit(0);
		}
		int status;
		CHECK(wait(&status) > 0 && status == 0, "prctl %d ended the process: %x", option, status);
	}
}

static void other_personality(void)
{
	static const unsigned long wanted[] = {ADDR_NO_RANDOMIZE, READ_IMPLIES_EXEC, PER_LINUX32, PER_LINUX32 | ADDR_LIMIT_3GB, MMAP_PAGE_ZERO};
	unsigned long stacks[12];
	int ends[2], equal = 0;
	CHECK(pipe(ends) == 0, "pipe");
	for (int i = 0; i < 12; i++) {
		pid_t child = fork();
		if (child == 0) {
			char number[16], *args[] = {"prog", "look", number, 0};
			personality(wanted[i % 5]);
			sprintf(number, "%d", ends[1]);
			execve("/bin/prog", args, no_env);
			_exit(1);
		}
		CHECK(status_of(child) == 0, "personality %lx and exec", wanted[i % 5]);
		CHECK(read(ends[0], &stacks[i], sizeof *stacks) == sizeof *stacks, "read");
		for (int j = 0; j < i; j++) equal += stacks[i] == stacks[j];
	}
	CHECK(equal == 0, "%d of the stacks lie in one place", equal);
}

// After personality(2) and exec: where the stack is, and that readable memory isn't executable and nothing is mapped at 0.
static int look(int fd)
{
	unsigned long here = (unsigned long)__builtin_frame_address(0);
	unsigned char *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	*page = 0xc3;
	pid_t child = fork();
	if (child == 0) {
		((void (*)(void))page)();
		_exit(0);
	}
	int status = status_of(child);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "readable memory was executed: %x", status);
	return write(fd, &here, sizeof here) == sizeof here ? 0 : 1;
}

static void *storm_thread(void *unused)
{
	for (int i = 0; i < 60; i++) {
		pid_t child = vfork();
		if (child == 0) {
			execve(i % 3 == 2 ? "/bin/nothing" : "/bin/prog", child_args, no_env);
			_exit(8);
		}
		int status = status_of(child);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == (i % 3 == 2 ? 8 : 7), "vfork and exec %d: %x", i, status);
	}
	return unused;
}

static void storm(void)
{
	pthread_t threads[6];
	for (int i = 0; i < 6; i++) CHECK(pthread_create(&threads[i], 0, storm_thread, 0) == 0, "thread");
	for (int i = 0; i < 6; i++) pthread_join(threads[i], 0);
}

static pthread_barrier_t barrier;

static void *exec_thread(void *path)
{
	pthread_barrier_wait(&barrier);
	execve(path, child_args, no_env);
	for (;;) pause();
	return 0;
}

static void everyone(void)
{
	for (int i = 0; i < 40; i++) {
		pid_t child = fork();
		if (child == 0) {
			pthread_t thread;
			pthread_barrier_init(&barrier, 0, 8);
			for (int j = 0; j < 7; j++) pthread_create(&thread, 0, exec_thread, "/bin/prog");
			exec_thread("/bin/prog");
		}
		int status = status_of(child);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7, "exec of 8 threads, round %d: %x", i, status);
	}
}

static char *large_args[3];

static void *forge_thread(void *unused)
{
	(void)unused;
	pthread_barrier_wait(&barrier);
	for (;;) {
		long result = syscall(NR_PLAN, plan, sizeof plan);
		if (result != -1 || errno != ENOSYS) _exit(9);
	}
}

// Its execs fail in the host, after the guest kernel's check: their plan, with another user's credentials, must never become the other's.
static void *fail_thread(void *unused)
{
	(void)unused;
	pthread_barrier_wait(&barrier);
	for (;;) execve("/tmp/setid", large_args, no_env);
	return 0;
}

static void *late_exec_thread(void *unused)
{
	(void)unused;
	pthread_barrier_wait(&barrier);
	usleep(rand() % 3000);
	execve("/bin/prog", child_args, no_env);
	_exit(8);
}

static void raced(void)
{
	int right = 0;
	char buffer[65536];
	large_args[0] = "prog";
	large_args[1] = malloc(1 << 22);
	memset(large_args[1], 'a', 1 << 22);
	large_args[1][(1 << 22) - 1] = 0;
	int from = open("/bin/prog", O_RDONLY), to = open("/tmp/setid", O_CREAT | O_WRONLY, 0755);
	for (ssize_t size; (size = read(from, buffer, sizeof buffer)) > 0;) CHECK(write(to, buffer, size) == size, "copy");
	close(to);
	CHECK(chmod("/tmp/setid", 04755) == 0, "chmod");
	for (int i = 0; i < 120; i++) {
		pid_t child = fork();
		if (child == 0) {
			pthread_t thread;
			srand(i);
			if (setresuid(1000, 1000, 1000) != 0) _exit(1);
			pthread_barrier_init(&barrier, 0, 4);
			pthread_create(&thread, 0, late_exec_thread, 0);
			pthread_create(&thread, 0, i % 2 ? fail_thread : forge_thread, 0);
			pthread_create(&thread, 0, forge_thread, 0);
			// The thread whose number the loader's will be forges, too.
			forge_thread(0);
		}
		// Whoever takes its own plan away dies of it: the loader ends with 127.
		int status = status_of(child), code = WEXITSTATUS(status);
		CHECK(WIFSIGNALED(status) || code < 9 || code == 127, "round %d: a plan or credentials got to the wrong program: %x", i, status);
		if (WIFEXITED(status) && code == 7) right++;
	}
	CHECK(right > 0, "no exec came through: nothing was raced");
}

int main(int argc, char **argv)
{
	static const struct { const char *name; void (*attack)(void); } attacks[] = {{"death", parent_death}, {"personality", other_personality},
		{"storm", storm}, {"everyone", everyone}, {"raced", raced}};
	if (argc < 2) return 2;
	if (strcmp(argv[1], "child") == 0) return be_child();
	if (strcmp(argv[1], "look") == 0) return look(atoi(argv[2]));
	for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++) {
		if (strcmp(argv[1], attacks[i].name) != 0) continue;
		attacks[i].attack();
		printf("held\n");
		return 0;
	}
	return 2;
}
