// Root of a virtual machine with all capabilities looks for what is not its pod's: argv[1] names the attack. /volume is a folder of the host, /readonly one
// that it may not change, and beside both the host has files whose contents begin with SECRET. Prints "held", or what came through.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define SECRET "SECRET"
#define CHECK(is_right, ...) do { if (!(is_right)) { printf(__VA_ARGS__); printf(" (errno %d)\n", errno); exit(1); } } while (0)
// A call that has to fail.
#define FAILS(call, error) do { long result = (call); CHECK(result < 0 && errno == (error), "%s: %ld", #call, result); } while (0)
#define RACE_SECONDS 3

// Reads a file, and ends the program if it is one of the host's.
static void look(int fd, const char *how)
{
	char text[64] = "";
	if (fd < 0) return;
	if (pread(fd, text, sizeof text - 1, 0) > 0) CHECK(strncmp(text, SECRET, strlen(SECRET)) != 0, "%s: %s", how, text);
	close(fd);
}

// Each way up from a folder of the share, and by what the share's own server may resolve.
static void names(void)
{
	static const char *const ups[] = {"..", "../..", "../../..", "../../../..", "../../../../../../../..", ""};
	static const char *const places[] = {"/secret", "/volume-secret", "/volume/../volume-secret", "/bundle/secret", "/etc/shadow", "/etc/hostname"};
	char path[256], target[256];
	CHECK(chdir("/volume") == 0, "chdir");
	for (size_t i = 0; i < sizeof ups / sizeof *ups; i++)
		for (size_t j = 0; j < sizeof places / sizeof *places; j++) {
			snprintf(target, sizeof target, "%s%s", ups[i], places[j]);
			look(open(target, O_RDONLY), target);
			snprintf(path, sizeof path, "link-%zu-%zu", i, j);
			CHECK(symlink(target, path) == 0 || errno == EEXIST, "symlink");
			look(open(path, O_RDONLY), path);
			// Whatever the server does with a symlink, it does to the link.
			look(openat(AT_FDCWD, path, O_RDWR | O_CREAT, 0644), path);
			setxattr(path, "user.x", "1", 1, 0);
			FAILS(link(path, "/readonly/x"), EROFS);
			CHECK(linkat(AT_FDCWD, path, AT_FDCWD, "hard", AT_SYMLINK_FOLLOW) != 0 || unlink("hard") == 0, "linkat");
			CHECK(unlink(path) == 0, "unlink");
		}
	// A name with a separator can't be said to the kernel; "..", as an entry, is the parent that the guest knows.
	struct stat up, self;
	CHECK(stat("/volume/..", &up) == 0 && stat("/", &self) == 0 && up.st_ino == self.st_ino, "the parent of /volume");
}

static atomic_bool is_over;

// Turns /volume/turn, where the secret's name is looked up, into a symlink up and out, and back.
static void *turn(void *unused)
{
	while (!is_over) {
		syscall(SYS_renameat2, AT_FDCWD, "/volume/turn", AT_FDCWD, "/volume/other", RENAME_EXCHANGE);
		rename("/volume/deep/a/b", "/volume/b");
		rename("/volume/b", "/volume/deep/a/b");
	}
	return unused;
}

static void *walk(void *unused)
{
	while (!is_over) {
		look(open("/volume/turn/volume-secret", O_RDONLY), "turn");
		look(open("/volume/turn/secret", O_RDONLY), "turn");
		look(open("/volume/deep/a/b/../../../../volume-secret", O_RDONLY), "up");
		int fd = open("/volume/deep/a/b", O_PATH | O_DIRECTORY);
		if (fd >= 0) {
			look(openat(fd, "../../../volume-secret", O_RDONLY), "up from a folder that moved");
			look(openat(fd, "../../../../secret", O_RDONLY), "up from a folder that moved");
			close(fd);
		}
		fd = open("/volume/turn/secret", O_CREAT | O_WRONLY, 0644);
		if (fd >= 0) close(fd);
	}
	return unused;
}

static void races(void)
{
	CHECK(mkdir("/volume/turn", 0755) == 0 && symlink("../..", "/volume/other") == 0, "set-up");
	CHECK(mkdir("/volume/deep", 0755) == 0 && mkdir("/volume/deep/a", 0755) == 0 && mkdir("/volume/deep/a/b", 0755) == 0, "set-up");
	pthread_t threads[3];
	for (int i = 0; i < 3; i++) CHECK(pthread_create(&threads[i], 0, i == 0 ? turn : walk, 0) == 0, "thread");
	sleep(RACE_SECONDS);
	is_over = 1;
	for (int i = 0; i < 3; i++) pthread_join(threads[i], 0);
}

// A tree that is read-only for the pod stays so whatever the guest's kernel thinks of it.
static void readonly_trees(void)
{
	CHECK(mount(0, "/readonly", 0, MS_REMOUNT | MS_BIND, 0) == 0, "remount");
	FAILS(open("/readonly/file", O_RDWR), EROFS);
	FAILS(open("/readonly/new", O_WRONLY | O_CREAT, 0644), EROFS);
	FAILS(chmod("/readonly/file", 0777), EROFS);
	FAILS(unlink("/readonly/file"), EROFS);
	FAILS(rename("/readonly/file", "/volume/file"), EXDEV);
	FAILS(link("/readonly/file", "/volume/file"), EXDEV);
	FAILS(setxattr("/readonly/file", "user.x", "1", 1, 0), EROFS);
	FAILS(mknod("/readonly/pipe", S_IFIFO | 0644, 0), EROFS);
}

static void nodes(void)
{
	for (unsigned major_number = 1; major_number < 260; major_number++) {
		FAILS(mknod("/volume/block", S_IFBLK | 0666, makedev(major_number, 0)), EPERM);
		FAILS(mknod("/volume/character", S_IFCHR | 0666, makedev(major_number, 1)), EPERM);
	}
	FAILS(setxattr("/volume", "trusted.overlay.opaque", "y", 1, 0), EPERM);
}

// Every number that a file of the share could have.
static void handles(void)
{
	struct { struct file_handle head; unsigned char bytes[128]; } handle = {.head.handle_bytes = 128};
	int mount_id, share = open("/volume", O_RDONLY | O_DIRECTORY);
	if (name_to_handle_at(AT_FDCWD, "/volume", &handle.head, &mount_id, 0) != 0) {
		CHECK(errno == EOPNOTSUPP, "name_to_handle_at");
		return;
	}
	CHECK(handle.head.handle_bytes >= 12, "a handle of %u bytes", handle.head.handle_bytes);
	for (unsigned node = 0; node < 100000; node++) {
		memcpy(handle.bytes, &node, sizeof node);
		memset(handle.bytes + 4, 0, 4);
		int fd = open_by_handle_at(share, &handle.head, O_RDONLY);
		if (fd < 0) continue;
		look(openat(fd, "secret", O_RDONLY), "below a handle");
		look(openat(fd, "volume-secret", O_RDONLY), "below a handle");
		look(openat(fd, "../volume-secret", O_RDONLY), "above a handle");
		look(fd, "a handle");
	}
}

// The whole share is the pod's trees: TREE... in argv.
static void share(int count, char **trees)
{
	CHECK(mkdir("/tmp/share", 0755) == 0 && mount("share", "/tmp/share", "virtiofs", 0, 0) == 0, "mount the share");
	DIR *folder = opendir("/tmp/share");
	for (struct dirent *entry; (entry = readdir(folder)) != 0;) {
		int is_known = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
		for (int i = 0; i < count; i++) is_known |= strcmp(entry->d_name, trees[i]) == 0;
		CHECK(is_known, "the share has %s", entry->d_name);
	}
	closedir(folder);
	look(open("/tmp/share/../secret", O_RDONLY), "above the share");
	FAILS(mkdir("/tmp/share/new", 0755), EACCES);
	CHECK(umount("/tmp/share") == 0, "umount");
}

// The agent's channel is a device that no container may open; who takes that rule off finds it taken.
static void channel(void)
{
	int number = 0;
	FILE *list = fopen("/proc/devices", "r");
	for (char line[128]; fgets(line, sizeof line, list);) if (strstr(line, "virtio-portsdev")) number = atoi(line);
	CHECK(number > 0, "the channel's number");
	CHECK(mknod("/tmp/channel", S_IFCHR | 0600, makedev(number, 1)) != 0 && errno == EPERM, "a node of the channel");
	CHECK(mkdir("/tmp/group", 0755) == 0 && mount("cgroup2", "/tmp/group", "cgroup2", 0, 0) == 0, "mount the groups");
	int group = open("/tmp/group", O_RDONLY | O_DIRECTORY);
	unsigned ids[8] = {0};
	union bpf_attr query = {.query = {.target_fd = group, .attach_type = BPF_CGROUP_DEVICE, .prog_ids = (unsigned long)ids, .prog_cnt = 8}};
	CHECK(syscall(SYS_bpf, BPF_PROG_QUERY, &query, sizeof query) == 0 && query.query.prog_cnt == 1, "find the rule");
	union bpf_attr detach = {.target_fd = group, .attach_type = BPF_CGROUP_DEVICE};
	CHECK(syscall(SYS_bpf, BPF_PROG_DETACH, &detach, sizeof detach) == 0, "take the rule off");
	CHECK(mknod("/tmp/channel", S_IFCHR | 0600, makedev(number, 1)) == 0, "a node of the channel");
	for (int i = 0; i < 1000; i++) FAILS(open("/tmp/channel", O_RDWR), EBUSY);
}

int main(int argc, char **argv)
{
	const char *attack = argc > 1 ? argv[1] : "";
	if (strcmp(attack, "names") == 0) names();
	else if (strcmp(attack, "races") == 0) races();
	else if (strcmp(attack, "readonly") == 0) readonly_trees();
	else if (strcmp(attack, "nodes") == 0) nodes();
	else if (strcmp(attack, "handles") == 0) handles();
	else if (strcmp(attack, "share") == 0) share(argc - 2, argv + 2);
	else if (strcmp(attack, "channel") == 0) channel();
	else return 2;
	puts("held");
	return 0;
}
