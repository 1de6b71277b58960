// O_TMPFILE, extended attributes, statx, openat2, renameat2, fallocate, holes, handles, mappings that share a file.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static long r(long v) { return v < 0 ? -errno : v; }

static void touch(const char *name, const char *text) {
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	write(fd, text, strlen(text));
	close(fd);
}

static void tmpfile_calls(void) {
	char path[64];
	mkdir("d", 0755);
	int fd = open("d", O_TMPFILE | O_RDWR, 0640);
	write(fd, "unnamed", 7);
	struct stat st;
	fstat(fd, &st);
	printf("tmpfile nlink %ld mode %o size %ld\n", (long)st.st_nlink, st.st_mode, (long)st.st_size);
	sprintf(path, "/proc/self/fd/%d", fd);
	printf("link %ld", r(linkat(AT_FDCWD, path, AT_FDCWD, "d/named", AT_SYMLINK_FOLLOW)));
	printf(" again %ld", r(linkat(AT_FDCWD, path, AT_FDCWD, "d/named", AT_SYMLINK_FOLLOW)));
	printf(" second %ld", r(linkat(fd, "", AT_FDCWD, "d/second", AT_EMPTY_PATH)));
	fstat(fd, &st);
	printf(" nlink %ld\n", (long)st.st_nlink);
	unlink("d/named"), unlink("d/second");
	printf("after unlink %ld\n", r(linkat(fd, "", AT_FDCWD, "d/third", AT_EMPTY_PATH)));
	close(fd);
	fd = open("d", O_TMPFILE | O_WRONLY | O_EXCL, 0600);
	printf("excl %ld", r(linkat(fd, "", AT_FDCWD, "d/excl", AT_EMPTY_PATH)));
	printf(" rdonly %ld creat %ld file %ld none %ld\n", r(open("d", O_TMPFILE | O_RDONLY, 0600)), r(open("d", O_TMPFILE | O_CREAT | O_RDWR, 0600)),
	       (touch("f", "x"), r(open("f", O_TMPFILE | O_RDWR, 0600))), r(open("nothing", O_TMPFILE | O_RDWR, 0600)));
	close(fd);
}

static volatile int size_signals;
static void on_size_signal(int number) {
	(void)number;
	size_signals++;
}

/* What makes a file longer without writing obeys RLIMIT_FSIZE too. */
static void size_limit(void) {
	struct rlimit old, limit;
	getrlimit(RLIMIT_FSIZE, &old);
	limit = old;
	limit.rlim_cur = 8192;
	signal(SIGXFSZ, on_size_signal);
	int fd = open("limited", O_RDWR | O_CREAT | O_TRUNC, 0600);
	ftruncate(fd, 16384);
	setrlimit(RLIMIT_FSIZE, &limit);
	printf("limit: fallocate %ld %d", r(fallocate(fd, 0, 8192, 4096)), size_signals);
	printf(" ftruncate within %ld %d", r(ftruncate(fd, 12288)), size_signals);
	printf(" beyond %ld %d", r(ftruncate(fd, 12289)), size_signals);
	printf(" truncate %ld %d", r(truncate("limited", 20000)), size_signals);
	printf(" fallocate beyond %ld %d\n", r(fallocate(fd, 0, 8192, 8192)), size_signals);
	setrlimit(RLIMIT_FSIZE, &old);
	signal(SIGXFSZ, SIG_DFL);
	close(fd);
	unlink("limited");
}

static int by_name(const void *a, const void *b) { return strcmp(*(char **)a, *(char **)b); }

static void list(const char *what, long n, char *names) {
	char *all[64];
	int count = 0;
	for (char *p = names; p < names + n && count < 64; p += strlen(p) + 1) all[count++] = p;
	qsort(all, count, sizeof *all, by_name);
	printf("%s %ld:", what, n);
	for (int i = 0; i < count; i++) printf(" %s", all[i]);
	printf("\n");
}

static void xattr_calls(void) {
	static char value[70000], big[70000];
	touch("x", "1");
	symlink("x", "l");
	mkfifo("p", 0600);
	memset(big, 'b', sizeof big);
	printf("set %ld %ld %ld", r(setxattr("x", "user.one", "1", 1, 0)), r(setxattr("l", "user.two", "22", 2, 0)), r(setxattr("x", "user.empty", "", 0, 0)));
	printf(" create %ld replace %ld flags %ld\n", r(setxattr("x", "user.one", "1", 1, XATTR_CREATE)), r(setxattr("x", "user.none", "1", 1, XATTR_REPLACE)),
	       r(setxattr("x", "user.one", "1", 1, 8)));
	printf("get %ld %ld %ld %ld", r(getxattr("x", "user.two", value, 10)), r(getxattr("x", "user.two", value, 1)), r(getxattr("x", "user.two", NULL, 0)),
	       r(getxattr("x", "user.empty", value, 10)));
	printf(" none %ld link %ld\n", r(getxattr("x", "user.no", value, 10)), r(lgetxattr("l", "user.two", value, 10)));
	list("list", r(listxattr("x", value, sizeof value)), value);
	printf("size %ld small %ld lset %ld fifo %ld fifo get %ld\n", r(listxattr("x", NULL, 0)), r(listxattr("x", value, 3)), r(lsetxattr("l", "user.a", "1", 1, 0)),
	       r(setxattr("p", "user.a", "1", 1, 0)), r(getxattr("p", "user.a", value, 1)));
	printf("names: empty %ld prefix %ld bare %ld unknown %ld long %ld\n", r(setxattr("x", "", "1", 1, 0)), r(setxattr("x", "user.", "1", 1, 0)),
	       r(setxattr("x", "user", "1", 1, 0)), r(setxattr("x", "other.a", "1", 1, 0)), (memset(value, 'n', 300), memcpy(value, "user.", 5), value[256] = 0, r(setxattr("x", value, "1", 1, 0))));
	printf("too big %ld\n", r(setxattr("x", "user.big", big, 65537, 0)));
	printf("system %ld\n", r(setxattr("x", "system.other", "1", 1, 0)));
	printf("remove %ld %ld\n", r(removexattr("x", "user.one")), r(removexattr("x", "user.one")));
	int fd = open("x", O_RDONLY), path = open("x", O_PATH);
	printf("f %ld %ld path %ld\n", r(fsetxattr(fd, "user.f", "1", 1, 0)), r(fgetxattr(fd, "user.f", value, 9)), r(fgetxattr(path, "user.f", value, 9)));
	chmod("x", 0400);
	if (fork() == 0) {
		setuid(1000);
		printf("other user: set %ld get %ld trusted %ld %ld security %ld %ld\n", r(setxattr("x", "user.one", "1", 1, 0)), r(getxattr("x", "user.two", value, 9)),
		       r(setxattr("x", "trusted.a", "1", 1, 0)), r(getxattr("x", "trusted.a", value, 9)), r(setxattr("x", "security.other", "1", 1, 0)), r(getxattr("x", "security.other", value, 9)));
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
	close(fd), close(path);
}

static void statx_calls(void) {
	struct statx x;
	touch("sx", "12345");
	printf("statx %ld", r(statx(AT_FDCWD, "sx", 0, STATX_BASIC_STATS | STATX_BTIME, &x)));
	printf(" mask %x size %ld mode %o nlink %d btime %d attrs %llx\n", x.stx_mask & 0xfff, (long)x.stx_size, x.stx_mode, x.stx_nlink, x.stx_btime.tv_sec > 0, (long long)x.stx_attributes & 0x2000);
	printf("sync %ld both %ld mask %ld flags %ld empty %ld\n", r(statx(AT_FDCWD, "sx", AT_STATX_DONT_SYNC, 0xfff, &x)), r(statx(AT_FDCWD, "sx", 0x6000, 0xfff, &x)),
	       r(statx(AT_FDCWD, "sx", 0, 0x80000000, &x)), r(statx(AT_FDCWD, "sx", 0x40, 0xfff, &x)), r(statx(AT_FDCWD, "", 0, 0xfff, &x)));
	int fd = open("sx", O_RDONLY);
	printf("fd %ld null %ld", r(statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &x)), r(syscall(SYS_statx, fd, NULL, AT_EMPTY_PATH, 0xfff, &x)));
	printf(" mnt %d", (x.stx_mask & STATX_MNT_ID) != 0);
	statx(AT_FDCWD, "/proc", 0, 0xfff, &x);
	printf(" root %llx of %llx\n", (long long)x.stx_attributes & 0x2000, (long long)x.stx_attributes_mask & 0x2000);
	close(fd);
}

static long how(int dir, const char *path, long flags, long mode, long resolve) {
	struct open_how h = {.flags = flags, .mode = mode, .resolve = resolve};
	long fd = r(syscall(SYS_openat2, dir, path, &h, sizeof h));
	if (fd >= 0) close(fd), fd = 0;
	return fd;
}

static void openat2_calls(void) {
	mkdir("o", 0755), mkdir("o/in", 0755);
	touch("o/in/f", "x"), touch("out", "y");
	symlink("f", "o/in/good"), symlink("../../out", "o/in/bad"), symlink("/in/f", "o/abs"), symlink("/proc/self/exe", "o/magic"), symlink("loop", "o/loop");
	int d = open("o", O_RDONLY);
	printf("beneath %ld %ld %ld %ld %ld %ld\n", how(d, "in/f", 0, 0, RESOLVE_BENEATH), how(d, "../out", 0, 0, RESOLVE_BENEATH), how(d, "in/bad", 0, 0, RESOLVE_BENEATH),
	       how(d, "/in/f", 0, 0, RESOLVE_BENEATH), how(d, "abs", 0, 0, RESOLVE_BENEATH), how(d, "in/../in/good", 0, 0, RESOLVE_BENEATH));
	printf("in root %ld %ld %ld %ld %ld\n", how(d, "/in/f", 0, 0, RESOLVE_IN_ROOT), how(d, "../../in/f", 0, 0, RESOLVE_IN_ROOT), how(d, "abs", 0, 0, RESOLVE_IN_ROOT),
	       how(d, "in/bad", 0, 0, RESOLVE_IN_ROOT), how(d, "magic", 0, 0, RESOLVE_IN_ROOT));
	printf("no links %ld %ld %ld", how(d, "in/good", 0, 0, RESOLVE_NO_SYMLINKS), how(d, "in/f", 0, 0, RESOLVE_NO_SYMLINKS), how(d, "in/good", O_NOFOLLOW | O_PATH, 0, RESOLVE_NO_SYMLINKS));
	printf(" magic %ld %ld %ld", how(AT_FDCWD, "/proc/self/exe", 0, 0, RESOLVE_NO_MAGICLINKS), how(AT_FDCWD, "/proc/self/fd/0", O_PATH | O_NOFOLLOW, 0, RESOLVE_NO_MAGICLINKS), how(d, "in/good", 0, 0, RESOLVE_NO_MAGICLINKS));
	printf(" xdev %ld %ld %ld %ld\n", how(AT_FDCWD, "/proc/version", 0, 0, RESOLVE_NO_XDEV), how(d, "in/f", 0, 0, RESOLVE_NO_XDEV), how(d, "abs", 0, 0, RESOLVE_NO_XDEV), how(d, "loop", 0, 0, 0));
	printf("flags %ld mode %ld resolve %ld both %ld mode bits %ld path %ld creat %ld\n", how(d, "in/f", 1L << 40, 0, 0), how(d, "in/f", 0, 0644, 0), how(d, "in/f", 0, 0, 64),
	       how(d, "in/f", 0, 0, RESOLVE_BENEATH | RESOLVE_IN_ROOT), how(d, "in/n", O_CREAT | O_WRONLY, 0100644, 0), how(d, "in/f", O_PATH | O_RDWR, 0, 0), how(d, "in/new", O_CREAT | O_WRONLY, 0600, RESOLVE_BENEATH));
	printf("cached %ld %ld\n", how(d, "in/f", O_CREAT | O_WRONLY, 0600, RESOLVE_CACHED), how(d, "in/f", O_TRUNC | O_WRONLY, 0, RESOLVE_CACHED));
	struct {
		struct open_how h;
		char more[16];
	} wide = {};
	printf("size %ld %ld", r(syscall(SYS_openat2, d, "in/f", &wide, 8)), r(syscall(SYS_openat2, d, "in/f", &wide, sizeof wide)) >= 0 ? 0L : -1L);
	wide.more[7] = 1;
	printf(" %ld %ld\n", r(syscall(SYS_openat2, d, "in/f", &wide, sizeof wide)), r(syscall(SYS_openat2, d, "in/f", &wide, 5000)));
	close(d);
}

static void rename_calls(void) {
	touch("a", "A"), touch("b", "B");
	mkdir("da", 0755), mkdir("da/sub", 0755);
	printf("noreplace %ld %ld", r(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE)), r(renameat2(AT_FDCWD, "a", AT_FDCWD, "c", RENAME_NOREPLACE)));
	printf(" exchange %ld %ld %ld", r(renameat2(AT_FDCWD, "c", AT_FDCWD, "b", RENAME_EXCHANGE)), r(renameat2(AT_FDCWD, "c", AT_FDCWD, "da", RENAME_EXCHANGE)),
	       r(renameat2(AT_FDCWD, "c", AT_FDCWD, "none", RENAME_EXCHANGE)));
	printf(" both %ld whiteout exchange %ld unknown %ld into itself %ld\n", r(renameat2(AT_FDCWD, "c", AT_FDCWD, "b", RENAME_EXCHANGE | RENAME_NOREPLACE)),
	       r(renameat2(AT_FDCWD, "c", AT_FDCWD, "b", RENAME_EXCHANGE | RENAME_WHITEOUT)), r(renameat2(AT_FDCWD, "c", AT_FDCWD, "b", 16)), r(renameat2(AT_FDCWD, "c", AT_FDCWD, "c/sub/x", 0)));
	struct stat s1, s2;
	stat("c", &s1), stat("da", &s2);
	printf("c is a directory %d, da is one %d\n", S_ISDIR(s1.st_mode), S_ISDIR(s2.st_mode));
}

static void holes(void) {
	int fd = open("h", O_RDWR | O_CREAT | O_TRUNC, 0600);
	pwrite(fd, "start", 5, 0), pwrite(fd, "end", 3, 1 << 20);
	struct stat st;
	fstat(fd, &st);
	printf("sparse size %ld blocks %ld hole %ld data %ld %ld end %ld\n", (long)st.st_size, (long)st.st_blocks, r(lseek(fd, 0, SEEK_HOLE)), r(lseek(fd, 8192, SEEK_DATA)),
	       r(lseek(fd, 2 << 20, SEEK_DATA)), r(lseek(fd, 1 << 20, SEEK_HOLE)));
	printf("keep %ld", r(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 2 << 20)));
	fstat(fd, &st);
	printf(" %ld grow %ld", (long)st.st_size, r(fallocate(fd, 0, 0, 2 << 20)));
	fstat(fd, &st);
	printf(" %ld blocks %ld punch %ld", (long)st.st_size, (long)st.st_blocks, r(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1 << 20)));
	fstat(fd, &st);
	printf(" blocks %ld", (long)st.st_blocks);
	printf(" zero %ld collapse %ld insert %ld punch only %ld negative %ld empty %ld ro %ld\n", r(fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 4096)),
	       r(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096)), r(fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, 4096)), r(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 4096)),
	       r(fallocate(fd, 0, -1, 4096)), r(fallocate(fd, 0, 0, 0)), r(fallocate(open("h", O_RDONLY), 0, 0, 10)));
	close(fd);
}

static sigjmp_buf jump;
static void on_bus(int s) { siglongjmp(jump, s); }

static void mappings(void) {
	int fd = open("m", O_RDWR | O_CREAT | O_TRUNC, 0600);
	ftruncate(fd, 16384);
	char *map = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	fflush(stdout);
	if (fork() == 0) {
		int own = open("m", O_RDWR);
		char *other = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, own, 0);
		strcpy(other + 100, "by another map");
		pwrite(own, "by pwrite", 9, 5000);
		_exit(0);
	}
	wait(NULL);
	printf("map '%s' '%.9s'", map + 100, map + 5000);
	strcpy(map + 9000, "by the map");
	char b[16] = "";
	pread(fd, b, 10, 9000);
	printf(" pread '%s'", b);
	signal(SIGBUS, on_bus);
	ftruncate(fd, 4096);
	int s = sigsetjmp(jump, 1);
	if (s == 0) map[8192] = 1;
	printf(" beyond the end: %s\n", s == SIGBUS ? "SIGBUS" : "nothing");
	munmap(map, 16384), close(fd);
}

static void other_calls(void) {
	printf("handle %ld\n", r(syscall(SYS_open_by_handle_at, 77, NULL, 0)) < 0 ? 1L : 0L);
	int p[2];
	pipe(p);
	printf("sync %ld %ld %ld fsync pipe %ld fdatasync bad %ld\n", (sync(), 0L), r(syncfs(p[0])), r(syncfs(99)), r(fsync(p[0])), r(fdatasync(99)));
	printf("mknod %ld %ld %ld %ld\n", r(mknod("n1", S_IFIFO | 0600, 0)), r(mknod("n2", 0600, 0)), r(mknod("n3", S_IFDIR | 0600, 0)), r(mknod("n1", S_IFIFO | 0600, 0)));
	printf("umount %ld mount %ld\n", r(umount2("/nonexistent", 0x100)) < 0 ? 1L : 0L, r(mount("none", "/nonexistent", "tmpfs", 0, "")) < 0 ? 1L : 0L);
	mkdir("jail", 0755), touch("jail/inside", "i");
	fflush(stdout);
	if (fork() == 0) {
		printf("chroot %ld", r(chroot("jail")));
		printf(" %ld %ld", r(access("/inside", F_OK)), r(access("/etc", F_OK)));
		chdir("/");
		chdir("../../..");
		printf(" %ld file %ld none %ld\n", r(access("inside", F_OK)), r(chroot("/inside")), r(chroot("/none")));
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
}

int main(int argc, char **argv) {
	umask(022);
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	tmpfile_calls();
	size_limit();
	xattr_calls();
	statx_calls();
	openat2_calls();
	rename_calls();
	holes();
	mappings();
	other_calls();
	return 0;
}
