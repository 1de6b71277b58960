/* A container that may mount, and uses it against its kernel: as many mounts as there may be, trees that double, memory by many file systems, covered paths. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void expect(int holds, const char *what) {
	if (holds) return;
	printf("FAIL %s (%s)\n", what, strerror(errno));
	exit(1);
}

static int lines(const char *path) {
	FILE *file = fopen(path, "r");
	int count = 0;
	if (file == NULL) return -1;
	for (int c; (c = getc(file)) != EOF;) count += c == '\n';
	fclose(file);
	return count;
}

/* On one place, until there is no room; then all are taken away one by one. */
static void stack(void) {
	int count = 0;
	while (mount("t", "d", "tmpfs", 0, NULL) == 0) count++;
	expect(errno == ENOSPC && count > 1000 && count < 20000, "the number of mounts is bounded");
	expect(mount("d", "e", NULL, MS_BIND, NULL) < 0 && errno == ENOSPC, "bind mounts count too");
	expect(unshare(CLONE_NEWNS) < 0 && errno == ENOSPC, "and those of other namespaces");
	expect(lines("/proc/self/mountinfo") < 20000, "mountinfo");
	for (int i = 0; i < count; i++) expect(umount2("d", 0) == 0, "umount");
	expect(umount2("d", 0) < 0 && errno == EINVAL, "nothing is left");
}

/* Each turn doubles what there is. */
static void doubling(void) {
	expect(mount("t", "d", "tmpfs", 0, NULL) == 0, "mount");
	expect(mount(NULL, "d", NULL, MS_SHARED, NULL) == 0, "share");
	int turns = 0;
	for (; turns < 64; turns++) {
		char path[64];
		snprintf(path, sizeof path, "d/%d", turns);
		mkdir(path, 0755);
		if (mount("d", path, NULL, MS_BIND | MS_REC, NULL) < 0) break;
	}
	expect(turns < 64 && errno == ENOSPC, "a tree that doubles ends");
	expect(umount2("d", MNT_DETACH) == 0, "umount");
	expect(mount("t", "d", "tmpfs", 0, NULL) == 0 && umount("d") == 0, "there is room again");
}

/* Namespaces end with their processes. */
static void namespaces(void) {
	for (int i = 0; i < 500; i++) {
		pid_t child = fork();
		if (child == 0) {
			if (unshare(CLONE_NEWNS) < 0) _exit(1);
			for (int j = 0; j < 100; j++)
				if (mount("t", "d", "tmpfs", 0, NULL) < 0) _exit(2);
			_exit(0);
		}
		int status;
		waitpid(child, &status, 0);
		expect(status == 0, "a namespace's mounts end with it");
	}
}

/* All file systems together hold no more than one may. */
static void memory(void) {
	static char bytes[1 << 20];
	memset(bytes, 1, sizeof bytes);
	long written = 0;
	int mounted = 0;
	for (; mounted < 64; mounted++) {
		expect(mount("t", "d", "tmpfs", 0, "size=1g") == 0, "mount");
		int fd = open("d/f", O_CREAT | O_WRONLY, 0644);
		if (fd < 0) break;
		long here = 0;
		for (int i = 0; i < 16; i++) {
			ssize_t n = write(fd, bytes, sizeof bytes);
			if (n > 0) here += n;
		}
		close(fd);
		written += here;
		if (here < 16 << 20) break;
	}
	expect(written <= 512L << 20, "the memory of all tmpfs is bounded");
	for (int i = 0; i <= mounted; i++) umount("d");
	expect(mount("t", "d", "tmpfs", 0, NULL) == 0, "mount");
	int fd = open("d/f", O_CREAT | O_WRONLY, 0644);
	expect(fd >= 0 && write(fd, bytes, sizeof bytes) == sizeof bytes, "it comes back");
	close(fd);
	expect(umount("d") == 0, "umount");
}

/* What the operator has covered or made read-only stays so. */
static void operators(void) {
	expect(umount2("/proc/sys", MNT_DETACH) < 0 && errno == EINVAL, "a covered path can't be uncovered");
	expect(mount(NULL, "/proc/sys", NULL, MS_REMOUNT | MS_BIND, NULL) < 0 && errno == EPERM, "a read-only path stays read-only");
	expect(mount("/proc", "d", NULL, MS_BIND, NULL) < 0 && errno == EINVAL, "nor is it seen through another mount");
	expect(mount(NULL, "/readonly", NULL, MS_REMOUNT, NULL) < 0 && errno == EPERM, "a read-only mount stays read-only");
	expect(mount(NULL, "/readonly", NULL, MS_REMOUNT | MS_BIND, NULL) < 0 && errno == EPERM, "by a bind's flags too");
	expect(mount("/readonly", "d", NULL, MS_BIND, NULL) == 0, "it can be bound");
	expect(mount(NULL, "d", NULL, MS_REMOUNT | MS_BIND, NULL) < 0 && errno == EPERM, "and its copy stays read-only");
	expect(open("d/x", O_CREAT | O_WRONLY, 0644) < 0 && errno == EROFS, "no file is made on it");
	expect(umount("d") == 0, "umount");
	expect(unshare(CLONE_NEWNS) == 0, "unshare");
	expect(mount(NULL, "/readonly", NULL, MS_REMOUNT | MS_BIND, NULL) < 0 && errno == EPERM, "in another namespace too");
	expect(umount2("/proc/sys", MNT_DETACH) < 0 && errno == EINVAL, "there too");
}

/* Up and out of whatever is mounted there is only the container's own root. */
static void escape(void) {
	struct stat root, at;
	expect(stat("/", &root) == 0, "stat");
	mkdir("e/deep", 0755), mkdir("e/deep/down", 0755);
	expect(mount("e/deep", "d", NULL, MS_BIND, NULL) == 0 && chdir("d/down") == 0, "bind");
	expect(rename("/tmp/e/deep/down", "/tmp/down") == 0, "rename");
	for (int i = 0; i < 64; i++)
		if (chdir("..") < 0) break;
	expect(stat(".", &at) == 0 && access("bin/prog", F_OK) < 0, "a directory outside of its mount leads nowhere");
	expect(chdir("/") == 0, "chdir");
	for (int i = 0; i < 64; i++) expect(chdir("..") == 0, "chdir");
	expect(stat(".", &at) == 0 && at.st_ino == root.st_ino && at.st_dev == root.st_dev, "the root is the top");
	expect(chdir("/tmp") == 0 && umount2("d", MNT_DETACH) == 0, "umount");
	expect(mount("t", "/proc", "tmpfs", 0, NULL) == 0, "mount over /proc");
	pid_t child = fork();
	if (child == 0) execl("/bin/prog", "prog", "ran", NULL);
	int status;
	waitpid(child, &status, 0);
	expect(status == 0, "programs run without /proc");
	expect(umount("/proc") == 0, "umount");
}

int main(int argc, char **argv) {
	if (argc > 1) return 0;
	expect(chdir("/tmp") == 0, "chdir");
	expect(mount("t", "/tmp", "tmpfs", 0, NULL) == 0 && chdir("/tmp") == 0, "mount");
	mkdir("d", 0755), mkdir("e", 0755);
	stack();
	doubling();
	namespaces();
	memory();
	escape();
	operators();
	puts("done");
	return 0;
}
