// inotify(7): what every change of a small tree tells, in order; watches, masks, bounds, errors.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static const char *name(long result) { return result < 0 ? strerrorname_np(errno) : "0"; }
static int notify;
static unsigned cookies[2];

static void show(const char *title) {
	static const char *names[] = {"ACCESS", "MODIFY", "ATTRIB", "CLOSE_WRITE", "CLOSE_NOWRITE", "OPEN", "MOVED_FROM", "MOVED_TO", "CREATE", "DELETE",
		"DELETE_SELF", "MOVE_SELF", "?", "UNMOUNT", "Q_OVERFLOW", "IGNORED"};
	static char buffer[65536] __attribute__((aligned(8)));
	int waiting = 0;
	ioctl(notify, FIONREAD, &waiting);
	printf("%s:", title);
	long length = read(notify, buffer, sizeof buffer);
	if (length < 0) printf(" %s", name(-1));
	if (length > 0 && length != waiting) printf(" FIONREAD %d not %ld", waiting, length);
	for (long at = 0; at < length;) {
		struct inotify_event *event = (void *)(buffer + at);
		printf(" %d", event->wd);
		for (int i = 0; i < 16; i++)
			if (event->mask & 1u << i) printf(":%s", names[i]);
		if (event->mask & IN_ISDIR) printf(":dir");
		if (event->mask & ~(0xffffu | IN_ISDIR)) printf(":%#x", event->mask);
		if (event->mask & IN_MOVED_FROM) cookies[0] = event->cookie;
		if (event->mask & IN_MOVED_TO) printf(event->cookie == cookies[0] && event->cookie ? "(same)" : "(other)");
		else if (event->cookie && !(event->mask & IN_MOVED_FROM)) printf("(cookie)");
		if (event->len) printf("=%s/%u", event->name, event->len);
		at += sizeof *event + event->len;
	}
	puts("");
}

int main(void) {
	char root[] = "/tmp/inotifyXXXXXX";
	mkdtemp(root);
	chdir(root);
	mkdir("d", 0755), mkdir("e", 0755);
	notify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	printf("flags %o %d\n", fcntl(notify, F_GETFL), fcntl(notify, F_GETFD));
	printf("watch %d %d\n", inotify_add_watch(notify, "d", IN_ALL_EVENTS), inotify_add_watch(notify, "e", IN_ALL_EVENTS));
	show("nothing");
	int fd = open("d/file", O_CREAT | O_RDWR, 0644);
	show("create");
	write(fd, "hello", 5), write(fd, "hello", 5);
	show("write");
	pread(fd, root, 0, 0), pread(fd, cookies, 4, 0), pread(fd, cookies, 4, 100);
	show("read");
	printf("file watch %d\n", inotify_add_watch(notify, "d/file", IN_ALL_EVENTS));
	ftruncate(fd, 2), truncate("d/file", 3), fallocate(fd, 0, 0, 8);
	show("truncate");
	fchmod(fd, 0600), chown("d/file", -1, -1);
	show("attributes");
	struct timespec times[2] = {{1, 0}, {0, UTIME_OMIT}};
	futimens(fd, NULL), futimens(fd, times), utimensat(AT_FDCWD, "d/file", (struct timespec[]){{0, UTIME_OMIT}, {1, 0}}, 0);
	show("times");
	fsetxattr(fd, "user.a", "b", 1, 0), fremovexattr(fd, "user.a");
	show("xattr");
	close(fd);
	show("close");
	close(open("d/file", O_RDONLY));
	close(open("d/file", O_WRONLY | O_TRUNC));
	close(open("d/file", O_RDONLY | O_PATH));
	show("open");
	link("d/file", "e/link");
	show("link");
	rename("d/file", "d/renamed");
	show("rename");
	rename("d/renamed", "e/moved");
	show("move");
	close(open("d/other", O_CREAT | O_WRONLY, 0600));
	rename("d/other", "e/moved");
	show("replace");
	unlink("e/link");
	show("unlink");
	mkdir("d/sub", 0755), symlink("x", "d/symlink"), mkfifo("d/fifo", 0600);
	show("nodes");
	printf("sub %d\n", inotify_add_watch(notify, "d/sub", IN_ALL_EVENTS));
	DIR *directory = opendir("d/sub");
	while (readdir(directory)) continue;
	closedir(directory);
	show("readdir");
	rename("d/sub", "e/sub2");
	show("move directory");
	rmdir("e/sub2");
	show("rmdir");
	printf("sub is gone %s\n", name(inotify_rm_watch(notify, 4)));

	// A file that is open outlives its name.
	fd = open("d/open", O_CREAT | O_RDWR, 0600);
	int open_watch = inotify_add_watch(notify, "d/open", IN_ALL_EVENTS);
	show("open file");
	unlink("d/open");
	show("unlinked");
	write(fd, "x", 1);
	show("written");
	close(fd);
	show("closed");

	// Masks.
	fd = open("d/masks", O_CREAT | O_RDWR, 0600);
	show("made");
	int wd = inotify_add_watch(notify, "d/masks", IN_MODIFY | IN_ONESHOT);
	inotify_add_watch(notify, "d", IN_EXCL_UNLINK | IN_MODIFY | IN_DELETE);
	write(fd, "x", 1), write(fd, "x", 1);
	show("one shot");
	unlink("d/masks");
	write(fd, "x", 1);
	show("excluded");
	close(fd);
	printf("add %d", inotify_add_watch(notify, "d", IN_MASK_ADD | IN_CREATE) == 1);
	printf(" create %s", name(inotify_add_watch(notify, "d", IN_MASK_CREATE | IN_CREATE)));
	printf(" both %s", name(inotify_add_watch(notify, "d", IN_MASK_CREATE | IN_MASK_ADD | IN_CREATE)));
	printf(" nothing %s", name(inotify_add_watch(notify, "d", 0)));
	printf(" unknown %s", name(inotify_add_watch(notify, "d", 0x08000000)));
	close(open("e/plain", O_CREAT | O_WRONLY, 0600));
	printf(" directory %s", name(inotify_add_watch(notify, "e/plain", IN_ONLYDIR | IN_OPEN)));
	symlink("nowhere", "e/dangling");
	printf(" link %s %s", name(inotify_add_watch(notify, "e/dangling", IN_OPEN)), inotify_add_watch(notify, "e/dangling", IN_OPEN | IN_DONT_FOLLOW) > 0 ? "ok" : "?");
	printf(" number %s %s %s\n", name(inotify_add_watch(99, "d", IN_OPEN)), name(inotify_add_watch(0, "d", IN_OPEN)), name(inotify_rm_watch(notify, 77)));
	close(open("d/added", O_CREAT | O_WRONLY, 0600));
	show("added");
	printf("removed %s", name(inotify_rm_watch(notify, 1)));
	printf(" again %s\n", name(inotify_rm_watch(notify, 1)));
	show("ignored");

	char small[20];
	close(open("e/a-name-of-some-length", O_CREAT | O_WRONLY, 0600));
	printf("small %s", name(read(notify, small, sizeof small)));
	struct pollfd entry = {notify, POLLIN, 0};
	printf(" poll %d", poll(&entry, 1, 0));
	printf(" flags %s\n", name(inotify_init1(1)));
	show("rest");

	// Too many: the queue ends with IN_Q_OVERFLOW.
	int count = 0, overflows = 0;
	for (int i = 0; i < 9000; i++) close(open(i % 2 ? "e/moved" : "e/plain", O_RDONLY));
	static char buffer[65536] __attribute__((aligned(8)));
	for (long length; (length = read(notify, buffer, sizeof buffer)) > 0;)
		for (long at = 0; at < length; count++) {
			struct inotify_event *event = (void *)(buffer + at);
			overflows += event->mask == IN_Q_OVERFLOW && event->wd == -1;
			at += sizeof *event + event->len;
		}
	printf("queued %d overflows %d\n", count, overflows);
	int instances = 0;
	while (inotify_init() >= 0 && instances < 2000) instances++;
	printf("instances %s\n", name(-1));
	char link[64] = "", path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", notify);
	readlink(path, link, 63);
	puts(link);
}
