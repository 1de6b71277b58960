// Races that try to leave the root: `path` rewrites a path while it is used, `rename` moves folders while they are walked.
// The root has no /etc: whatever opens there came from outside. Prints "held" when nothing did.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const paths[] = {"/../../../../../../etc/passwd", "/proc/1/root/../etc/passwd", "/proc/self/root/../../etc/passwd",
	"/proc/self/cwd/../etc/passwd", "/usr/bin/id", "/bin/prog", "/tmp/own", "/tmp/out", "/bin/../bin/prog", "/etc/../../etc/passwd"};
static char shared[4096];
static volatile int is_done;

static void *rewrite(void *unused)
{
	(void)unused;
	for (unsigned i = 0; !is_done; i++) {
		const char *from = paths[i % (sizeof paths / sizeof *paths)];
		for (size_t j = 0; j <= strlen(from); j++) ((volatile char *)shared)[j] = from[j];
	}
	return 0;
}

static void *exchange(void *from)
{
	while (!is_done) {
		renameat(AT_FDCWD, from, AT_FDCWD, "/tmp/moved");
		renameat(AT_FDCWD, "/tmp/moved", AT_FDCWD, from);
	}
	return 0;
}

// Whether what was opened is one of the root's own: an ELF file (the program), the text "own", or a folder.
static int is_own(int fd)
{
	char bytes[4] = {0};
	struct stat status;
	if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) return 1;
	if (read(fd, bytes, 4) < 0) return 0;
	return memcmp(bytes, "\177ELF", 4) == 0 || memcmp(bytes, "own", 3) == 0;
}

int main(int argc, char **argv)
{
	pthread_t thread, other;
	int escapes = 0, opened = 0, executed = 0;
	if (argc < 2) return 2;
	if (strcmp(argv[1], "child") == 0) return 7;
	int own = open("/tmp/own", O_CREAT | O_WRONLY, 0644);
	if (write(own, "own", 3) != 3) return 2;
	symlink("../../../../../../etc/passwd", "/tmp/out");
	if (strcmp(argv[1], "path") == 0) {
		pthread_create(&thread, 0, rewrite, 0);
		// Won means that one call site reached different files, so that the string really changed under the calls.
		int is_open_won = 0, is_exec_won = 0, failed = 0;
		ino_t first = 0;
		for (int i = 0; i < 6000 || (!is_open_won && i < 200000); i++) {
			struct stat status;
			int fd = open(shared, O_RDONLY);
			if (fd >= 0) {
				opened++;
				if (!is_own(fd)) escapes++;
				if (fstat(fd, &status) == 0) {
					if (first == 0) first = status.st_ino;
					else if (first != status.st_ino) is_open_won = 1;
				}
				close(fd);
			}
			if (stat("/etc/passwd", &status) == 0) escapes++;
		}
		for (int i = 0; i < 150 || (!is_exec_won && i < 5000); i++) {
			pid_t child = vfork();
			if (child == 0) {
				char *args[] = {"prog", "child", 0}, *env[] = {0};
				execve(shared, args, env);
				_exit(8);
			}
			int ended;
			waitpid(child, &ended, 0);
			if (WIFEXITED(ended) && WEXITSTATUS(ended) == 7) executed++;
			else if (WIFEXITED(ended) && WEXITSTATUS(ended) == 8) failed++;
			else escapes++;
			is_exec_won = executed > 0 && failed > 0;
		}
		if (!is_open_won || !is_exec_won) {
			printf("the race was never won: %d opened, %d executed, %d not executed\n", opened, executed, failed);
			return 3;
		}
		is_done = 1;
		pthread_join(thread, 0);
	} else {
		mkdir("/tmp/a", 0755);
		mkdir("/tmp/a/b", 0755);
		mkdir("/tmp/a/b/c", 0755);
		mkdir("/tmp/d", 0755);
		pthread_create(&thread, 0, exchange, "/tmp/a/b/c");
		pthread_create(&other, 0, exchange, "/tmp/d");
		for (int i = 0; i < 6000; i++) {
			static const char *const walks[] = {"/tmp/a/b/c/../../../../../etc/passwd", "/tmp/moved/../../../../etc/passwd", "/tmp/a/b/c/../../../.."};
			int fd = open(walks[i % 3], O_RDONLY);
			if (fd < 0) continue;
			opened++;
			if (!is_own(fd) || faccessat(fd, "etc/passwd", F_OK, 0) == 0) escapes++;
			close(fd);
		}
		if (opened == 0) printf("the walks never came through\n");
		is_done = 1;
		pthread_join(thread, 0);
		pthread_join(other, 0);
	}
	if (escapes) printf("%d escapes\n", escapes);
	else printf("held\n");
	return escapes != 0;
}
