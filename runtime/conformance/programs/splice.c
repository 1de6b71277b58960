// splice, tee, vmsplice, sendfile, copy_file_range, preadv2 and pwritev2.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static long r(long v) { return v < 0 ? -errno : v; }
static int rd, wr;

static void drain(const char *what, int fd) {
	char b[200000];
	long n = read(fd, b, sizeof b);
	printf("%s: %ld '%.20s'\n", what, n, n > 0 ? (b[n < 20 ? n : 20] = 0, b) : "");
}

int main(void) {
	signal(SIGPIPE, SIG_IGN);
	int p[2], q[2], s[2], fd = open("a", O_RDWR | O_CREAT | O_TRUNC, 0600), out = open("b", O_RDWR | O_CREAT | O_TRUNC, 0600);
	pipe(p), pipe(q), socketpair(AF_UNIX, SOCK_STREAM, 0, s);
	write(fd, "hello world of files", 20);
	// File to pipe, at an offset of its own and at the file's.
	loff_t off = 6;
	printf("%ld %ld", r(splice(fd, &off, p[1], NULL, 5, 0)), (long)off);
	lseek(fd, 12, SEEK_SET);
	printf(" %ld %ld", r(splice(fd, NULL, p[1], NULL, 100, 0)), (long)lseek(fd, 0, SEEK_CUR));
	printf(" eof %ld\n", r(splice(fd, NULL, p[1], NULL, 100, 0)));
	// tee leaves the bytes; splice between pipes moves them.
	printf("tee %ld", r(tee(p[0], q[1], 100, 0)));
	drain("", q[0]);
	printf("move %ld", r(splice(p[0], NULL, q[1], NULL, 5, 0)));
	drain("", q[0]);
	// Pipe to file.
	off = 3;
	printf("%ld %ld", r(splice(p[0], NULL, out, &off, 100, 0)), (long)off);
	lseek(out, 0, SEEK_SET);
	drain(" file", out);
	// Errors.
	printf("none %ld same %ld pipeoff %ld flags %ld empty %ld len0 %ld", r(splice(fd, NULL, out, NULL, 1, 0)), r(splice(p[0], NULL, p[1], NULL, 1, 0)),
	       r(splice(p[0], &off, out, NULL, 1, 0)), r(splice(p[0], NULL, out, NULL, 1, 64)), r(splice(p[0], NULL, q[1], NULL, 1, SPLICE_F_NONBLOCK)),
	       r(splice(p[0], NULL, q[1], NULL, 0, 0)));
	printf(" wrong end %ld bad %ld tee file %ld tee same %ld\n", r(splice(p[1], NULL, out, NULL, 1, 0)), r(splice(77, NULL, out, NULL, 1, 0)),
	       r(tee(fd, p[1], 1, 0)), r(tee(p[0], p[1], 1, 0)));
	int append = open("b", O_WRONLY | O_APPEND);
	write(p[1], "xyz", 3);
	printf("append %ld dir %ld\n", r(splice(p[0], NULL, append, NULL, 3, 0)), r(splice(open(".", O_RDONLY), NULL, p[1], NULL, 3, 0)));
	// Sockets.
	printf("socket %ld", r(splice(p[0], NULL, s[0], NULL, 100, 0)));
	printf(" %ld", r(splice(s[1], NULL, q[1], NULL, 100, 0)));
	drain("", q[0]);
	// vmsplice both ways.
	struct iovec v[2] = {{"one ", 4}, {"two", 3}};
	printf("vmsplice %ld", r(vmsplice(p[1], v, 2, 0)));
	char x[4] = "", y[8] = "";
	struct iovec w[2] = {{x, 3}, {y, 7}};
	printf(" %ld '%s' '%s'", r(vmsplice(p[0], w, 2, 0)), x, y);
	printf(" empty %ld file %ld\n", r(vmsplice(p[0], w, 2, SPLICE_F_NONBLOCK)), r(vmsplice(fd, v, 2, 0)));
	close(q[0]);
	write(p[1], "z", 1);
	printf("broken %ld %ld %ld", r(tee(p[0], q[1], 9, 0)), r(splice(fd, (off = 0, &off), q[1], NULL, 1, 0)), r(vmsplice(q[1], v, 1, 0)));
	drain("", p[0]);
	close(p[1]);
	printf("end %ld %ld\n", r(splice(p[0], NULL, out, NULL, 5, 0)), r(vmsplice(p[0], w, 2, 0)));

	// sendfile.
	off = 2;
	printf("sendfile %ld %ld", r(sendfile(s[0], fd, &off, 5)), (long)off);
	drain("", s[1]);
	lseek(fd, 0, SEEK_SET), ftruncate(out, 0), lseek(out, 0, SEEK_SET);
	printf("to a file %ld %ld %ld", r(sendfile(out, fd, NULL, 1000)), (long)lseek(fd, 0, SEEK_CUR), (long)lseek(out, 0, SEEK_CUR));
	printf(" from a pipe %ld %ld append %ld socket %ld\n", r(sendfile(out, p[0], NULL, 1)), r(sendfile(out, p[0], &off, 1)),
	       r(sendfile(append, fd, NULL, 1)), r(sendfile(out, s[0], NULL, 1)));
	off = -3;
	printf("negative %ld wo %ld\n", r(sendfile(out, fd, &off, 1)), r(sendfile(out, append, NULL, 1)));
	// A blocked target: all of it arrives, in order.
	int big = open("big", O_RDWR | O_CREAT | O_TRUNC, 0600);
	static char block[1 << 20];
	for (int i = 0; i < sizeof block; i++) block[i] = i * 7 + i / 251;
	write(big, block, sizeof block);
	fflush(stdout);
	if (fork() == 0) {
		close(s[1]);
		lseek(big, 0, SEEK_SET);
		long total = 0, n;
		while (total < sizeof block && (n = sendfile(s[0], big, NULL, sizeof block)) > 0) total += n;
		_exit(total == sizeof block && lseek(big, 0, SEEK_CUR) == total ? 0 : 1);
	}
	long total = 0, wrong = 0, n;
	static char got[70000];
	while (total < sizeof block && (n = read(s[1], got, sizeof got)) > 0) {
		wrong += memcmp(got, block + total, n) != 0;
		total += n;
	}
	int status;
	wait(&status);
	printf("big %ld wrong %ld status %d\n", total, wrong, status);

	// copy_file_range.
	ftruncate(out, 0);
	off = 6;
	loff_t to = 100;
	printf("copy %ld", r(copy_file_range(fd, &off, out, &to, 5, 0)));
	printf(" %ld %ld overlap %ld flags %ld", (long)off, (long)to, r(copy_file_range(fd, (off = 0, &off), fd, (to = 3, &to), 10, 0)),
	       r(copy_file_range(fd, NULL, out, NULL, 1, 1)));
	printf(" append %ld pipe %ld dir %ld size %ld\n", r(copy_file_range(fd, NULL, append, NULL, 1, 0)), r(copy_file_range(p[0], NULL, out, NULL, 1, 0)),
	       r(copy_file_range(open(".", O_RDONLY), NULL, out, NULL, 1, 0)), (long)lseek(out, 0, SEEK_END));
	off = 0, to = 0;
	printf("big copy %ld", r(copy_file_range(big, &off, out, &to, 1 << 20, 0)));
	static char copy[1 << 20];
	printf(" %ld equal %d\n", r(pread(out, copy, sizeof copy, 0)), memcmp(copy, block, sizeof copy) == 0);

	// preadv2, pwritev2.
	ftruncate(out, 0), lseek(out, 0, SEEK_SET);
	struct iovec one = {"12345", 5};
	printf("pwritev2 %ld", r(pwritev2(out, &one, 1, 0, 0)));
	printf(" append %ld", r(pwritev2(out, &one, 1, 0, RWF_APPEND)));
	printf(" offset %ld", (long)lseek(out, 0, SEEK_CUR));
	printf(" dsync %ld size %ld", r(pwritev2(out, &one, 1, -1, RWF_DSYNC)), (long)lseek(out, 0, SEEK_END));
	printf(" unknown %ld pipe %ld", r(pwritev2(out, &one, 1, 0, 0x4000)), r(preadv2(p[0], w, 1, 0, 0)));
	pipe(p);
	printf(" nowait %ld\n", r(preadv2(p[0], w, 1, -1, RWF_NOWAIT)));
	printf("sync %ld %ld %ld %ld\n", r(sync_file_range(out, 0, 0, 7)), r(sync_file_range(out, -1, 0, 7)), r(sync_file_range(out, 0, 0, 8)),
	       r(sync_file_range(p[0], 0, 0, 1)));
	printf("fadvise %d %d %d readahead %ld %ld\n", posix_fadvise(out, 0, 0, 3), posix_fadvise(out, 0, 0, 99), posix_fadvise(p[0], 0, 0, 3),
	       r(readahead(p[0], 0, 1)), r(readahead(append, 0, 1)));
	return 0;
}
