// pidfd_open(2) and its like: readiness at the end, waiting by it, signals, descriptors of others, threads.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *name(long result) { return result < 0 ? strerrorname_np(errno) : "0"; }
static int pidfd(pid_t pid, unsigned flags) { return syscall(SYS_pidfd_open, pid, flags); }
static long tell(int fd, int signal, siginfo_t *info, unsigned flags) { return syscall(SYS_pidfd_send_signal, fd, signal, info, flags); }

static int ready(int fd, int ms) {
	struct pollfd entry = {fd, POLLIN, 0};
	poll(&entry, 1, ms);
	return entry.revents;
}

static int hits;
static void hit(int signal) { hits += signal == SIGUSR1; }

static int pipes[2];
static pid_t thread_id;
static void *thread(void *unused) {
	char byte;
	thread_id = gettid();
	write(pipes[1], "", 1);
	while (!hits) usleep(1000);
	return unused;
}

int main(void) {
	pipe(pipes);
	int blocked[2];
	pipe(blocked);
	pid_t child = fork();
	if (child == 0) {
		char byte;
		close(blocked[1]);
		read(blocked[0], &byte, 1);
		_exit(7);
	}
	int fd = pidfd(child, 0);
	struct stat status, other;
	fstat(fd, &status);
	printf("open %s %d %o mode %o\n", name(fd), fcntl(fd, F_GETFD), fcntl(fd, F_GETFL), status.st_mode);
	int again = pidfd(child, 0), self = pidfd(getpid(), 0);
	fstat(again, &other);
	printf("same %d", status.st_ino == other.st_ino);
	fstat(self, &other);
	printf(" other %d\n", status.st_ino != other.st_ino);
	printf("living %d\n", ready(fd, 10));
	printf("signal 0 %s bad %s %s info %s\n", name(tell(fd, 0, NULL, 0)), name(tell(fd, 65, NULL, 0)), name(tell(fd, 0, NULL, 8)), name(tell(fd, 0, (void *)8, 0)));
	siginfo_t info = {0};
	info.si_signo = SIGUSR2;
	printf("forged %s", name(tell(fd, SIGUSR1, &info, 0)));
	info.si_signo = SIGUSR1;
	printf(" %s\n", name(tell(fd, SIGUSR1, &info, 0)));
	siginfo_t result = {0};
	printf("not yet %s %d\n", name(waitid(P_PIDFD, fd, &result, WEXITED | WNOHANG)), result.si_pid);
	int set = epoll_create1(0);
	struct epoll_event event = {EPOLLIN, {0}};
	printf("add %s\n", name(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event)));
	close(blocked[1]);
	printf("ended %d epoll %d\n", ready(fd, 5000), epoll_wait(set, &event, 1, 1000));
	printf("zombie %s opened %s\n", name(tell(fd, SIGTERM, NULL, 0)), name(close(pidfd(child, 0))));
	printf("waited %s", name(waitid(P_PIDFD, fd, &result, WEXITED)));
	printf(" own %d code %d status %d\n", result.si_pid == child, result.si_code, result.si_status);
	printf("gone %d %s %s %s\n", ready(fd, 0), name(tell(fd, SIGTERM, NULL, 0)), name(waitid(P_PIDFD, fd, &result, WEXITED)), name(pidfd(child, 0)));

	child = fork();
	if (child == 0) for (;;) pause();
	int blocking = pidfd(child, O_NONBLOCK);
	printf("nonblocking %s %o\n", name(waitid(P_PIDFD, blocking, &result, WEXITED)), fcntl(blocking, F_GETFL));
	int killed = pidfd(child, 0);
	tell(killed, SIGKILL, NULL, 0);
	waitid(P_PIDFD, killed, &result, WEXITED);
	printf("killed %d %d\n", result.si_code, result.si_status);

	int gate[2], secret[2];
	pipe(gate), pipe(secret);
	child = fork();
	if (child == 0) {
		char byte;
		dup2(secret[0], 77);
		write(pipes[1], "", 1);
		close(gate[1]);
		read(gate[0], &byte, 1);
		_exit(0);
	}
	char byte, text[8] = "";
	read(pipes[0], &byte, 1);
	int third = pidfd(child, 0);
	int stolen = syscall(SYS_pidfd_getfd, third, 77, 0);
	write(secret[1], "hello", 5);
	read(stolen, text, 5);
	printf("stolen %s '%s' %d flags %s number %s\n", name(stolen), text, fcntl(stolen, F_GETFD), name(syscall(SYS_pidfd_getfd, third, 77, 1)),
		name(syscall(SYS_pidfd_getfd, third, 500, 0)));
	close(gate[1]);
	waitid(P_PIDFD, third, &result, WEXITED);
	printf("from the dead %s\n", name(syscall(SYS_pidfd_getfd, third, 77, 0)));

	signal(SIGUSR1, hit);
	printf("self %s", name(tell(self, SIGUSR1, NULL, 0)));
	printf(" hits %d\n", hits);
	hits = 0;
	pthread_t worker;
	pthread_create(&worker, NULL, thread, NULL);
	read(pipes[0], &byte, 1);
	printf("thread as process %s\n", name(pidfd(thread_id, 0)));
	int one = pidfd(thread_id, O_EXCL);
	printf("thread %s %o living %d", name(one), fcntl(one, F_GETFL), ready(one, 0));
	printf(" signal %s", name(tell(one, SIGUSR1, NULL, 0)));
	pthread_join(worker, NULL);
	printf(" hits %d ended %d\n", hits, ready(one, 5000) != 0);
	printf("errors %s %s %s %s %s\n", name(pidfd(0, 0)), name(pidfd(-1, 0)), name(pidfd(1 << 22, 0)), name(pidfd(getpid(), 1)), name(tell(pipes[0], 0, NULL, 0)));
	printf("waitid %s %s %s read %s\n", name(waitid(P_PIDFD, pipes[0], &result, WEXITED)), name(waitid(P_PIDFD, -1, &result, WEXITED)),
		name(waitid(P_PIDFD, self, &result, WEXITED)), name(read(self, text, 1)));
	char path[64], line[256];
	snprintf(path, sizeof path, "/proc/self/fd/%d", self);
	memset(line, 0, sizeof line);
	readlink(path, line, sizeof line - 1);
	puts(line);
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	FILE *file = fopen(path, "r");
	while (fgets(line, sizeof line, file))
		if (strstr(line, "id:") && !strstr(line, "mnt_id")) fputs(line, stdout);
}
