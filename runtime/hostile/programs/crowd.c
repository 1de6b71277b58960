// Twenty processes that live on as long as anything lets them, and make it hard to end them: they block every signal, leave the session,
// their parents die; the first one goes on in a thread that executes, which has no signal set for its parent's death. Half of them block
// in calls, of the guest kernel and of the host, the others spin, with calls and without.
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

static void live(int kind, int blocked)
{
	char byte;
	struct pollfd item = {blocked, POLLIN, 0};
	switch (kind % 6) {
	case 0: for (;;) if (read(blocked, &byte, 1) == 0) _exit(0);
	case 1: for (;;) poll(&item, 1, -1);
	case 2: for (;;) pause();
	case 3: for (;;) sleep(1000);
	case 4: for (;;) umask(022);
	default: for (volatile unsigned long i = 0;; i++) ;
	}
}

static void *execute(void *program)
{
	char *args[] = {program, "again", 0}, *env[] = {0};
	execve(program, args, env);
	exit(2);
}

int main(int argc, char **argv)
{
	int ends[2];
	pthread_t thread;
	if (argc == 1) {
		prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
		pthread_create(&thread, 0, execute, argv[0]);
		for (;;) pause();
	}
	sigset_t all;
	sigfillset(&all);
	if (pipe(ends) != 0) return 2;
	for (int i = 0; i < 20; i++) {
		pid_t child = fork();
		if (child < 0) return 2;
		if (child > 0) continue;
		sigprocmask(SIG_BLOCK, &all, 0);
		prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
		if (i % 2 == 0) setsid();
		if (i % 3 == 0 && fork() > 0) _exit(0);
		live(i, ends[0]);
	}
	// What stays open here keeps the pipe's readers blocked.
	live(0, ends[0]);
}
