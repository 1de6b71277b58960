// Odd calls and what they answer, one line each.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHOW(call) do { errno = 0; long r = (long)(call); printf("%d %s = %ld %s\n", __LINE__, #call, r, r < 0 ? strerrorname_np(errno) : ""); } while (0)
#define BAD ((void *)8)

static char longName[5000], name255[256], name256[257];

static void paths(const char *p) {
	struct stat s;
	char b[64];
	printf("path \"%.40s\" %zu\n", p, strlen(p));
	SHOW(stat(p, &s));
	SHOW(lstat(p, &s));
	SHOW(access(p, W_OK));
	SHOW(open(p, O_RDONLY | O_DIRECTORY) < 0 ? -1 : 0);
	SHOW(open(p, O_RDONLY | O_NOFOLLOW) < 0 ? -1 : 0);
	SHOW(open(p, O_PATH) < 0 ? -1 : 0);
	SHOW(readlink(p, b, sizeof b));
	SHOW(readlink(p, b, 0));
	SHOW(mkdir(p, 0700));
	SHOW(truncate(p, 5));
	SHOW(truncate(p, -1));
	SHOW(link(p, "linked"));
	SHOW(unlink("linked"));
	SHOW(symlink("x", p));
	SHOW(rename(p, "renamed"));
	SHOW(rename(p, p));
	SHOW(chmod(p, 0755));
	SHOW(chown(p, -1, -1));
	SHOW(mkfifo(p, 0600));
	SHOW(chdir(p));
	SHOW(chdir("/tmp/work"));
	SHOW(open(p, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) < 0 ? -1 : 0);
	SHOW(rename(p, name256));
	/* Processes' entries of proc are immutable: EPERM whatever they are. */
	if (strcmp(p, "/proc/self/exe") != 0) SHOW(rmdir(p));
	SHOW(unlink(p));
	close(3); close(4); close(5); close(6);
}

static void descriptors(int fd) {
	char b[64];
	struct stat s;
	struct iovec v[2] = {{b, 3}, {BAD, 3}}, n = {b, -1};
	printf("descriptor %d\n", fd);
	SHOW(read(fd, b, 1));
	SHOW(read(fd, BAD, 1));
	SHOW(read(fd, b, 0));
	SHOW(write(fd, BAD, 1));
	SHOW(pread(fd, b, 1, -1));
	SHOW(pwrite(fd, b, 0, 0));
	SHOW(fallocate(fd, 0, 0, 0));
	SHOW(readv(fd, v, 2));
	SHOW(readv(fd, &n, 1));
	SHOW(readv(fd, v, -1));
	SHOW(readv(fd, v, 1025));
	SHOW(lseek(fd, -5, SEEK_SET));
	SHOW(lseek(fd, 0, 99));
	SHOW(lseek(fd, 1 << 30, SEEK_DATA));
	SHOW(fstat(fd, &s));
	SHOW(syscall(SYS_fstat, fd, BAD));
	SHOW(ftruncate(fd, -1));
	SHOW(ftruncate(fd, 1));
	SHOW(fsync(fd));
	SHOW(fcntl(fd, F_GETFD));
	SHOW(fcntl(fd, F_SETFD, 1));
	SHOW(fcntl(fd, 9999));
	SHOW(fcntl(fd, F_DUPFD, -1));
	SHOW(fcntl(fd, F_DUPFD, 5000));
	SHOW(dup2(fd, -1));
	SHOW(dup2(fd, fd));
	SHOW(dup3(fd, fd, 0));
	SHOW(dup3(fd, 9, 0xff));
	SHOW(fchdir(fd));
	SHOW(fchmod(fd, 0700));
	SHOW(syscall(SYS_getdents64, fd, b, sizeof b) > 0);
	SHOW(syscall(SYS_getdents64, fd, b, 1));
	SHOW(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 1));
	SHOW(mmap(NULL, 0, PROT_READ, MAP_PRIVATE, fd, 0));
	SHOW(posix_fadvise(fd, 0, 0, 99));
	SHOW(openat(fd, "x", O_RDONLY));
	SHOW(fstatat(fd, "", &s, 0));
	SHOW(fstatat(fd, "", &s, AT_EMPTY_PATH));
	SHOW(fstatat(fd, "x", &s, 0x800000));
	SHOW(close(fd));
}

static int prctl_bad(void) { return syscall(SYS_prctl, 99999, 0, 0, 0, 0); }

static void others(void) {
	int p[2];
	SHOW(syscall(SYS_pipe2, BAD, 0));
	SHOW(pipe2(p, 0x12345));
	SHOW(syscall(SYS_open, BAD, 0));
	SHOW(syscall(SYS_stat, "/", BAD));
	SHOW(syscall(SYS_getcwd, longName, 1));
	SHOW(kill(getpid(), 99));
	SHOW(kill(999999, 0));
	SHOW(waitpid(-1, NULL, 0));
	SHOW(waitpid(-1, NULL, 0x1000));
	SHOW(execve("/nothing", NULL, NULL));
	SHOW(execve("/etc", NULL, NULL));
	SHOW(execve("/etc/passwd/x", NULL, NULL));
	SHOW(execve("/bin/sh", BAD, NULL));
	SHOW(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", 99));
	SHOW(linkat(AT_FDCWD, "a", AT_FDCWD, "b", 1));
	SHOW(unlinkat(AT_FDCWD, "a", 1));
	SHOW(unlinkat(-1, "/tmp", 0));
	SHOW(openat(AT_FDCWD, "x", O_TMPFILE | O_RDONLY, 0));
	SHOW(mknod("n", 0170000, 0));
	SHOW(poll(BAD, 1, 0));
	SHOW(setpgid(0, -1));
	SHOW(setpgid(999999, 0));
	SHOW(getpgid(999999));
	SHOW(getpriority(9, 0));
	SHOW(prctl_bad());
	SHOW(chroot("/nothing"));
	SHOW(umask(0777) & 0);
}


int main(void) {
	setvbuf(stdout, NULL, _IOFBF, 1 << 20);
	memset(longName, 'a', sizeof longName - 1);
	memset(name255, 'b', 255);
	memset(name256, 'c', 256);
	SHOW(mkdir("dir", 0755));
	SHOW(symlink("loop", "loop"));
	SHOW(symlink("dir", "todir"));
	SHOW(symlink("nowhere", "dangling"));
	close(open("file", O_CREAT | O_RDWR, 0644));
	const char *names[] = {"", ".", "..", "/", "dir/", "todir/", "file/", "dir/.", "dir/..", "loop", "loop/x", "dangling", "dangling/", "file/x",
		"new", "new/", "nodir/x", name255, name256, longName, "/proc/self/nothing", "/etc/passwd", "/proc/self/exe"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		close(open("file", O_CREAT | O_RDWR, 0644));
		mkdir("dir", 0755);
		paths(names[i]);
	}
	int flags[] = {O_RDONLY, O_WRONLY, O_RDWR, O_RDWR | O_APPEND, O_PATH};
	for (int i = 0; i < 5; i++) { close(9); descriptors(open("file", flags[i] | O_CREAT, 0644)); }
	descriptors(open(".", O_RDONLY));
	descriptors(-1);
	descriptors(700);
	others();
	umask(022);
	printf("as 1000\n");
	SHOW(setresgid(1000, 1000, 1000));
	SHOW(setresuid(1000, 1000, 1000));
	SHOW(setuid(0));
	SHOW(chown("file", 1, 1));
	SHOW(kill(1, 0));
	const char *own[] = {"/etc/shadow", "file", "dir/x", "/tmp/user-file", "/root/x", "/tmp/work"};
	for (size_t i = 0; i < sizeof own / sizeof *own; i++) paths(own[i]);
	fflush(stdout);
}
