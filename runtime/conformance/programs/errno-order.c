// Which of two errors comes first: every path call with every kind of path, every descriptor call with every kind of descriptor, as root, on a
// read-only mount and as a user.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utime.h>

#define SHOW(call) do { errno = 0; long r = (long)(call); printf("%d %.60s = %ld %s\n", __LINE__, #call, r, r < 0 ? strerrorname_np(errno) : ""); } while (0)
/* A call that gives a descriptor: closed at once. */
#define OPENED(call) do { errno = 0; int r = (call); int e = errno; if (r >= 0) close(r); printf("%d %.60s = %d %s\n", __LINE__, #call, r < 0 ? -1 : 0, r < 0 ? strerrorname_np(e) : ""); } while (0)
#define BAD ((void *)8)

static char longName[5000], name255[256], name256[257], deep256[300];

static void restore(void) {
	unlink("new"); rmdir("new"); unlink("made"); rmdir("made");
	close(open("file", O_CREAT | O_RDWR, 0644));
	chmod("file", 0644);
	mkdir("dir", 0755);
	chmod("dir", 0755);
	symlink("dir", "todir");
	symlink("loop", "loop");
	symlink("nowhere", "dangling");
	unlink("nowhere"); rmdir("nowhere");
}

static void path(const char *p) {
	char b[256];
	struct statfs f;
	struct statx x;
	struct stat s;
	struct timespec omit[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}}, odd[2] = {{0, -5}, {0, 0}};
	printf("path \"%.60s\" %zu\n", p == BAD ? "(bad)" : p, p == BAD ? 0 : strlen(p));
	OPENED(open(p, O_WRONLY | O_NONBLOCK));
	OPENED(open(p, O_RDWR | O_TRUNC));
	OPENED(open(p, O_RDONLY | O_CREAT | O_NONBLOCK, 0600)); restore();
	OPENED(open(p, O_WRONLY | O_CREAT | O_EXCL, 0600)); restore();
	OPENED(open(p, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600)); restore();
	OPENED(open(p, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK, 0600)); restore();
	OPENED(open(p, O_RDONLY | O_CREAT | O_DIRECTORY, 0600)); restore();
	OPENED(open(p, O_RDONLY | O_NOATIME | O_NONBLOCK));
	OPENED(open(p, O_PATH | O_NOFOLLOW));
	OPENED(open(p, O_PATH | O_DIRECTORY));
	OPENED(open(p, O_TMPFILE | O_RDWR, 0600));
	OPENED(open(p, O_TMPFILE | O_RDONLY, 0600));
	OPENED(openat(-5, p, O_RDONLY | O_NONBLOCK));
	SHOW(access(p, F_OK));
	SHOW(access(p, R_OK | W_OK | X_OK));
	SHOW(access(p, 99));
	SHOW(syscall(SYS_faccessat2, AT_FDCWD, p, R_OK, 0x400));
	SHOW(syscall(SYS_faccessat2, AT_FDCWD, p, W_OK, AT_SYMLINK_NOFOLLOW | AT_EACCESS));
	SHOW(statfs(p, &f));
	SHOW(syscall(SYS_statfs, p, BAD));
	SHOW(statx(AT_FDCWD, p, 0, STATX_ALL, &x));
	SHOW(statx(AT_FDCWD, p, 0x10, STATX_ALL, &x));
	SHOW(statx(AT_FDCWD, p, 0x6000, STATX_ALL, &x));
	SHOW(syscall(SYS_statx, AT_FDCWD, p, 0, 0x80000000, &x));
	SHOW(syscall(SYS_lstat, p, BAD));
	SHOW(readlink(p, b, -1));
	SHOW(syscall(SYS_readlink, p, BAD, 10));
	SHOW(rmdir(p)); restore();
	SHOW(unlinkat(AT_FDCWD, p, 0x400)); restore();
	SHOW(mkdir(p, 01777)); restore();
	SHOW(mknod(p, S_IFREG | 0600, 0)); restore();
	SHOW(mknod(p, S_IFCHR | 0600, 0x103)); restore();
	SHOW(mknod(p, S_IFDIR | 0600, 0));
	SHOW(mknod(p, 0150000, 0));
	SHOW(symlink("", p));
	SHOW(symlink(BAD, p));
	SHOW(symlink(longName, p));
	SHOW(link("file", p)); restore();
	SHOW(link("nothing", p));
	SHOW(link("dir", p));
	SHOW(link("/etc/passwd", p));
	SHOW(link("/proc/self/status", p));
	SHOW(linkat(AT_FDCWD, p, AT_FDCWD, "made", AT_SYMLINK_FOLLOW)); restore();
	SHOW(linkat(AT_FDCWD, p, AT_FDCWD, "made", AT_EMPTY_PATH)); restore();
	SHOW(rename("nothing", p));
	SHOW(rename(p, name256));
	SHOW(rename(p, "file/x"));
	SHOW(rename(p, "nodir/x"));
	SHOW(rename(p, "."));
	SHOW(rename("dir", p)); restore();
	SHOW(rename("file", p)); restore();
	SHOW(rename("/etc/passwd", p));
	SHOW(rename(p, "/etc/made"));
	SHOW(syscall(SYS_renameat2, AT_FDCWD, "nothing", AT_FDCWD, p, RENAME_NOREPLACE));
	SHOW(syscall(SYS_renameat2, AT_FDCWD, "file", AT_FDCWD, p, RENAME_NOREPLACE)); restore();
	SHOW(syscall(SYS_renameat2, AT_FDCWD, p, AT_FDCWD, "nothing", RENAME_EXCHANGE));
	SHOW(syscall(SYS_renameat2, AT_FDCWD, "nothing", AT_FDCWD, p, RENAME_EXCHANGE));
	SHOW(syscall(SYS_renameat2, AT_FDCWD, p, AT_FDCWD, "made", RENAME_EXCHANGE | RENAME_NOREPLACE));
	SHOW(lchown(p, -1, -1));
	SHOW(lchown(p, 0, 0)); 
	SHOW(fchownat(AT_FDCWD, p, 0, 0, 0x2000));
	SHOW(syscall(SYS_fchmodat, AT_FDCWD, p, 0755)); restore();
	SHOW(utimensat(AT_FDCWD, p, NULL, 0));
	SHOW(utimensat(AT_FDCWD, p, omit, 0));
	SHOW(utimensat(AT_FDCWD, p, odd, 0));
	SHOW(utimensat(AT_FDCWD, p, NULL, 0x4000));
	SHOW(utimensat(AT_FDCWD, p, BAD, AT_SYMLINK_NOFOLLOW));
	SHOW(syscall(SYS_utimes, p, BAD));
	SHOW(utime(p, NULL));
	SHOW(truncate(p, 3));
	SHOW(getxattr(p, "user.none", b, sizeof b));
	SHOW(getxattr(p, "", b, sizeof b));
	SHOW(getxattr(p, BAD, b, sizeof b));
	SHOW(lgetxattr(p, "bogus.none", b, sizeof b));
	SHOW(setxattr(p, "user.x", "v", 1, 99));
	SHOW(removexattr(p, "user.none"));
	SHOW(chdir(p)); chdir("/tmp/work");
	SHOW(execve(p, NULL, NULL));
	SHOW(syscall(SYS_execveat, AT_FDCWD, p, NULL, NULL, 0x10));
	SHOW(fstatat(77, p, &s, 0));
	SHOW(fstatat(AT_FDCWD, p, &s, 0x10));
}

static void descriptor(const char *what, int fd) {
	char b[64];
	struct stat s;
	struct statx x;
	struct flock l = {.l_type = F_WRLCK}, r = {.l_type = F_RDLCK}, w = {.l_type = 9};
	struct iovec v = {b, 4};
	struct epoll_event e = {EPOLLIN};
	struct pollfd q = {fd, POLLIN | POLLOUT, 0};
	loff_t zero = 0, minus = -1;
	int n = 0, file = open("file2", O_CREAT | O_RDWR, 0644), ep = epoll_create1(0);
	printf("descriptor %s\n", what);
	SHOW(poll(&q, 1, 0) < 0 ? -1 : q.revents);
	SHOW(write(fd, b, 0));
	SHOW(pread(fd, b, 0, 0));
	SHOW(pread(fd, BAD, 4, 0));
	SHOW(pwrite(fd, BAD, 1, 0));
	SHOW(pwrite(fd, b, 1, -1));
	SHOW(pwrite(fd, b, 0, 0));
	SHOW(preadv(fd, &v, 1, -2));
	SHOW(syscall(SYS_preadv2, fd, &v, 1, 0, 0, 0x1000));
	SHOW(syscall(SYS_pwritev2, fd, &v, 1, 0, 0, 0x1000));
	SHOW(lseek(fd, 0, SEEK_SET));
	SHOW(lseek(fd, 0, SEEK_END) < 0);
	SHOW(lseek(fd, 1L << 40, SEEK_DATA));
	SHOW(lseek(fd, 0, 5));
	SHOW(lseek(fd, 0, -1));
	SHOW(ftruncate(fd, -1));
	SHOW(ftruncate(fd, 100));
	SHOW(fallocate(fd, 0, 0, 0));
	SHOW(fallocate(fd, 0, -1, 5));
	SHOW(fallocate(fd, 0, 0, 10));
	SHOW(fallocate(fd, 0x100, 0, 10));
	SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 10));
	SHOW(fallocate(fd, 0x100, 0, 0));
	SHOW(fsync(fd));
	SHOW(fdatasync(fd));
	SHOW(syncfs(fd));
	SHOW(readahead(fd, 0, 10));
	SHOW(syscall(SYS_fadvise64, fd, 0, 0, 0));
	SHOW(syscall(SYS_fadvise64, fd, 0, -1, 0));
	SHOW(syscall(SYS_fadvise64, fd, 0, 0, 77));
	SHOW(fchmod(fd, 0644));
	SHOW(fchown(fd, -1, -1));
	SHOW(fchdir(fd)); chdir("/tmp/work");
	SHOW(syscall(SYS_fstat, fd, BAD));
	SHOW(syscall(SYS_fstatfs, fd, BAD));
	SHOW(statx(fd, "", AT_EMPTY_PATH, 0, &x));
	SHOW(statx(fd, "", 0, 0, &x));
	SHOW(fstatat(fd, "x", &s, 0));
	SHOW(fstatat(fd, "/", &s, 0));
	SHOW(flock(fd, LOCK_SH | LOCK_NB)); flock(fd, LOCK_UN);
	SHOW(fcntl(fd, F_SETLK, &l));
	SHOW(fcntl(fd, F_SETLK, &r));
	SHOW(fcntl(fd, F_SETLK, &w));
	SHOW(fcntl(fd, F_SETLK, BAD));
	SHOW(fcntl(fd, F_GETLK, &l));
	SHOW(fcntl(fd, F_GETFL) & O_ACCMODE);
	SHOW(fcntl(fd, F_SETFL, 0));
	SHOW(fcntl(fd, F_GETPIPE_SZ));
	SHOW(fcntl(fd, F_SETPIPE_SZ, -1));
	SHOW(ioctl(fd, 0x5401, b));
	SHOW(ioctl(fd, FIONREAD, BAD));
	SHOW(ioctl(fd, FIONREAD, &n) < 0 ? -1 : n);
	SHOW(ioctl(fd, FIONBIO, BAD));
	SHOW(ioctl(fd, 0xdeadbeef, 0));
	SHOW(mmap(NULL, 0, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED ? -1 : 0);
	SHOW(mmap(NULL, 0, PROT_READ, MAP_PRIVATE, fd, 1) == MAP_FAILED ? -1 : 0);
	SHOW(mmap(NULL, 4096, PROT_READ, 0, fd, 0) == MAP_FAILED ? -1 : 0);
	SHOW(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED ? -1 : 0);
	SHOW(mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE, fd, 0) == MAP_FAILED ? -1 : 0);
	SHOW(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
	SHOW(mmap((void *)1, 4096, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0) == MAP_FAILED ? -1 : 0);
	SHOW(mmap(NULL, -1L, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED ? -1 : 0);
	SHOW(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, -4096) == MAP_FAILED ? -1 : 0);
	SHOW(syscall(SYS_getdents64, fd, BAD, 1000));
	SHOW(fgetxattr(fd, "user.none", b, 10));
	SHOW(fsetxattr(fd, "user.none", b, 1, 9));
	SHOW(fremovexattr(fd, "bogus.none"));
	SHOW(sendfile(file, fd, &minus, 1));
	SHOW(sendfile(fd, file, NULL, 0));
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
	SHOW(epoll_ctl(ep, EPOLL_CTL_MOD, fd, BAD));
	SHOW(epoll_ctl(ep, 9, fd, &e));
	SHOW(epoll_ctl(fd, EPOLL_CTL_ADD, file, &e));
	SHOW(epoll_wait(fd, &e, 1, 0));
	SHOW(epoll_wait(fd, &e, 0, 0));
	SHOW(getsockname(fd, BAD, BAD));
	SHOW(listen(fd, 1));
	SHOW(send(fd, b, 0, MSG_DONTWAIT));
	SHOW(dup3(fd, fd, 0));
	SHOW(dup3(fd, 100000, 0));
	SHOW(dup2(fd, 100000));
	SHOW(fcntl(fd, F_DUPFD, 100000));
	SHOW(unlinkat(fd, "x", 0));
	SHOW(mkdirat(fd, "", 0));
	SHOW(readlinkat(fd, "", b, 10));
	close(file); close(ep); close(fd);
}

static void paths(const char *const *names, size_t count) {
	for (size_t i = 0; i < count; i++) {
		restore();
		path(names[i]);
	}
}

static int opened(int flags) { return open("file", flags); }

int main(void) {
	int p[2], s[2];
	setvbuf(stdout, NULL, _IOFBF, 1 << 20);
	memset(longName, 'a', sizeof longName - 1);
	memset(name255, 'b', 255);
	memset(name256, 'c', 256);
	snprintf(deep256, sizeof deep256, "/etc/%s", name256);
	mkfifo("fifo", 0600);
	const char *const names[] = {"", BAD, ".", "..", "/", "dir/.", "dir/..", "dir", "dir/", "todir", "todir/", "file", "file/", "file/.", "loop", "loop/",
		"dangling", "dangling/", "file/x", "new", "new/", "nodir/x", name256, longName, "fifo", "/etc", "/etc/", "/etc/passwd", "/etc/passwd/", "/etc/nothing",
		"/etc/nothing/", "/etc/.", deep256, "/dev/null", "/dev/null/"};
	paths(names, sizeof names / sizeof *names);
	restore();
	SHOW(lseek(open("file", O_RDONLY), 0, SEEK_DATA));
	SHOW(lseek(open("dir", O_RDONLY), 0, SEEK_DATA));
	SHOW(lseek(open("/etc/passwd", O_RDONLY), 0, SEEK_DATA));
	SHOW(lseek(open("/etc/passwd", O_RDONLY), 0, SEEK_HOLE) > 0);
	SHOW(lseek(open("/etc/passwd", O_RDONLY), 1L << 40, SEEK_HOLE));
	descriptor("closed", 700);
	descriptor("-1", -1);
	descriptor("O_PATH file", opened(O_PATH));
	descriptor("O_PATH directory", open("dir", O_PATH));
	descriptor("read", opened(O_RDONLY));
	descriptor("write", opened(O_WRONLY));
	descriptor("both", opened(O_RDWR));
	truncate("file", 0);
	descriptor("empty", opened(O_RDONLY));
	descriptor("append", opened(O_RDWR | O_APPEND));
	descriptor("neither", opened(3));
	descriptor("directory", open("dir", O_RDONLY));
	descriptor("/dev/null", open("/dev/null", O_RDWR));
	descriptor("read-only mount's", open("/etc/passwd", O_RDONLY));
	pipe2(p, O_NONBLOCK);
	descriptor("pipe in", p[0]);
	pipe2(p, O_NONBLOCK);
	descriptor("pipe out", p[1]);
	socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s);
	descriptor("socket", s[0]);
	descriptor("eventfd", eventfd(0, EFD_NONBLOCK));
	descriptor("epoll", epoll_create1(0));
	printf("as 1000\n");
	chmod(".", 0755);
	restore();
	mkdir("open", 01777);
	mkdir("open/root's", 0700);
	mkdir("secret", 0700);
	close(open("secret/file", O_CREAT, 0600));
	SHOW(setresgid(1000, 1000, 1000));
	SHOW(setresuid(1000, 1000, 1000));
	const char *const own[] = {"file", "dir", "dir/x", "open/root's", "secret/file", "new", "/etc/passwd", "/etc/shadow", "/etc/nothing", "/etc", "/root/x"};
	paths(own, sizeof own / sizeof *own);
	fflush(stdout);
}
