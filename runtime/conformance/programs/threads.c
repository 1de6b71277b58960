// 200 threads that open, read, write and close at once; a fork in a threaded program; a thread that executes.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int failures;

static void *files(void *argument) {
	long n = (long)argument;
	char name[32], text[32], back[32];
	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof name, "f%ld", n);
		int length = snprintf(text, sizeof text, "%ld:%d", n, i);
		int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
		if (fd < 0 || write(fd, text, length) != length || pread(fd, back, sizeof back, 0) != length || memcmp(text, back, length) ||
		    close(fd))
			__atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void *executes(void *argument) {
	execl("/bin/echo", "echo", argument, NULL);
	return NULL;
}

static void *sleeps(void *argument) {
	pause();
	return argument;
}

int main(void) {
	static pthread_t threads[200];
	for (long i = 0; i < 200; i++) {
		if (pthread_create(&threads[i], NULL, files, (void *)i)) return 1;
	}
	for (int i = 0; i < 5; i++) {
		pid_t child = fork();
		if (child == 0) _exit(access("/etc/passwd", R_OK) ? 1 : 40 + i);
		int status;
		if (waitpid(child, &status, 0) != child || WEXITSTATUS(status) != 40 + i) failures++;
	}
	for (int i = 0; i < 200; i++) pthread_join(threads[i], NULL);
	printf("failures %d, next descriptor %d\n", failures, dup(0));
	fflush(stdout);
	pthread_create(&threads[0], NULL, sleeps, NULL);
	pthread_create(&threads[1], NULL, executes, "a thread executed");
	pause();
}
