// What the host does for the guest by itself: robust mutexes between processes, condition variables, futexes with bit sets, clocks and requeueing.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *name(long result) { return result < 0 ? strerrorname_np(errno) : "0"; }

static struct shared {
	pthread_mutex_t mutex;
	pthread_cond_t condition;
	int turns, words[2];
} *shared;

static long futex(int *word, int operation, int value, void *timeout, int *other, int bits) {
	return syscall(SYS_futex, word, operation, value, timeout, other, bits);
}

static volatile int woken;
static void *waiter(void *bits) {
	if (futex(&shared->words[0], FUTEX_WAIT_BITSET, 0, NULL, NULL, (int)(long)bits) == 0) __atomic_add_fetch(&woken, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void until(int count) {
	for (int i = 0; i < 5000 && woken < count; i++) usleep(1000);
	usleep(5000);
}

int main(void) {
	setvbuf(stdout, NULL, _IONBF, 0);
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_t attributes;
	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&shared->mutex, &attributes);
	pthread_condattr_t shares;
	pthread_condattr_init(&shares);
	pthread_condattr_setpshared(&shares, PTHREAD_PROCESS_SHARED);
	pthread_cond_init(&shared->condition, &shares);

	for (int kind = 0; kind < 2; kind++) {
		pid_t child = fork();
		if (child == 0) {
			pthread_mutex_lock(&shared->mutex);
			shared->turns = 1;
			if (kind == 1) pause();
			_exit(0);
		}
		while (kind == 1 && !__atomic_load_n(&shared->turns, __ATOMIC_SEQ_CST)) usleep(1000);
		if (kind == 1) kill(child, 9);
		else waitpid(child, NULL, 0);
		int result = pthread_mutex_lock(&shared->mutex);
		printf("owner died %s", result ? strerrorname_np(result) : "0");
		printf(" consistent %d", pthread_mutex_consistent(&shared->mutex));
		printf(" unlock %d\n", pthread_mutex_unlock(&shared->mutex));
		if (kind == 1) waitpid(child, NULL, 0);
		shared->turns = 0;
	}
	pid_t child = fork();
	for (int i = 0; i < 200; i++) {
		pthread_mutex_lock(&shared->mutex);
		while (shared->turns % 2 != (child == 0)) pthread_cond_wait(&shared->condition, &shared->mutex);
		shared->turns++;
		pthread_cond_broadcast(&shared->condition);
		pthread_mutex_unlock(&shared->mutex);
	}
	if (child == 0) _exit(0);
	waitpid(child, NULL, 0);
	printf("turns %d\n", shared->turns);

	pthread_t threads[6];
	for (long i = 0; i < 6; i++) pthread_create(&threads[i], NULL, waiter, (void *)(1L << i % 3));
	usleep(100000);
	printf("bits %ld", futex(&shared->words[0], FUTEX_WAKE_BITSET, 100, NULL, NULL, 2));
	until(2);
	printf(" woken %d", woken);
	printf(" requeued %ld", futex(&shared->words[0], FUTEX_CMP_REQUEUE, 1, (void *)10L, &shared->words[1], 0));
	until(3);
	printf(" woken %d", woken);
	printf(" wrong value %s", name(futex(&shared->words[0], FUTEX_CMP_REQUEUE, 1, (void *)10L, &shared->words[1], 5)));
	printf(" here %ld", futex(&shared->words[0], FUTEX_WAKE, 100, NULL, NULL, 0));
	printf(" there %ld\n", futex(&shared->words[1], FUTEX_WAKE, 100, NULL, NULL, 0));
	for (int i = 0; i < 6; i++) pthread_join(threads[i], NULL);
	struct timespec past = {1, 0}, soon;
	printf("clocks %s %s", name(futex(&shared->words[0], FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &past, NULL, -1)),
		name(futex(&shared->words[0], FUTEX_WAIT_BITSET, 0, &past, NULL, -1)));
	clock_gettime(CLOCK_REALTIME, &soon);
	soon.tv_sec++;
	printf(" value %s", name(futex(&shared->words[0], FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 1, &soon, NULL, -1)));
	printf(" no bits %s\n", name(futex(&shared->words[0], FUTEX_WAIT_BITSET, 0, NULL, NULL, 0)));
}
