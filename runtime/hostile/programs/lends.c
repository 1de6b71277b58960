// Threads give one descriptor number to different files and map whatever is there, so that the host's descriptor and the guest kernel's
// disagree: what is mapped is always one of the files that may be, with no more rights than the guest opened it with. Prints "held" or not.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHECK(is_right, ...) do { if (!(is_right)) { printf(__VA_ARGS__); printf(" (errno %d)\n", errno); exit(1); } } while (0)
#define NUMBER 20
#define ROUNDS 4000

// What the files are full of: one that is open for reading, one for reading and writing, and two that nobody may read, because they are
// open for writing only, or by name only.
enum kind { READ_ONLY = 'r', READ_WRITE = 'b', WRITE_ONLY = 'w', NAME_ONLY = 'n' };
static const char kinds[] = {READ_ONLY, READ_WRITE, WRITE_ONLY, NAME_ONLY};
static int fds[4];
static atomic_int crossed, is_done;

static void look(unsigned char first, int is_writable)
{
	CHECK(first == READ_ONLY || first == READ_WRITE, "file %c was mapped", first);
	CHECK(!is_writable || first == READ_WRITE, "the file that is open for reading was mapped for writing");
}

static void *map(void *kind)
{
	int own = (int)(long)kind;
	for (int i = 0; i < ROUNDS; i++) {
		int is_writable = i % 2, is_shared = i % 3 != 0;
		dup2(fds[own], NUMBER);
		void *at = mmap(0, 4096, PROT_READ | (is_writable ? PROT_WRITE : 0), is_shared ? MAP_SHARED : MAP_PRIVATE, NUMBER, 0);
		if (at == MAP_FAILED) {
			CHECK(errno == EACCES || errno == EBADF, "mmap");
			continue;
		}
		look(*(unsigned char *)at, is_writable && is_shared);
		crossed += *(unsigned char *)at != kinds[own];
		if (is_shared && !is_writable && mprotect(at, 4096, PROT_READ | PROT_WRITE) == 0) look(*(unsigned char *)at, 1);
		munmap(at, 4096);
	}
	return 0;
}

static void *disturb(void *unused)
{
	for (int i = 0; !is_done; i++) {
		if (i % 3 == 0) close(NUMBER);
		else dup2(fds[2 + i % 2], NUMBER);
	}
	return unused;
}

int main(void)
{
	char page[4096], path[16];
	static const int modes[] = {O_RDONLY, O_RDWR, O_WRONLY, O_PATH};
	for (int i = 0; i < 4; i++) {
		memset(page, kinds[i], sizeof page);
		sprintf(path, "/tmp/%c", kinds[i]);
		int made = open(path, O_CREAT | O_WRONLY, 0644);
		CHECK(write(made, page, sizeof page) == sizeof page, "%s", path);
		close(made);
		fds[i] = open(path, modes[i]);
	}
	pthread_t threads[4];
	for (long i = 0; i < 3; i++) CHECK(pthread_create(&threads[i], 0, map, (void *)(i % 2)) == 0, "thread");
	CHECK(pthread_create(&threads[3], 0, disturb, 0) == 0, "thread");
	for (int i = 0; i < 3; i++) pthread_join(threads[i], 0);
	is_done = 1;
	pthread_join(threads[3], 0);
	CHECK(crossed > 0, "nothing was raced");
	// The number's last word is the guest kernel's: what is there now is what is mapped.
	for (int i = 0; i < 200; i++) {
		CHECK(dup2(fds[i % 2], NUMBER) == NUMBER, "dup2");
		unsigned char *at = mmap(0, 4096, PROT_READ, MAP_PRIVATE, NUMBER, 0);
		CHECK(at != MAP_FAILED && *at == kinds[i % 2], "a single thread maps another file than its own");
		munmap(at, 4096);
	}
	printf("held\n");
	return 0;
}
