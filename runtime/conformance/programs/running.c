/* What is special about a program that runs (ETXTBSY), /proc/PID in a pidfd's place, and RENAME_WHITEOUT. Runs in an empty folder of a tmpfs. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static void show(const char *what, long result) {
	printf("%s = %d%s%s\n", what, result < 0 ? -1 : 0, result < 0 ? " " : "", result < 0 ? strerrorname_np(errno) : "");
	fflush(stdout);
}
#define SHOW(call) show(#call, (call))

static void copy(const char *from, const char *to) {
	char bytes[65536];
	int in = open(from, O_RDONLY), out = open(to, O_CREAT | O_WRONLY | O_TRUNC, 0755);
	for (ssize_t n; (n = read(in, bytes, sizeof bytes)) > 0;)
		if (write(out, bytes, n) != n) perror("write");
	close(in);
	close(out);
}

int main(int argc, char **argv) {
	if (argc > 1) {
		pause();
		return 0;
	}
	copy("/proc/self/exe", "prog");
	int gate[2];
	if (pipe2(gate, O_CLOEXEC) < 0) return 1;
	pid_t child = fork();
	if (child == 0) {
		execl("./prog", "prog", "wait", NULL);
		_exit(1);
	}
	close(gate[1]);
	/* Ends when the child's copy is closed, by its exec. */
	char byte;
	while (read(gate[0], &byte, 1) > 0) {
	}
	SHOW(open("prog", O_WRONLY));
	SHOW(open("prog", O_RDWR));
	SHOW(open("prog", O_RDONLY | O_TRUNC));
	SHOW(open("prog", O_RDONLY));
	SHOW(truncate("prog", 0));
	SHOW(chmod("prog", 0755));
	SHOW(rename("prog", "renamed"));
	SHOW(open("renamed", O_WRONLY));
	char path[64];
	snprintf(path, sizeof path, "/proc/%d", child);
	int fd = open(path, O_DIRECTORY | O_RDONLY);
	SHOW(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
	SHOW(syscall(SYS_pidfd_send_signal, open("/proc", O_RDONLY), 0, NULL, 0));
	SHOW(syscall(SYS_pidfd_send_signal, open(path, O_PATH), 0, NULL, 0));
	strcat(path, "/task");
	SHOW(syscall(SYS_pidfd_send_signal, open(path, O_RDONLY), 0, NULL, 0));
	SHOW(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0));
	int status;
	waitpid(child, &status, 0);
	printf("ended by %d\n", WTERMSIG(status));
	SHOW(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0));
	SHOW(open("renamed", O_WRONLY));

	struct stat st;
	SHOW(renameat2(AT_FDCWD, "renamed", AT_FDCWD, "moved", RENAME_WHITEOUT | RENAME_EXCHANGE));
	SHOW(renameat2(AT_FDCWD, "nothing", AT_FDCWD, "moved", RENAME_WHITEOUT));
	SHOW(renameat2(AT_FDCWD, "renamed", AT_FDCWD, "moved", RENAME_WHITEOUT));
	SHOW(stat("renamed", &st));
	printf("%o %d:%d\n", st.st_mode, major(st.st_rdev), minor(st.st_rdev));
	SHOW(renameat2(AT_FDCWD, "renamed", AT_FDCWD, "moved", RENAME_WHITEOUT | RENAME_NOREPLACE));
	SHOW(access("moved", X_OK));
	return 0;
}
