/* Who writes to a file and who executes it (ETXTBSY), in the folder that is named or the working directory. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void show(const char *what, long result) {
	printf("%s = %s\n", what, result < 0 ? strerrorname_np(errno) : "ok");
	fflush(stdout);
}
/* A descriptor that it gives is closed at once. */
#define SHOW(call) \
	do { \
		long result = (call); \
		show(#call, result); \
		if (result > 2) close((int)result); \
	} while (0)

static void copy_to(int out) {
	char bytes[65536];
	int in = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	for (ssize_t n; (n = read(in, bytes, sizeof bytes)) > 0;)
		if (write(out, bytes, n) != n) perror("write");
	close(in);
}

static void copy(const char *to) {
	int out = open(to, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0755);
	copy_to(out);
	close(out);
}

/* Executes it in a child: "ok", or the errno. */
static void run(const char *what, const char *program) {
	int ends[2];
	pipe2(ends, O_CLOEXEC);
	pid_t child = fork();
	if (child == 0) {
		execl(program, program, "run", NULL);
		int error = errno;
		write(ends[1], &error, sizeof error);
		_exit(1);
	}
	close(ends[1]);
	int error = 0;
	read(ends[0], &error, sizeof error);
	close(ends[0]);
	int status;
	waitpid(child, &status, 0);
	printf("execve, %s: %s %d\n", what, error != 0 ? strerrorname_np(error) : "ok", WEXITSTATUS(status));
	fflush(stdout);
}

static pid_t start(const char *program) {
	int gate[2];
	pipe2(gate, O_CLOEXEC);
	pid_t child = fork();
	if (child == 0) {
		execl(program, program, "wait", NULL);
		_exit(1);
	}
	close(gate[1]);
	/* Ends when the child's copy is closed, by its exec. */
	char byte;
	while (read(gate[0], &byte, 1) > 0) {
	}
	close(gate[0]);
	return child;
}

static void end(pid_t child) {
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void writers(void) {
	int fd = open("prog", O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0755);
	copy_to(fd);
	run("open for both", "prog");
	int other = fcntl(fd, F_DUPFD_CLOEXEC, 50);
	close(fd);
	run("a copy of the descriptor", "prog");
	SHOW(link("prog", "link"));
	run("by another name", "link");
	unlink("link");
	/* Nobody's but a message's that is on its way. */
	int ends[2];
	socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr header;
	} control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	memcpy(CMSG_DATA(&control.header), &other, sizeof other);
	struct iovec part = {"x", 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
	sendmsg(ends[0], &message, 0);
	close(other);
	run("in flight", "prog");
	close(ends[0]);
	close(ends[1]);
	run("by nobody", "prog");
	fd = open("prog", O_WRONLY | O_APPEND | O_CLOEXEC);
	run("to append", "prog");
	close(fd);
	fd = open("prog", O_RDONLY | O_CLOEXEC);
	run("to read", "prog");
	close(fd);
	fd = open("prog", O_PATH | O_CLOEXEC);
	run("as a path", "prog");
	close(fd);
	fd = open("prog", O_ACCMODE | O_CLOEXEC);
	run("for nothing", "prog");
	close(fd);
	/* The child of another process has it. */
	fd = open("prog", O_WRONLY);
	pid_t child = start("copy");
	close(fd);
	run("by another process", "prog");
	end(child);
	run("by one that has ended", "prog");
	fd = open("script", O_CREAT | O_WRONLY | O_CLOEXEC, 0755);
	char line[300], folder[256];
	write(fd, line, snprintf(line, sizeof line, "#!%s/prog\n", getcwd(folder, sizeof folder)));
	run("a script", "script");
	close(fd);
	run("a script by nobody", "script");
	fd = open("prog", O_WRONLY | O_CLOEXEC);
	run("a script's interpreter", "script");
	close(fd);
	fd = open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0755);
	if (fd >= 0) {
		copy_to(fd);
		snprintf(line, sizeof line, "/proc/self/fd/%d", fd);
		run("without a name", line);
		close(fd);
	}
	fd = memfd_create("program", MFD_CLOEXEC);
	copy_to(fd);
	snprintf(line, sizeof line, "/proc/self/fd/%d", fd);
	run("a memfd's first description", line);
	int second = open(line, O_WRONLY | O_CLOEXEC);
	run("a memfd's second description", line);
	close(second);
	close(fd);
}

static void runners(void) {
	pid_t child = start("./prog");
	SHOW(open("prog", O_WRONLY));
	SHOW(open("prog", O_RDWR));
	SHOW(open("prog", O_RDONLY | O_TRUNC));
	SHOW(open("prog", O_ACCMODE));
	SHOW(open("prog", O_RDONLY | O_APPEND));
	SHOW(open("prog", O_WRONLY | O_CREAT, 0700));
	SHOW(open("prog", O_WRONLY | O_CREAT | O_EXCL, 0700));
	SHOW(truncate("prog", 0));
	SHOW(link("prog", "link"));
	SHOW(open("link", O_WRONLY));
	SHOW(unlink("link"));
	SHOW(chmod("prog", 0644));
	SHOW(open("prog", O_WRONLY));
	SHOW(rename("prog", "renamed"));
	SHOW(open("renamed", O_RDWR));
	SHOW(utimensat(AT_FDCWD, "renamed", NULL, 0));
	SHOW(rename("renamed", "prog"));
	SHOW(chmod("prog", 0755));
	/* The same program twice: the first one's end is not enough. */
	pid_t second = start("./prog");
	end(child);
	SHOW(open("prog", O_WRONLY));
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/exe", second);
	SHOW(open(path, O_WRONLY));
	SHOW(open(path, O_RDONLY));
	end(second);
	SHOW(open("prog", O_WRONLY));
	/* What a process no longer runs is free. */
	child = start("./prog");
	SHOW(unlink("prog"));
	copy("prog");
	SHOW(open("prog", O_WRONLY));
	end(child);
	/* A fork runs it, too. */
	child = fork();
	if (child == 0) {
		execl("./prog", "prog", "fork", NULL);
		_exit(1);
	}
	int status;
	waitpid(child, &status, 0);
	SHOW(open("prog", O_WRONLY));
	kill(-child, SIGKILL);
}

int main(int argc, char **argv) {
	if (argc > 1 && strcmp(argv[1], "wait") == 0) {
		pause();
		return 0;
	}
	if (argc > 1 && strcmp(argv[1], "fork") == 0) {
		setpgid(0, 0);
		if (fork() == 0) {
			close(1);
			pause();
		}
		return 0;
	}
	/* "run", or the name of a script. */
	if (argc > 1 && strchr(argv[1], '/') == NULL) return 3;
	if (argc > 1 && chdir(argv[1]) != 0) return 1;
	copy("copy");
	writers();
	runners();
	unlink("prog"), unlink("copy"), unlink("script");
	return 0;
}
