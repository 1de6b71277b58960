// Record locks, open file description locks and flock(2), between processes.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

static int lock(int fd, int command, int type, long start, long length) {
	struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
	return fcntl(fd, command, &l) < 0 ? -errno : 0;
}

static void look(const char *what, int fd, int command, int type, long start, long length, pid_t expected) {
	struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
	if (fcntl(fd, command, &l) < 0) {
		printf("%s: %s\n", what, strerror(errno));
		return;
	}
	printf("%s: type %d", what, l.l_type);
	if (l.l_type != F_UNLCK) printf(" %ld+%ld pid %s", (long)l.l_start, (long)l.l_len, l.l_pid == expected ? "right" : l.l_pid == -1 ? "-1" : "wrong");
	printf("\n");
}

/** Runs `f` in a child and waits for it. */
static void child(void (*f)(int fd), int fd) {
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		f(fd);
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

static void see_split(int fd) {
	look("0..10", fd, F_GETLK, F_RDLCK, 0, 10, getppid());
	look("10..20", fd, F_GETLK, F_WRLCK, 10, 10, getppid());
	look("15..40", fd, F_GETLK, F_WRLCK, 15, 25, getppid());
	look("all", fd, F_GETLK, F_WRLCK, 0, 0, getppid());
	printf("set %d %d %d\n", lock(fd, F_SETLK, F_WRLCK, 10, 10), lock(fd, F_SETLK, F_WRLCK, 5, 6), lock(fd, F_SETLK, F_RDLCK, 25, 1));
}

static void close_one(int fd) {
	int other = open("lock", O_RDWR);
	printf("mine %d\n", lock(fd, F_SETLK, F_WRLCK, 1000, 10));
	close(other);
	child(see_split, fd);
}

static void check_1000(int fd) { look("after close", fd, F_GETLK, F_WRLCK, 1000, 10, 0); }

static void on_alarm(int s) {}

int main(void) {
	int fd = open("lock", O_RDWR | O_CREAT, 0600);
	printf("%d %d\n", lock(fd, F_SETLK, F_WRLCK, 0, 30), lock(fd, F_SETLK, F_UNLCK, 10, 10));
	child(see_split, fd);
	// Joined again, and a part turned into a read lock.
	lock(fd, F_SETLK, F_WRLCK, 10, 10);
	lock(fd, F_SETLK, F_RDLCK, 20, 5);
	child(see_split, fd);
	child(close_one, fd);
	// Any close of the file drops a process's locks.
	lock(fd, F_SETLK, F_WRLCK, 1000, 10);
	close(dup(fd));
	child(check_1000, fd);
	lock(fd, F_SETLK, F_UNLCK, 0, 0);

	// Arguments.
	struct flock bad = {.l_type = 7, .l_whence = SEEK_SET};
	printf("type %d ", fcntl(fd, F_SETLK, &bad) < 0 ? errno : 0);
	bad.l_type = F_WRLCK, bad.l_whence = 9;
	printf("whence %d ", fcntl(fd, F_SETLK, &bad) < 0 ? errno : 0);
	printf("negative %d ", -lock(fd, F_SETLK, F_WRLCK, -1, 5));
	printf("before %d ", -lock(fd, F_SETLK, F_WRLCK, 4, -5));
	printf("behind %d ", -lock(fd, F_SETLK, F_WRLCK, 5, -5));
	printf("far %d\n", -lock(fd, F_SETLK, F_WRLCK, 0x7fffffffffffffff, 5));
	bad = (struct flock){.l_type = F_UNLCK, .l_whence = SEEK_SET};
	printf("getlk unlck %d ", fcntl(fd, F_GETLK, &bad) < 0 ? errno : 0);
	bad.l_pid = 5;
	printf("ofd pid %d ", fcntl(fd, F_OFD_SETLK, &bad) < 0 ? errno : 0);
	int ro = open("lock", O_RDONLY), wo = open("lock", O_WRONLY), path = open("lock", O_PATH);
	printf("ro %d wo %d path %d fault %d\n", -lock(ro, F_SETLK, F_WRLCK, 0, 1), -lock(wo, F_SETLK, F_RDLCK, 0, 1), -lock(path, F_SETLK, F_RDLCK, 0, 1),
	       fcntl(fd, F_SETLK, (void *)8) < 0 ? errno : 0);
	close(ro), close(wo);

	// Open file description locks belong to the description: another one of the same process conflicts, a fork doesn't.
	int other = open("lock", O_RDWR);
	printf("ofd %d %d %d\n", lock(fd, F_OFD_SETLK, F_WRLCK, 0, 10), lock(other, F_OFD_SETLK, F_WRLCK, 5, 1), lock(fd, F_SETLK, F_WRLCK, 0, 1));
	look("ofd seen", other, F_OFD_GETLK, F_WRLCK, 0, 0, 1);
	look("ofd seen by posix", fd, F_GETLK, F_WRLCK, 0, 0, 1);
	look("ofd own", fd, F_OFD_GETLK, F_UNLCK, 0, 0, 1);
	close(dup(fd));
	printf("still %d\n", lock(other, F_OFD_SETLK, F_RDLCK, 0, 1));
	fflush(stdout);
	if (fork() == 0) {
		lock(fd, F_OFD_SETLK, F_UNLCK, 0, 0);
		_exit(0);
	}
	wait(NULL);
	printf("released by a child %d\n", lock(other, F_OFD_SETLK, F_RDLCK, 0, 1));
	close(other);

	// Waiting: the child gets the lock when it is given up; a signal ends the wait.
	int pipes[2];
	pipe(pipes);
	lock(fd, F_SETLK, F_WRLCK, 0, 1);
	fflush(stdout);
	if (fork() == 0) {
		signal(SIGALRM, on_alarm);
		struct sigaction action = {.sa_handler = on_alarm};
		sigaction(SIGALRM, &action, NULL);
		alarm(1);
		printf("interrupted %d\n", lock(fd, F_SETLKW, F_WRLCK, 0, 1));
		fflush(stdout);
		write(pipes[1], "x", 1);
		printf("granted %d\n", lock(fd, F_SETLKW, F_WRLCK, 0, 1));
		fflush(stdout);
		_exit(0);
	}
	char c;
	read(pipes[0], &c, 1);
	usleep(100000);
	lock(fd, F_SETLK, F_UNLCK, 0, 1);
	wait(NULL);

	// Deadlock: each holds what the other wants.
	lock(fd, F_SETLK, F_WRLCK, 0, 1);
	fflush(stdout);
	if (fork() == 0) {
		lock(fd, F_SETLK, F_WRLCK, 1, 1);
		write(pipes[1], "x", 1);
		int e = lock(fd, F_SETLKW, F_WRLCK, 0, 1);
		_exit(-e);
	}
	read(pipes[0], &c, 1);
	usleep(200000);
	printf("deadlock %d\n", lock(fd, F_SETLKW, F_WRLCK, 1, 1));
	lock(fd, F_SETLK, F_UNLCK, 0, 1);
	int status;
	wait(&status);
	printf("the other %d\n", WEXITSTATUS(status));

	// The end of a process gives its locks back to who waits.
	fflush(stdout);
	if (fork() == 0) {
		lock(fd, F_SETLK, F_WRLCK, 0, 0);
		write(pipes[1], "x", 1);
		usleep(100000);
		raise(SIGKILL);
	}
	read(pipes[0], &c, 1);
	printf("after its end %d\n", lock(fd, F_SETLKW, F_WRLCK, 0, 1));
	wait(NULL);

	// flock(2).
	int a = open("lock", O_RDONLY), b = open("lock", O_RDONLY);
	printf("flock %d", flock(a, LOCK_SH) ? errno : 0);
	printf(" %d", flock(b, LOCK_SH | LOCK_NB) ? errno : 0);
	printf(" up %d", flock(a, LOCK_EX | LOCK_NB) ? errno : 0);
	printf(" lost %d", flock(b, LOCK_EX | LOCK_NB) ? errno : 0);
	printf(" %d", flock(a, LOCK_SH | LOCK_NB) ? errno : 0);
	printf(" bad %d %d %d\n", flock(a, 3) ? errno : 0, flock(99, LOCK_EX) ? errno : 0, flock(path, LOCK_SH) ? errno : 0);
	int c2 = dup(b);
	close(b);
	printf("dup holds %d", flock(a, LOCK_SH | LOCK_NB) ? errno : 0);
	close(c2);
	printf(" closed %d\n", flock(a, LOCK_EX | LOCK_NB) ? errno : 0);
	printf("lease %d %d %d\n", fcntl(a, F_GETLEASE), fcntl(a, F_SETLEASE, F_UNLCK) < 0 ? errno : 0, fcntl(pipes[0], F_SETLEASE, F_RDLCK) < 0 ? errno : 0);
	return 0;
}
