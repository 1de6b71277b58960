// epoll(7) among threads: one wake-up for one event, edges, one shots, exclusive waits on one object, nested sets, closing under a wait.
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define THREADS 8

static int set, event, pipes[2];
static volatile int taken, waiting, stop;

static void count(volatile int *counter, int change) { __atomic_add_fetch(counter, change, __ATOMIC_SEQ_CST); }

/** Takes events one by one until told to stop. */
static void *taker(void *own_set) {
	int from = own_set ? epoll_create1(0) : set;
	struct epoll_event entry = {EPOLLIN | EPOLLEXCLUSIVE, {0}};
	if (own_set) epoll_ctl(from, EPOLL_CTL_ADD, event, &entry);
	count(&waiting, 1);
	while (!stop) {
		struct epoll_event got;
		if (epoll_wait(from, &got, 1, 20) != 1) continue;
		uint64_t value;
		if (read(event, &value, 8) == 8) count(&taken, 1);
	}
	if (own_set) close(from);
	return NULL;
}

static void crowd(const char *title, void *own_set) {
	pthread_t threads[THREADS];
	taken = waiting = stop = 0;
	for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, taker, own_set);
	while (waiting < THREADS) usleep(100);
	for (uint64_t i = 1; i <= 500; i++) {
		uint64_t one = 1;
		write(event, &one, 8);
		if (i % 3 == 0) usleep(10);
	}
	for (int i = 0; i < 5000 && taken < 500; i++) usleep(1000);
	stop = 1;
	for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
	printf("%s %d\n", title, taken);
}

static int woken;
static void *oneshot(void *unused) {
	struct epoll_event got;
	if (epoll_wait(set, &got, 1, 200) == 1) count(&woken, 1);
	return NULL;
}

static void *writer(void *unused) {
	usleep(20000);
	write(pipes[1], "x", 1);
	return NULL;
}

static void *closer(void *unused) {
	usleep(20000);
	close(pipes[1]);
	return NULL;
}

int main(void) {
	event = eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK);
	set = epoll_create1(0);
	struct epoll_event entry = {EPOLLIN, {0}}, got[4];
	epoll_ctl(set, EPOLL_CTL_ADD, event, &entry);
	crowd("level", NULL);
	epoll_ctl(set, EPOLL_CTL_DEL, event, NULL);
	crowd("exclusive", &set);

	// A one shot wakes one of many, an edge too.
	static const uint32_t kinds[] = {EPOLLIN | EPOLLONESHOT, EPOLLIN | EPOLLET};
	for (int kind = 0; kind < 2; kind++) {
		entry.events = kinds[kind];
		epoll_ctl(set, EPOLL_CTL_ADD, event, &entry);
		pthread_t threads[THREADS];
		woken = 0;
		for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, oneshot, NULL);
		usleep(50000);
		uint64_t one = 1, value;
		write(event, &one, 8);
		for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
		printf("woken %d", woken);
		epoll_ctl(set, EPOLL_CTL_MOD, event, &entry);
		printf(" again %d", epoll_wait(set, got, 4, 0));
		printf(" once %d\n", epoll_wait(set, got, 4, 0));
		read(event, &value, 8);
		epoll_ctl(set, EPOLL_CTL_DEL, event, NULL);
	}

	// Three deep, level and edge; seen by poll as well.
	int middle = epoll_create1(0), top = epoll_create1(0);
	pipe(pipes);
	entry.events = EPOLLIN;
	epoll_ctl(set, EPOLL_CTL_ADD, pipes[0], &entry);
	entry.events = EPOLLIN | EPOLLET;
	epoll_ctl(middle, EPOLL_CTL_ADD, set, &entry);
	epoll_ctl(top, EPOLL_CTL_ADD, middle, &entry);
	pthread_t thread;
	pthread_create(&thread, NULL, writer, NULL);
	printf("nested %d", epoll_wait(top, got, 4, 5000));
	pthread_join(thread, NULL);
	struct pollfd all[3] = {{top, POLLIN}, {middle, POLLIN}, {set, POLLIN}};
	printf(" edge %d poll %d", epoll_wait(top, got, 4, 0), poll(all, 3, 0));
	char byte;
	read(pipes[0], &byte, 1);
	printf(" then %d\n", poll(all, 3, 0));
	printf("circle %s", epoll_ctl(set, EPOLL_CTL_ADD, top, &entry) ? strerrorname_np(errno) : "0");
	printf(" itself %s\n", epoll_ctl(set, EPOLL_CTL_ADD, set, &entry) ? strerrorname_np(errno) : "0");

	pthread_create(&thread, NULL, closer, NULL);
	printf("hang up %d", epoll_wait(set, got, 4, 5000));
	printf(" %#x\n", got[0].events);
	pthread_join(thread, NULL);
	// A registration lives as long as a description, whatever its number.
	int copy = dup(pipes[0]);
	close(pipes[0]);
	printf("copy %d", epoll_wait(set, got, 4, 0));
	close(copy);
	printf(" closed %d\n", epoll_wait(set, got, 4, 0));
}
