// Tries to execute natively, to forge the loader's plan trap, and to leave the root by /proc; argv[1] names the attack. Each prints "held"
// or what came through. The root has no /etc: whatever opens there came from outside.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(is_right, ...) do { if (!(is_right)) { printf(__VA_ARGS__); printf(" (errno %d)\n", errno); exit(1); } } while (0)
#define NR_PLAN 0x1505
#define AT_EXECVE_CHECK 0x10000
static char plan[65536];

static int ended(pid_t child)
{
	int status;
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status), "a child ended badly");
	return WEXITSTATUS(status);
}

static int execute(int fd, int flags)
{
	char *args[] = {"prog", "child", 0}, *env[] = {0};
	pid_t child = fork();
	if (child == 0) {
		syscall(SYS_execveat, fd, "", args, env, flags);
		_exit(errno);
	}
	return ended(child);
}

// Descriptors that were mapped are open natively under their number: an execveat of them must still be the guest kernel's.
static void lent_descriptors(void)
{
	int program = open("/bin/prog", O_RDONLY), text = open("/tmp/text", O_CREAT | O_RDWR, 0755), memory = memfd_create("m", 0);
	CHECK(write(text, "own", 3) == 3 && (memory < 0 || ftruncate(memory, 4096) == 0), "set-up");
	for (int i = 0; i < 20; i++) {
		int fds[] = {program, text, memory};
		for (int j = 0; j < (memory < 0 ? 2 : 3); j++) CHECK(mmap(0, 4096, PROT_READ, MAP_PRIVATE, fds[j], 0) != MAP_FAILED, "mmap of %d", j);
		// The guest kernel never executes by descriptor; fexecve(3) takes this errno as the sign to go by /proc/self/fd.
		for (int j = 0; j < 3; j++) {
			int seen = execute(fds[j], AT_EMPTY_PATH);
			CHECK(seen == ENOSYS, "execveat of descriptor %d: %d", fds[j], seen);
		}
		CHECK(execute(program, 0) == ENOENT, "execveat without AT_EMPTY_PATH");
		CHECK(execute(program, AT_EMPTY_PATH | AT_EXECVE_CHECK) == EINVAL, "AT_EXECVE_CHECK");
	}
}

static void forged_plan(void)
{
	CHECK(syscall(NR_PLAN, plan, sizeof plan) == -1 && errno == ENOSYS, "a plan without an exec");
	// Far too long for the host: the exec fails after the guest kernel's check, and its plan must be gone with it.
	uid_t real, effective, saved;
	char *large = malloc(1 << 22);
	memset(large, 'a', 1 << 22);
	large[(1 << 22) - 1] = 0;
	char *args[] = {"prog", large, 0}, *env[] = {0};
	CHECK(chmod("/bin/prog", 04755) == 0 && setresuid(1000, 1000, 1000) == 0, "set-up");
	for (int i = 0; i < 50; i++) {
		CHECK(syscall(SYS_execve, "/bin/prog", args, env) == -1 && errno == E2BIG, "an exec that is too large");
		CHECK(syscall(NR_PLAN, plan, sizeof plan) == -1 && errno == ENOSYS, "the plan of a failed exec");
		// The same from the loader's own gate, if it is mapped: a jump there may fault, which ends the child.
		pid_t child = fork();
		if (child == 0) {
			long result;
			syscall(SYS_execve, "/bin/prog", args, env);
			register long buffer __asm__("rdi") = (long)plan, size __asm__("rsi") = sizeof plan;
			__asm__ volatile("mov $0x680000010008, %%rcx; call *%%rcx" : "=a"(result) : "a"(NR_PLAN), "r"(buffer), "r"(size) : "rcx", "r11", "memory");
			_exit(result == -ENOSYS ? 0 : 1);
		}
		int status;
		CHECK(waitpid(child, &status, 0) == child && (status == 0 || WIFSIGNALED(status)), "a plan from the gate: %x", status);
		CHECK(getresuid(&real, &effective, &saved) == 0 && real == 1000 && effective == 1000 && saved == 1000, "credentials gained");
		CHECK(setuid(0) == -1 && errno == EPERM, "setuid(0)");
	}
}

static void proc_tricks(void)
{
	static const char *const links[] = {"/proc/1/root", "/proc/1/cwd", "/proc/self/root", "/proc/self/cwd", "/proc/self/fd/9"};
	int root = open("/", O_RDONLY | O_DIRECTORY);
	CHECK(dup2(root, 9) == 9, "dup2");
	for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
		int at = open(links[i], O_RDONLY | O_DIRECTORY);
		for (int depth = 0; at >= 0 && depth < 20; depth++) {
			CHECK(faccessat(at, "etc/passwd", F_OK, 0) == -1, "%s led outside after %d steps", links[i], depth);
			int up = openat(at, "..", O_RDONLY | O_DIRECTORY);
			close(at);
			at = up;
		}
		CHECK(at >= 0, "%s/..", links[i]);
		close(at);
	}
	static const char *const knobs[] = {"/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/kernel/hostname",
		"/proc/sysrq-trigger", "/proc/sys/vm/overcommit_memory", "/proc/sys/kernel/randomize_va_space"};
	for (size_t i = 0; i < sizeof knobs / sizeof *knobs; i++) {
		int fd = open(knobs[i], O_WRONLY);
		CHECK(fd == -1 || write(fd, "x", 1) == -1, "%s was written", knobs[i]);
		if (fd >= 0) close(fd);
	}
	CHECK(prctl(PR_SET_MM, 1, plan, 0, 0) == -1, "PR_SET_MM");
	CHECK(prctl(0x7fffffff, 0, 0, 0, 0) == -1 && errno == EINVAL, "an unknown prctl");
	for (int pid = 2; pid < 3000; pid++) {
		if (pid == getpid()) continue;
		CHECK(kill(pid, SIGKILL) == -1 && errno == ESRCH, "kill(%d)", pid);
		CHECK(syscall(SYS_tkill, pid, SIGKILL) == -1 && errno == ESRCH, "tkill(%d)", pid);
	}
}

int main(int argc, char **argv)
{
	static const struct { const char *name; void (*attack)(void); } attacks[] = {{"lent", lent_descriptors}, {"plan", forged_plan},
		{"proc", proc_tricks}};
	if (argc < 2) return 2;
	if (strcmp(argv[1], "child") == 0) return 7;
	for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++) {
		if (strcmp(argv[1], attacks[i].name) != 0) continue;
		attacks[i].attack();
		printf("held\n");
		return 0;
	}
	return 2;
}
