// Asynchronous input and output: io_setup, io_submit, io_getevents, io_cancel, io_destroy, with eventfd and IOCB_CMD_POLL.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long r(long v) { return v < 0 ? -errno : v; }
static long setup(unsigned n, aio_context_t *c) { return r(syscall(SYS_io_setup, n, c)); }
static long submit(aio_context_t c, long n, struct iocb **p) { return r(syscall(SYS_io_submit, c, n, p)); }
static long events(aio_context_t c, long min, long n, struct io_event *e, long ms) {
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};
	return r(syscall(SYS_io_getevents, c, min, n, e, ms < 0 ? NULL : &t));
}
static struct iocb iocb(int op, int fd, void *b, long n, long off, long data) {
	return (struct iocb){.aio_lio_opcode = op, .aio_fildes = fd, .aio_buf = (uintptr_t)b, .aio_nbytes = n, .aio_offset = off, .aio_data = data};
}
static void on_alarm(int s) {}

int main(void) {
	aio_context_t c = 0, other = 5;
	struct io_event e[8];
	char b[64] = "", w[] = "written by aio";
	printf("setup %ld %ld %ld again %ld", setup(8, &c), setup(8, &other), (other = 0, setup(0, &other)), setup(8, &c));
	printf(" two %ld different %d\n", setup(4, &other), other != c);
	int fd = open("aio", O_RDWR | O_CREAT | O_TRUNC, 0600), event = eventfd(0, EFD_NONBLOCK), pipes[2];
	pipe(pipes);
	struct iocb a = iocb(IOCB_CMD_PWRITE, fd, w, sizeof w - 1, 3, 11), d = iocb(IOCB_CMD_PREAD, fd, b, 60, 0, 22), s = iocb(IOCB_CMD_FSYNC, fd, 0, 0, 0, 33);
	struct iocb *list[] = {&a, &s, &d};
	printf("submit %ld", submit(c, 3, list));
	long n = events(c, 3, 8, e, -1);
	printf(" events %ld:", n);
	for (int i = 0; i < 3; i++)
		for (int k = 0; k < n; k++)
			if (e[k].obj == (uintptr_t)list[i]) printf(" data %ld res %ld", (long)e[k].data, (long)e[k].res);
	printf(" '%s'\n", b + 3);
	printf("none %ld", events(c, 0, 8, e, 0));
	printf(" timed out %ld", events(c, 1, 8, e, 20));
	printf(" min>max %ld negative %ld", events(c, 3, 2, e, 0), events(c, -1, 2, e, 0));
	printf(" bad context %ld %ld\n", events(123456789, 0, 1, e, 0), submit(123456789, 0, list));
	// What is refused when it is submitted, and what comes first is done.
	int ro = open("aio", O_RDONLY);
	struct iocb bad = iocb(IOCB_CMD_PWRITE, ro, w, 3, 0, 1), unknown = iocb(77, fd, w, 3, 0, 1), nofd = iocb(IOCB_CMD_PREAD, 99, b, 3, 0, 1);
	struct iocb *one[] = {&bad}, *two[] = {&unknown}, *three[] = {&nofd}, *mixed[] = {&a, &nofd}, *fault[] = {(void *)8};
	printf("refused %ld %ld %ld mixed %ld fault %ld nothing %ld negative %ld\n", submit(c, 1, one), submit(c, 1, two), submit(c, 1, three), submit(c, 2, mixed),
	       submit(c, 1, fault), submit(c, 0, list), submit(c, -1, list));
	printf("left %ld\n", events(c, 1, 8, e, -1));
	struct iocb unmapped = iocb(IOCB_CMD_PREAD, fd, (void *)4096, 3, 0, 1);
	list[0] = &unmapped;
	printf("unmapped %ld", submit(c, 1, list));
	printf(" %ld res %ld\n", events(c, 1, 8, e, -1), (long)e[0].res);
	// An eventfd is told.
	a.aio_flags = IOCB_FLAG_RESFD, a.aio_resfd = event;
	list[0] = &a;
	uint64_t count = 0;
	printf("resfd %ld", submit(c, 1, list));
	struct pollfd p = {event, POLLIN};
	poll(&p, 1, 2000);
	read(event, &count, 8);
	printf(" count %ld", (long)count);
	a.aio_resfd = fd;
	printf(" events %ld not an eventfd %ld\n", events(c, 1, 8, e, -1), submit(c, 1, list));
	// Poll: waits, is told, can be cancelled.
	struct iocb poller = iocb(IOCB_CMD_POLL, pipes[0], (void *)POLLIN, 0, 0, 44);
	poller.aio_flags = IOCB_FLAG_RESFD, poller.aio_resfd = event;
	list[0] = &poller;
	printf("poll %ld", submit(c, 1, list));
	printf(" not yet %ld", events(c, 1, 8, e, 20));
	write(pipes[1], "x", 1);
	printf(" %ld", events(c, 1, 8, e, 2000));
	printf(" data %ld res %ld", (long)e[0].data, (long)e[0].res & POLLIN);
	poll(&p, 1, 2000);
	printf(" eventfd %ld\n", r(read(event, &count, 8)));
	read(pipes[0], b, 1);
	submit(c, 1, list);
	printf("cancel %ld", r(syscall(SYS_io_cancel, c, &poller, e)));
	printf(" event %ld", events(c, 1, 8, e, 2000));
	printf(" again %ld\n", r(syscall(SYS_io_cancel, c, &poller, e)));
	signal(SIGALRM, on_alarm);
	ualarm(50000, 0);
	printf("interrupted %ld\n", events(c, 1, 8, e, -1));
	sigset_t alarm, none;
	sigemptyset(&none);
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	sigprocmask(SIG_BLOCK, &alarm, NULL);
	struct {
		sigset_t *set;
		size_t size;
	} mask = {&none, 8}, odd = {&none, 7};
	ualarm(50000, 0);
	printf("masked %ld", r(syscall(SYS_io_pgetevents, c, 1, 8, e, NULL, &mask)));
	printf(" odd %ld", r(syscall(SYS_io_pgetevents, c, 0, 8, e, NULL, &odd)));
	printf(" nowhere %ld", r(syscall(SYS_io_pgetevents, c, 0, 8, e, NULL, 8)));
	printf(" none %ld\n", r(syscall(SYS_io_pgetevents, c, 0, 8, e, NULL, NULL)));
	printf("destroy %ld %ld\n", r(syscall(SYS_io_destroy, c)), r(syscall(SYS_io_destroy, c)));
	return 0;
}
