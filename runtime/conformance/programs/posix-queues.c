// mq_overview(7): attributes, priorities, blocking with timeouts, notification by signal, names and rights, errors.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *name(long result) { return result < 0 ? strerrorname_np(errno) : "0"; }
static volatile int hits;
static void hit(int signal) { hits += signal; }

static int ready(int fd) {
	struct pollfd entry = {fd, POLLIN | POLLOUT, 0};
	poll(&entry, 1, 0);
	return entry.revents;
}

static void attributes(const char *title, mqd_t queue) {
	struct mq_attr attr;
	if (mq_getattr(queue, &attr)) printf("%s %s\n", title, name(-1));
	else printf("%s flags %#lx maxmsg %ld msgsize %ld curmsgs %ld\n", title, attr.mq_flags, attr.mq_maxmsg, attr.mq_msgsize, attr.mq_curmsgs);
}

static mqd_t make(const char *title, int flags, long maxmsg, long msgsize) {
	struct mq_attr attr = {0, maxmsg, msgsize, 0};
	return mq_open(title, flags, 0640, &attr);
}

int main(void) {
	setvbuf(stdout, NULL, _IONBF, 0);
	umask(022);
	printf("none %s\n", name(mq_open("/q", O_RDWR)));
	mqd_t queue = make("/q", O_CREAT | O_EXCL | O_RDWR, 4, 32);
	printf("open %s exclusive %s fd flags %d\n", name(queue), name(make("/q", O_CREAT | O_EXCL | O_RDWR, 4, 32)), fcntl(queue, F_GETFD));
	attributes("new", queue);
	mqd_t plain = mq_open("/defaults", O_CREAT | O_RDONLY | O_NONBLOCK, 0600, NULL);
	attributes("defaults", plain);
	struct stat status;
	fstat(queue, &status);
	printf("mode %o size %ld links %d\n", status.st_mode, (long)status.st_size, (int)status.st_nlink);
	printf("zero %s size %s names %s", name(make("/z", O_CREAT | O_RDWR, 0, 32)), name(make("/z", O_CREAT | O_RDWR, 4, -1)), name(mq_open("no-slash", O_RDWR)));
	printf(" %s %s\n", name(mq_open("/a/b", O_RDWR)), name(mq_open("/", O_RDWR)));

	static const unsigned priorities[] = {1, 5, 3, 5};
	char text[64];
	for (int i = 0; i < 4; i++) {
		int length = sprintf(text, "message %d of %u", i, priorities[i]);
		printf("%s ", name(mq_send(queue, text, length, priorities[i])));
	}
	printf("ready %d\n", ready(queue));
	struct timespec past = {1, 0}, bad = {0, 1000000000}, soon;
	printf("full %s bad %s", name(mq_timedsend(queue, "x", 1, 0, &past)), name(mq_timedsend(queue, "x", 1, 0, &bad)));
	clock_gettime(CLOCK_REALTIME, &soon);
	soon.tv_nsec += 5000000;
	if (soon.tv_nsec >= 1000000000) soon.tv_sec++, soon.tv_nsec -= 1000000000;
	printf(" soon %s\n", name(mq_timedsend(queue, "x", 1, 0, &soon)));
	printf("long %s priority %s short %s direction %s number %s\n", name(mq_send(queue, text, 33, 0)), name(mq_send(queue, text, 1, 32768)),
		name(mq_receive(queue, text, 31, NULL)), name(mq_send(plain, "x", 1, 0)), name(mq_send(0, "x", 1, 0)));
	char line[128] = "";
	pread(queue, line, sizeof line - 1, 0);
	printf("%s", line);
	pid_t child = fork();
	if (child == 0) {
		mq_send(queue, "from the child", 14, 9);
		_exit(0);
	}
	usleep(20000);
	for (int i = 0; i < 5; i++) {
		unsigned priority = 99;
		long bytes = mq_receive(queue, text, sizeof text, &priority);
		printf("[%.*s] %u\n", bytes > 0 ? (int)bytes : 0, text, priority);
		if (i == 0) waitpid(child, NULL, 0);
	}
	printf("empty ready %d timed %s", ready(queue), name(mq_timedreceive(queue, text, sizeof text, NULL, &past)));
	struct mq_attr nonblocking = {O_NONBLOCK}, odd = {O_APPEND}, old;
	printf(" set %s odd %s", name(mq_setattr(queue, &nonblocking, &old)), name(mq_setattr(queue, &odd, NULL)));
	printf(" old %#lx empty %s\n", old.mq_flags, name(mq_receive(queue, text, sizeof text, NULL)));
	nonblocking.mq_flags = 0;
	mq_setattr(queue, &nonblocking, NULL);
	child = fork();
	if (child == 0) {
		usleep(10000);
		mq_send(queue, "late", 4, 0);
		_exit(0);
	}
	printf("waited %ld\n", (long)mq_receive(queue, text, sizeof text, NULL));
	waitpid(child, NULL, 0);

	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	signal(SIGUSR1, hit);
	printf("notify %s again %s", name(mq_notify(queue, &event)), name(mq_notify(queue, &event)));
	child = fork();
	if (child == 0) {
		printf(" other %s", name(mq_notify(queue, &event)));
		mq_send(queue, "1", 1, 0);
		mq_send(queue, "2", 1, 0);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	for (int i = 0; i < 2000 && !hits; i++) usleep(1000);
	printf(" hits %d free %s", hits, name(mq_notify(queue, &event)));
	printf(" off %s", name(mq_notify(queue, NULL)));
	event.sigev_signo = 65;
	printf(" bad %s", name(mq_notify(queue, &event)));
	event.sigev_notify = 9;
	printf(" %s\n", name(mq_notify(queue, &event)));

	child = fork();
	if (child == 0) {
		setgid(1), setuid(1);
		printf("other user %s %s %s\n", name(mq_open("/q", O_RDONLY)), name(mq_open("/q", O_WRONLY)), name(mq_unlink("/q")));
		_exit(0);
	}
	waitpid(child, NULL, 0);
	printf("unlink %s again %s", name(mq_unlink("/q")), name(mq_unlink("/q")));
	printf(" still %s", name(mq_send(queue, "3", 1, 0)));
	attributes(",", queue);
	printf("close %s %s\n", name(mq_close(queue)), name(mq_close(queue)));
	printf("limit");
	int made = 0;
	for (int i = 0; i < 1000; i++, made++) {
		sprintf(text, "/many%d", i);
		if (make(text, O_CREAT | O_RDWR, 10, 8192) < 0) break;
	}
	printf(" %d %s\n", made > 0, name(-1));
}
