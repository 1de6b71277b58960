/*
 * mount(2), umount2(2), pivot_root(2), unshare(CLONE_NEWNS): what each gives, in the order of Linux's checks, with CAP_SYS_ADMIN and without. Runs in an
 * empty folder of a tmpfs, in a mount namespace of its own. Nothing here takes the caller's own root away without a chroot in between.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHOW(call) show(#call, (call))

static void show(const char *what, long result) {
	printf("%s = %ld%s%s\n", what, result < 0 ? -1 : result, result < 0 ? " " : "", result < 0 ? strerrorname_np(errno) : "");
	fflush(stdout);
}

static char here[4096];

/* The lines of mountinfo below this folder, without what differs from machine to machine. */
static void table(const char *title) {
	FILE *file = fopen("/proc/self/mountinfo", "r");
	char line[4096];
	printf("-- %s\n", title);
	while (file != NULL && fgets(line, sizeof line, file) != NULL) {
		int id, parent, major, minor, used;
		char root[2048], place[2048];
		if (sscanf(line, "%d %d %d:%d %2047s %2047s%n", &id, &parent, &major, &minor, root, place, &used) < 6) continue;
		char *rest = line + used;
		if (strncmp(place, here, strlen(here)) != 0) continue;
		/* Numbers of peer groups are the machine's. */
		char shown[4096] = "";
		for (char *word = strtok(rest, " \n"); word != NULL; word = strtok(NULL, " \n")) {
			char *colon = strchr(word, ':');
			if (colon != NULL && (strncmp(word, "shared", 6) == 0 || strncmp(word, "master", 6) == 0)) *colon = 0;
			strcat(strcat(shown, " "), word);
		}
		char *at = strstr(root, here + 4);
		printf("%s %s%s\n", at != NULL ? at + strlen(here + 4) : root, place + strlen(here), shown);
	}
	if (file != NULL) fclose(file);
	fflush(stdout);
}

static void put(const char *path) {
	int fd = open(path, O_CREAT | O_WRONLY, 0644);
	if (fd < 0) printf("put %s: %s\n", path, strerrorname_np(errno));
	close(fd);
}

static void errors(void) {
	SHOW(mount("x", "nothing", "tmpfs", 0, ""));
	SHOW(mount("x", "d", "nosuchfs", 0, ""));
	SHOW(mount("x", "d", NULL, 0, NULL));
	SHOW(mount("x", "file", "tmpfs", 0, ""));
	SHOW(mount("x", "d", "tmpfs", 0, "nonsense=1"));
	SHOW(mount("x", "d", "tmpfs", 0, "size=x"));
	SHOW(mount("x", "d", "tmpfs", 0, "size"));
	SHOW(mount("x", "d", "tmpfs", 0, "mode=9"));
	SHOW(mount("x", "d", "tmpfs", 0, "uid=-1"));
	SHOW(mount((char *)1, "d", "tmpfs", 0, ""));
	SHOW(mount("x", (char *)1, "tmpfs", 0, ""));
	SHOW(mount("x", "d", (char *)1, 0, ""));
	SHOW(mount("x", "d", "tmpfs", MS_REMOUNT, ""));
	SHOW(mount("x", "d", "tmpfs", MS_REMOUNT | MS_BIND, ""));
	SHOW(mount("nothing", "d", NULL, MS_BIND, NULL));
	SHOW(mount("", "d", NULL, MS_BIND, NULL));
	SHOW(mount(NULL, "d", NULL, MS_BIND, NULL));
	SHOW(mount("file", "d", NULL, MS_BIND, NULL));
	SHOW(mount("d", "file", NULL, MS_BIND, NULL));
	SHOW(mount("d", "e", NULL, MS_MOVE, NULL));
	SHOW(mount(NULL, "d", NULL, MS_PRIVATE, NULL));
	SHOW(mount("d", "d", NULL, 1U << 31, NULL));
	SHOW(umount2("nothing", 0));
	SHOW(umount2("d", 0));
	SHOW(umount2("d", 64));
	SHOW(umount2("nothing", 64));
	SHOW(syscall(SYS_pivot_root, "nothing", "d"));
	SHOW(syscall(SYS_pivot_root, "file", "d"));
	SHOW(syscall(SYS_pivot_root, "d", "d"));
	SHOW(unshare(CLONE_NEWNS | CLONE_THREAD));
}

static void basics(void) {
	struct statfs fs;
	SHOW(mount("name", "d", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=1m,nr_inodes=5,mode=750,uid=7,gid=8"));
	struct stat st;
	stat("d", &st);
	printf("%o %d %d\n", st.st_mode, st.st_uid, st.st_gid);
	statfs("d", &fs);
	printf("%lx %ld %ld %ld %ld %lx\n", (long)fs.f_type, (long)fs.f_blocks, (long)fs.f_bfree, (long)fs.f_files, (long)fs.f_ffree, (long)fs.f_flags & 0x40f);
	table("tmpfs");
	put("d/1"), put("d/2"), put("d/3"), put("d/4"), put("d/5");
	SHOW(mount(NULL, "d", NULL, MS_REMOUNT, "nr_inodes=3"));
	SHOW(mount(NULL, "d", NULL, MS_REMOUNT, "nr_inodes=9,size=64k"));
	put("d/5");
	int fd = open("d/5", O_WRONLY);
	static char bytes[128 << 10];
	SHOW(write(fd, bytes, sizeof bytes));
	SHOW(mount(NULL, "d", NULL, MS_REMOUNT, "size=4k"));
	SHOW(umount2("d", 0));
	close(fd);
	SHOW(mount(NULL, "d", NULL, MS_REMOUNT | MS_RDONLY, NULL));
	SHOW(open("d/6", O_CREAT | O_WRONLY, 0644));
	table("remounted");
	SHOW(mount("again", "d", "tmpfs", 0, "size=50%,nr_blocks=3"));
	table("stacked");
	SHOW(umount2("d", UMOUNT_NOFOLLOW));
	SHOW(access("d/5", F_OK));
	SHOW(rmdir("d"));
	SHOW(rename("d", "z"));
	SHOW(umount("d"));
	SHOW(access("d/5", F_OK));
}

static void binds(void) {
	mkdir("a", 0755), mkdir("a/sub", 0755), mkdir("b", 0755), mkdir("c", 0755);
	put("a/sub/f");
	SHOW(mount("a", "b", NULL, MS_BIND, NULL));
	SHOW(access("b/sub/f", F_OK));
	SHOW(mount("t", "a/sub", "tmpfs", 0, NULL));
	put("a/sub/on-tmpfs");
	SHOW(access("b/sub/on-tmpfs", F_OK));
	SHOW(mount("a", "c", NULL, MS_BIND | MS_REC, NULL));
	SHOW(access("c/sub/on-tmpfs", F_OK));
	SHOW(mount(NULL, "b", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID, NULL));
	SHOW(open("b/x", O_CREAT | O_WRONLY, 0644));
	SHOW(mkdir("b/x", 0755));
	SHOW(open("b/sub/f", O_WRONLY));
	SHOW(rename("b/sub/f", "a/f"));
	SHOW(link("b/sub/f", "a/f"));
	table("binds");
	SHOW(umount2("c", 0));
	SHOW(umount2("c", MNT_DETACH));
	SHOW(mount("file", "other", NULL, MS_BIND, NULL));
	struct stat one, two;
	stat("file", &one), stat("other", &two);
	printf("same %d\n", one.st_ino == two.st_ino);
	SHOW(unlink("other"));
	SHOW(umount("other"));
	SHOW(mkdir("m", 0755));
	SHOW(mount("a/sub", "m", NULL, MS_MOVE, NULL));
	SHOW(access("m/on-tmpfs", F_OK));
	SHOW(access("a/sub/f", F_OK));
	SHOW(mkdir("m/in", 0755));
	SHOW(mount("m", "m/in", NULL, MS_MOVE, NULL));
	SHOW(mount("m", "c", NULL, MS_BIND, NULL));
	SHOW(mount("c", "c/in", NULL, MS_BIND, NULL));
	SHOW(mount("c", "c/in", NULL, MS_BIND | MS_REC, NULL));
	table("self");
	SHOW(umount2("c", MNT_DETACH));
	SHOW(umount("m"));
	SHOW(umount("b"));
	/* A directory that leaves its bind mount has no way up. */
	mkdir("a/deep", 0755), mkdir("a/deep/down", 0755), mkdir("out", 0755);
	SHOW(mount("a/deep", "b", NULL, MS_BIND, NULL));
	SHOW(chdir("b/down"));
	char path[5000];
	snprintf(path, sizeof path, "%s/a/deep/down", here);
	char to[5000];
	snprintf(to, sizeof to, "%s/out/down", here);
	SHOW(rename(path, to));
	SHOW(access("..", F_OK));
	SHOW(chdir(".."));
	printf("%s\n", getcwd(path, sizeof path) == NULL ? strerrorname_np(errno) : path[0] == '(' ? "(unreachable)" : "reachable");
	SHOW(chdir(here));
	SHOW(umount("b"));
}

static void busy(void) {
	SHOW(mount("t", "d", "tmpfs", 0, NULL));
	mkdir("d/w", 0755);
	chdir("d/w");
	SHOW(umount(here[0] != 0 ? "../../d" : ""));
	SHOW(umount2("../../d", MNT_DETACH));
	put("still");
	SHOW(access("still", F_OK));
	SHOW(access("../w/still", F_OK));
	SHOW(chdir("../../.."));
	SHOW(access("w", F_OK));
	chdir(here);
	SHOW(mount("t", "d", "tmpfs", 0, NULL));
	SHOW(umount2("d", MNT_EXPIRE | MNT_DETACH));
	SHOW(umount2("d", MNT_EXPIRE));
	SHOW(umount2("d", MNT_EXPIRE));
	SHOW(umount2("d", MNT_EXPIRE));
}

static void propagation(void) {
	mkdir("s", 0755), mkdir("p", 0755), mkdir("q", 0755);
	SHOW(mount("t", "s", "tmpfs", 0, NULL));
	SHOW(mount(NULL, "s", NULL, MS_SHARED, NULL));
	SHOW(mount(NULL, "s", NULL, MS_SHARED | MS_PRIVATE, NULL));
	SHOW(mount(NULL, "s", NULL, MS_SHARED | MS_NOSUID, NULL));
	mkdir("s/x", 0755), mkdir("s/y", 0755);
	SHOW(mount("s", "p", NULL, MS_BIND, NULL));
	SHOW(mount("s", "q", NULL, MS_BIND, NULL));
	SHOW(mount(NULL, "q", NULL, MS_SLAVE, NULL));
	SHOW(mount("u", "p/x", "tmpfs", 0, NULL));
	put("p/x/f");
	SHOW(access("s/x/f", F_OK));
	SHOW(access("q/x/f", F_OK));
	table("shared");
	SHOW(mount("v", "q/y", "tmpfs", 0, NULL));
	put("q/y/f");
	SHOW(access("s/y/f", F_OK));
	SHOW(mount("p/x", "d", NULL, MS_MOVE, NULL));
	SHOW(umount("s/x"));
	SHOW(access("q/x/f", F_OK));
	SHOW(access("p/x/f", F_OK));
	pid_t child = fork();
	if (child == 0) {
		SHOW(unshare(CLONE_NEWNS));
		SHOW(mount("w", "s/x", "tmpfs", 0, NULL));
		SHOW(mount("w", "e", "tmpfs", 0, NULL));
		put("s/x/by-child");
		put("e/by-child");
		_exit(0);
	}
	waitpid(child, NULL, 0);
	SHOW(access("s/x/by-child", F_OK));
	SHOW(access("e/by-child", F_OK));
	SHOW(umount("s/x"));
	SHOW(mount(NULL, "p", NULL, MS_UNBINDABLE, NULL));
	SHOW(mount("p", "d", NULL, MS_BIND, NULL));
	table("unbindable");
	SHOW(umount2("q", MNT_DETACH));
	SHOW(umount("p"));
	SHOW(umount("s"));
	table("clean");
}

static void pivot(void) {
	pid_t child = fork();
	if (child == 0) {
		SHOW(unshare(CLONE_NEWNS));
		mkdir("root", 0755);
		SHOW(mount("r", "root", "tmpfs", 0, NULL));
		mkdir("root/old", 0755), mkdir("root/proc", 0755);
		put("root/here");
		SHOW(syscall(SYS_pivot_root, "root", "d"));
		SHOW(syscall(SYS_pivot_root, "root", "root/old"));
		SHOW(access("/here", F_OK));
		SHOW(access("/old/proc/self", F_OK));
		SHOW(chdir("/"));
		SHOW(mount("proc", "/proc", "proc", 0, NULL));
		SHOW(umount2("/old", 0));
		SHOW(umount2("/old", MNT_DETACH));
		SHOW(access("/old/proc", F_OK));
		SHOW(access("/../../here", F_OK));
		SHOW(mkdir("/next", 0755));
		SHOW(mount("r", "/next", "tmpfs", 0, NULL));
		put("/next/second");
		SHOW(chdir("/next"));
		SHOW(syscall(SYS_pivot_root, ".", "."));
		SHOW(access("/second", F_OK));
		SHOW(umount2(".", MNT_DETACH));
		SHOW(access("/here", F_OK));
		SHOW(access("/second", F_OK));
		_exit(0);
	}
	waitpid(child, NULL, 0);
	SHOW(access("d", F_OK));
}

static void kinds(void) {
	SHOW(mount("proc", "d", "proc", MS_NOSUID, NULL));
	SHOW(access("d/self/status", F_OK));
	SHOW(umount("d"));
	SHOW(mount("sys", "d", "sysfs", 0, NULL));
	SHOW(access("d/devices/system/cpu", F_OK));
	SHOW(umount("d"));
	SHOW(mount("pts", "d", "devpts", 0, "newinstance,ptmxmode=0666,mode=620,gid=5"));
	SHOW(access("d/ptmx", F_OK));
	table("devpts");
	SHOW(umount("d"));
	SHOW(mount("mq", "d", "mqueue", 0, NULL));
	SHOW(umount("d"));
	SHOW(mount("t", "d", "tmpfs", MS_NOSYMFOLLOW, NULL));
	SHOW(symlink("x", "d/l"));
	SHOW(open("d/l", O_RDONLY));
	SHOW(readlink("d/l", (char[8]){0}, 8));
	SHOW(umount("d"));
	SHOW(mount("t", "/proc", "tmpfs", 0, NULL));
	SHOW(access("/proc/self", F_OK));
	SHOW(umount("/proc"));
	SHOW(access("/proc/self", F_OK));
}

int main(int argc, char **argv) {
	if (argc > 1) {
		/* Without the capability. */
		SHOW(mount("x", "nothing", "tmpfs", 0, ""));
		SHOW(mount("x", ".", "nosuchfs", 0, ""));
		SHOW(mount((char *)1, ".", "tmpfs", 0, ""));
		SHOW(mount("x", ".", "tmpfs", 1U << 31, ""));
		SHOW(umount2("nothing", 0));
		SHOW(umount2(".", 0));
		SHOW(umount2(".", 64));
		SHOW(syscall(SYS_pivot_root, "nothing", "nothing"));
		SHOW(unshare(CLONE_NEWNS));
		return 0;
	}
	SHOW(unshare(CLONE_NEWNS));
	SHOW(mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL));
	/* A file system of its own, so that no option of the caller's shows. */
	SHOW(mount("base", ".", "tmpfs", 0, NULL));
	if (getcwd(here, sizeof here) == NULL || chdir(here) < 0) return 1;
	mkdir("d", 0755), mkdir("e", 0755);
	put("file"), put("other");
	errors();
	basics();
	binds();
	busy();
	propagation();
	pivot();
	kinds();
	return 0;
}
