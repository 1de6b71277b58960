// timerfd_create(2): clocks, one shot and intervals, times in the past, counts, what is left, edges in epoll, errors.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static const char *name(long result) { return result < 0 ? strerrorname_np(errno) : "0"; }

static long long get(int fd) {
	uint64_t count = 0;
	ssize_t bytes = read(fd, &count, sizeof count);
	return bytes == sizeof count ? (long long)count : bytes < 0 ? -errno : -1000;
}

static int ready(int fd, int ms) {
	struct pollfd entry = {fd, POLLIN | POLLOUT, 0};
	return poll(&entry, 1, ms) > 0 ? entry.revents : 0;
}

static void info(int fd) {
	char path[64], line[256];
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	FILE *file = fopen(path, "r");
	while (file && fgets(line, sizeof line, file)) {
		if (!strncmp(line, "pos", 3) || !strncmp(line, "mnt", 3) || !strncmp(line, "ino", 3)) continue;
		if (!strncmp(line, "it_value: (", 11) && strncmp(line, "it_value: (0, 0)", 16)) strcpy(line, "it_value: something\n");
		fputs(line, stdout);
	}
	if (file) fclose(file);
}

int main(void) {
	static const int clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_BOOTTIME, 10, 11, -1, 100};
	for (unsigned i = 0; i < sizeof clocks / sizeof *clocks; i++) {
		int fd = timerfd_create(clocks[i], TFD_CLOEXEC | TFD_NONBLOCK);
		printf("clock %d: %s\n", clocks[i], name(fd));
		if (fd < 0) continue;
		printf("flags %o %o\n", fcntl(fd, F_GETFL), fcntl(fd, F_GETFD));
		struct itimerspec now = {{0, 0}, {0, 1000000}}, old = {{1, 1}, {1, 1}};
		printf("unset %s %ld %ld %ld\n", name(timerfd_gettime(fd, &old)), old.it_value.tv_sec, old.it_value.tv_nsec, old.it_interval.tv_sec);
		printf("early %lld %d\n", get(fd), ready(fd, 0));
		printf("set %s\n", name(timerfd_settime(fd, 0, &now, NULL)));
		printf("later %d", ready(fd, 2000));
		printf(" %lld", get(fd));
		printf(" %lld\n", get(fd));
		struct timespec time;
		clock_gettime(clocks[i], &time);
		struct itimerspec past = {{0, 0}, {time.tv_sec - 5, time.tv_nsec}};
		timerfd_settime(fd, TFD_TIMER_ABSTIME, &past, NULL);
		printf("past %d", ready(fd, 100));
		printf(" %lld\n", get(fd));
		// The periods since then are all over: 5 of a second each and the first one.
		past.it_interval.tv_sec = 1;
		past.it_value.tv_nsec = 0;
		timerfd_settime(fd, TFD_TIMER_ABSTIME, &past, NULL);
		printf("periods %d", ready(fd, 100));
		printf(" %lld\n", get(fd));
		timerfd_gettime(fd, &old);
		printf("going on %d %ld\n", old.it_value.tv_sec == 0 && old.it_value.tv_nsec > 0, old.it_interval.tv_sec);
		struct itimerspec future = {{3, 500}, {time.tv_sec + 1000, 0}};
		timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &future, &old);
		printf("old %ld, ", old.it_interval.tv_sec);
		timerfd_gettime(fd, &old);
		printf("new %d %ld %ld\n", old.it_value.tv_sec > 900 && old.it_value.tv_sec < 1001, old.it_interval.tv_sec, old.it_interval.tv_nsec);
		info(fd);
		memset(&future, 0, sizeof future);
		future.it_interval.tv_sec = 7;
		timerfd_settime(fd, 0, &future, &old);
		printf("off %ld ", old.it_interval.tv_sec);
		timerfd_gettime(fd, &old);
		printf("%ld %ld %ld\n", old.it_value.tv_sec, old.it_value.tv_nsec, old.it_interval.tv_sec);
		info(fd);
		close(fd);
	}
	int fd = timerfd_create(CLOCK_MONOTONIC, 0), set = epoll_create1(0);
	struct epoll_event event = {EPOLLIN | EPOLLET, {0}};
	epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
	struct itimerspec often = {{0, 2000000}, {0, 2000000}};
	timerfd_settime(fd, 0, &often, NULL);
	printf("edge %d\n", epoll_wait(set, &event, 1, 2000));
	usleep(20000);
	printf("none without a read %d\n", epoll_wait(set, &event, 1, 20));
	long long count = get(fd);
	printf("many %d\n", count > 10);
	printf("again %d", epoll_wait(set, &event, 1, 2000));
	printf(" blocking %d\n", get(fd) >= 1);
	usleep(10000);
	struct itimerspec old;
	// Asking counts the periods, too, and lets the timer go on.
	timerfd_gettime(fd, &old);
	printf("asked %d %d\n", old.it_value.tv_nsec > 0 && old.it_value.tv_nsec <= 2000000, get(fd) >= 4);
	char small[4];
	printf("small %s", read(fd, small, 4) < 0 ? name(-1) : "?");
	printf(" write %s", name(write(fd, "12345678", 8)));
	printf(" seek %ld\n", (long)lseek(fd, 5, SEEK_SET));
	struct itimerspec bad = {{0, 0}, {-1, 0}};
	printf("negative %s", name(timerfd_settime(fd, 0, &bad, NULL)));
	bad.it_value.tv_sec = 0, bad.it_value.tv_nsec = 1000000000;
	printf(" nanoseconds %s", name(timerfd_settime(fd, 0, &bad, NULL)));
	bad.it_value.tv_nsec = 1, bad.it_interval.tv_nsec = -1;
	printf(" interval %s", name(timerfd_settime(fd, 0, &bad, NULL)));
	printf(" flags %s", name(timerfd_settime(fd, 4, &often, NULL)));
	printf(" address %s", name(timerfd_settime(fd, 0, (void *)8, NULL)));
	printf(" create %s", name(timerfd_create(CLOCK_MONOTONIC, 1)));
	printf(" other %s", name(timerfd_settime(set, 0, &often, NULL)));
	printf(" none %s", name(timerfd_gettime(99, &old)));
	printf(" out %s\n", name(timerfd_gettime(fd, (void *)8)));
	struct itimerspec far = {{0, 0}, {0x7fffffffffffffffLL, 0}};
	printf("for ever %s", name(timerfd_settime(fd, 0, &far, NULL)));
	printf(" %d\n", ready(fd, 10));
	char path[64], text[64] = "";
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	readlink(path, text, sizeof text - 1);
	puts(text);
}
