// memfd_create(2): flags, seals by every way to change a file, mappings that are coherent with read and write, exec bits, opening it again.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x10
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x20
#endif

static const char *name(long result) { return result < 0 ? strerrorname_np(errno) : "0"; }
static int make(const char *title, unsigned flags) { return syscall(SYS_memfd_create, title, flags); }

static const char *map(int fd, int prot, int flags) {
	void *at = mmap(NULL, 4096, prot, flags, fd, 0);
	if (at == MAP_FAILED) return strerrorname_np(errno);
	munmap(at, 4096);
	return "0";
}

/** Everything that a seal could refuse. The file has 4096 bytes before and after. */
static void try(const char *title, int fd) {
	char byte = 'x';
	printf("%s %#x:", title, fcntl(fd, F_GET_SEALS));
	printf(" write %s", name(pwrite(fd, &byte, 1, 0)));
	printf(" grow %s", name(pwrite(fd, &byte, 1, 4096)));
	printf(" truncate %s", name(ftruncate(fd, 100)));
	printf(" %s", name(ftruncate(fd, 4096)));
	printf(" %s", name(ftruncate(fd, 8192)));
	printf(" fallocate %s", name(fallocate(fd, 0, 0, 4096)));
	printf(" %s", name(fallocate(fd, 0, 4096, 4096)));
	printf(" %s", name(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096)));
	printf(" map %s", map(fd, PROT_READ | PROT_WRITE, MAP_SHARED));
	printf(" %s", map(fd, PROT_READ, MAP_SHARED));
	printf(" %s", map(fd, PROT_READ | PROT_WRITE, MAP_PRIVATE));
	printf(" chmod %s", name(fchmod(fd, 0600)));
	printf(" %s", name(fchmod(fd, 0777)));
	struct stat status;
	fstat(fd, &status);
	printf(" size %ld mode %o", (long)status.st_size, status.st_mode);
	printf(" more %s\n", name(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK)));
}

int main(void) {
	char title[300];
	memset(title, 'n', sizeof title);
	title[249] = 0;
	printf("249 %s\n", name(make(title, 0)));
	title[249] = 'n', title[250] = 0;
	printf("250 %s\n", name(make(title, 0)));
	printf("address %s flags %s both %s\n", name(make((void *)8, 0)), name(make("x", 0x40)), name(make("x", 0x18)));
	static const unsigned kinds[] = {0, MFD_CLOEXEC, MFD_ALLOW_SEALING, 8, 8 | MFD_ALLOW_SEALING, 0x10, 0x10 | MFD_ALLOW_SEALING};
	for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		int fd = make("kind", kinds[i]);
		struct stat status;
		fstat(fd, &status);
		printf("kind %#x seals %#x mode %o links %d size %ld fd %d flags %o\n", kinds[i], fcntl(fd, F_GET_SEALS), status.st_mode,
			(int)status.st_nlink, (long)status.st_size, fcntl(fd, F_GETFD), fcntl(fd, F_GETFL));
		ftruncate(fd, 4096);
		try("plain", fd);
		close(fd);
	}
	for (int seal = 1; seal <= 0x40; seal *= 2) {
		int fd = make("sealed", MFD_ALLOW_SEALING | MFD_CLOEXEC);
		ftruncate(fd, 4096);
		printf("add %#x %s\n", seal, name(fcntl(fd, F_ADD_SEALS, seal)));
		try("sealed", fd);
		close(fd);
	}
	int fd = make("busy", MFD_ALLOW_SEALING);
	ftruncate(fd, 8192);
	char *shared = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	printf("busy %s\n", name(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE)));
	printf("future %s", name(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE)));
	strcpy(shared + 10, "written through the mapping");
	char text[64] = "";
	pread(fd, text, 27, 10);
	printf(" read '%s' write %s\n", text, name(pwrite(fd, "x", 1, 0)));
	printf("new mapping %s protect %s\n", map(fd, PROT_READ | PROT_WRITE, MAP_SHARED), name(mprotect(shared, 4096, PROT_READ)));
	char *reader = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	printf("upgrade %s\n", name(mprotect(reader, 4096, PROT_READ | PROT_WRITE)));
	munmap(shared, 8192);
	printf("now %s %#x\n", name(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL)), fcntl(fd, F_GET_SEALS));
	close(fd);

	fd = make("coherent", 0);
	ftruncate(fd, 12288);
	shared = mmap(NULL, 12288, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	pwrite(fd, "from write", 10, 5000);
	printf("%.10s\n", shared + 5000);
	if (fork() == 0) {
		strcpy(shared + 9000, "from the child");
		write(fd, "at the offset", 13);
		_exit(0);
	}
	wait(NULL);
	printf("%s, %.13s, %ld\n", shared + 9000, shared, (long)lseek(fd, 0, SEEK_CUR));
	char path[64], link[300] = "";
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	readlink(path, link, sizeof link - 1);
	puts(link);
	int again = open(path, O_RDONLY);
	printf("again %s", name(again));
	memset(text, 0, sizeof text);
	pread(again, text, 10, 5000);
	printf(" '%s' write %s seal %s map %s", text, name(write(again, "x", 1)), name(fcntl(again, F_ADD_SEALS, F_SEAL_GROW)),
		map(again, PROT_READ | PROT_WRITE, MAP_SHARED));
	printf(" %s\n", map(again, PROT_READ, MAP_SHARED));
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	while (fgets(line, sizeof line, maps))
		if (strstr(line, "memfd")) printf("%s", strstr(line, "/memfd"));
	int pipes[2];
	pipe(pipes);
	printf("pipe %s %s", name(fcntl(pipes[0], F_GET_SEALS)), name(fcntl(pipes[1], F_ADD_SEALS, 1)));
	int file = open("/tmp/plain", O_CREAT | O_RDWR, 0600);
	printf(" owner %d\n", unlink("/tmp/plain"));
	printf("none %s\n", name(fcntl(99, F_GET_SEALS)));
}
