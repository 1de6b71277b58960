// signalfd(2) as event loops use it: signals between processes in epoll, their senders, children's ends, queued values, threads, closing.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *name(long result) { return result < 0 ? strerrorname_np(errno) : "0"; }
static int hits;
static void hit(int signal) { hits += signal; }
static pid_t parent, child;

static const char *who(pid_t pid) { return pid == parent ? "parent" : pid == child ? "child" : pid == 0 ? "kernel" : "?"; }

static void show(int fd) {
	struct signalfd_siginfo info[4];
	ssize_t bytes = read(fd, info, sizeof info);
	if (bytes < 0) printf(" %s", name(-1));
	for (int i = 0; i < bytes / (int)sizeof *info; i++) {
		printf(" [%u code %d from %s", info[i].ssi_signo, info[i].ssi_code, who(info[i].ssi_pid));
		if (info[i].ssi_signo == SIGCHLD) printf(" status %d", info[i].ssi_status);
		if (info[i].ssi_code == SI_QUEUE) printf(" value %d %llx", info[i].ssi_int, (unsigned long long)info[i].ssi_ptr);
		printf("]");
	}
	puts("");
}

static int ready(int fd, int ms) {
	struct pollfd entry = {fd, POLLIN, 0};
	poll(&entry, 1, ms);
	return entry.revents;
}

static int gates[2];
static void *thread(void *unused) {
	char byte;
	read(gates[0], &byte, 1);
	return unused;
}

int main(void) {
	setvbuf(stdout, NULL, _IONBF, 0);
	parent = getpid();
	sigset_t all, urgent;
	sigfillset(&all);
	sigemptyset(&urgent);
	sigaddset(&urgent, SIGURG);
	sigprocmask(SIG_BLOCK, &all, NULL);
	pipe(gates);
	int fd = signalfd(-1, &all, SFD_NONBLOCK | SFD_CLOEXEC), urgency = signalfd(-1, &urgent, SFD_NONBLOCK), set = epoll_create1(0);
	printf("made %s %o %d\n", name(fd), fcntl(fd, F_GETFL), fcntl(fd, F_GETFD));
	struct epoll_event event = {EPOLLIN, {.u32 = 1}};
	epoll_ctl(set, EPOLL_CTL_ADD, urgency, &event);
	show(fd);

	// A latch as PostgreSQL has it: a child sets it while the parent sleeps in epoll_wait, many times.
	int replies[2];
	pipe(replies);
	child = fork();
	if (child == 0) {
		char byte;
		for (int i = 0; i < 200; i++) {
			kill(parent, SIGURG);
			read(replies[0], &byte, 1);
		}
		_exit(5);
	}
	int wakes = 0, wrong = 0;
	for (; wakes < 200; wakes++) {
		struct signalfd_siginfo info;
		if (epoll_wait(set, &event, 1, 10000) != 1) break;
		if (read(urgency, &info, sizeof info) != sizeof info || info.ssi_signo != SIGURG || info.ssi_pid != (unsigned)child) wrong++;
		if (read(urgency, &info, sizeof info) >= 0) wrong++;
		write(replies[1], "", 1);
	}
	printf("latch %d wrong %d\n", wakes, wrong);
	printf("child %d", ready(fd, 10000));
	show(fd);
	int status;
	waitpid(child, &status, 0);
	printf("status %d\n", WEXITSTATUS(status));

	child = fork();
	if (child == 0) {
		kill(parent, SIGUSR2);
		kill(parent, SIGUSR1);
		kill(parent, SIGUSR1);
		union sigval value = {.sival_int = 4711};
		sigqueue(parent, SIGRTMIN + 1, value);
		value.sival_ptr = (void *)0x123456789aL;
		sigqueue(parent, SIGRTMIN + 1, value);
		kill(parent, SIGTERM);
		kill(getpid(), SIGKILL);
	}
	waitpid(child, &status, 0);
	show(fd);
	show(fd);
	show(fd);

	raise(SIGUSR1);
	kill(getpid(), SIGUSR2);
	show(fd);
	struct itimerval soon = {{0, 0}, {0, 1000}};
	setitimer(ITIMER_REAL, &soon, NULL);
	printf("alarm %d", ready(fd, 10000));
	show(fd);

	// The child has no signals of the parent's, and its own queue behind the same description.
	raise(SIGHUP);
	child = fork();
	if (child == 0) {
		printf("in the child");
		show(fd);
		raise(SIGINT);
		printf("in the child");
		parent = 0, child = getpid();
		show(fd);
		exit(0);
	}
	waitpid(child, &status, 0);
	printf("in the parent");
	show(fd);

	// Other signals, then none: what is pending goes to a handler when it is unblocked.
	int changed = signalfd(urgency, &all, 0);
	printf("changed %d\n", changed == urgency);
	raise(SIGUSR1);
	show(urgency);
	signal(SIGUSR2, hit);
	raise(SIGUSR2);
	close(urgency);
	close(fd);
	sigprocmask(SIG_UNBLOCK, &all, NULL);
	printf("handled %d\n", hits);
	sigprocmask(SIG_BLOCK, &all, NULL);

	// A signal that a thread doesn't block goes to its handler.
	fd = signalfd(-1, &all, SFD_NONBLOCK);
	hits = 0;
	sigset_t none;
	sigemptyset(&none);
	pthread_t worker;
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	pthread_attr_setsigmask_np(&attributes, &none);
	struct sigaction action = {.sa_handler = hit, .sa_flags = SA_RESTART};
	sigaction(SIGUSR2, &action, NULL);
	pthread_create(&worker, &attributes, thread, NULL);
	usleep(20000);
	kill(getpid(), SIGUSR2);
	for (int i = 0; i < 1000 && !hits; i++) usleep(1000);
	printf("thread %d", hits);
	show(fd);
	write(gates[1], "", 1);
	pthread_join(worker, NULL);

	// ppoll that lets a signal through which waits for a signalfd.
	raise(SIGUSR2);
	hits = 0;
	sigset_t open = all;
	sigdelset(&open, SIGUSR2);
	printf("ppoll %s", name(ppoll(NULL, 0, NULL, &open)));
	printf(" handled %d", hits);
	show(fd);

	uint64_t bits = ~0ULL;
	char small[100];
	printf("size %s", name(syscall(SYS_signalfd4, -1, &bits, 4, 0)));
	printf(" flags %s", name(syscall(SYS_signalfd4, -1, &bits, 8, 1)));
	printf(" address %s", name(syscall(SYS_signalfd4, -1, 8, 8, 0)));
	printf(" number %s", name(syscall(SYS_signalfd4, 99, &bits, 8, 0)));
	printf(" other %s", name(syscall(SYS_signalfd4, gates[0], &bits, 8, 0)));
	printf(" small %s", name(read(fd, small, sizeof small)));
	printf(" write %s\n", name(write(fd, small, sizeof small)));
	char path[64], line[256] = "";
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	readlink(path, line, sizeof line - 1);
	puts(line);
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	FILE *file = fopen(path, "r");
	while (fgets(line, sizeof line, file))
		if (strstr(line, "sigmask")) fputs(line, stdout);
}
