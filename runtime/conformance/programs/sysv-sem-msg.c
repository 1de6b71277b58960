// System V semaphores and message queues: ids, permissions, blocking, undo, removal under a waiter, types, bounds, errors.
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *name(long result) { return result < 0 ? strerrorname_np(errno) : "0"; }
static void tick(int signal) {}

static const char *op(int id, int number, int change, int flags) {
	struct sembuf one = {number, change, flags};
	return name(semop(id, &one, 1));
}

static void values(int id) {
	unsigned short all[4];
	semctl(id, 0, GETALL, all);
	printf(" values %d %d %d %d\n", all[0], all[1], all[2], all[3]);
}

static int wait_for(pid_t child) {
	int status;
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void until(int id, int command, int number, int count) {
	for (int i = 0; i < 5000 && semctl(id, number, command) != count; i++) usleep(1000);
}

struct text {
	long type;
	char bytes[9000];
};

static void semaphores(void) {
	int id = semget(0x5eed, 4, IPC_CREAT | IPC_EXCL | 0640);
	printf("get %s again %s %d smaller %d bigger %s none %s\n", name(id), name(semget(0x5eed, 4, IPC_CREAT | IPC_EXCL)), semget(0x5eed, 0, 0) == id,
		semget(0x5eed, 2, 0) == id, name(semget(0x5eed, 5, 0)), name(semget(0x5eee, 1, 0)));
	printf("sizes %s %s %s\n", name(semget(IPC_PRIVATE, 0, 0600)), name(semget(IPC_PRIVATE, -1, 0600)), name(semget(IPC_PRIVATE, 32001, 0600)));
	struct semid_ds status;
	semctl(id, 0, IPC_STAT, &status);
	printf("stat key %#x mode %o owner %d size %lu otime %d ctime %d\n", status.sem_perm.__key, status.sem_perm.mode, status.sem_perm.uid == getuid(),
		status.sem_nsems, status.sem_otime != 0, labs(status.sem_ctime - time(NULL)) < 3);
	printf("set %s %s %s %s", name(semctl(id, 0, SETVAL, 3)), name(semctl(id, 1, SETVAL, 32767)), name(semctl(id, 1, SETVAL, 32768)), name(semctl(id, 4, SETVAL, 1)));
	values(id);
	printf("ops %s", op(id, 0, -2, 0));
	printf(" %s", op(id, 0, -2, IPC_NOWAIT));
	printf(" zero %s %s range %s big %s", op(id, 2, 0, 0), op(id, 0, 0, IPC_NOWAIT), op(id, 1, 1, 0), op(id, 4, 1, 0));
	values(id);
	struct sembuf both[2] = {{0, -1, 0}, {2, -1, IPC_NOWAIT}}, many[501] = {0};
	printf("all or none %s", name(semop(id, both, 2)));
	values(id);
	for (int i = 0; i < 501; i++) many[i].sem_num = 2;
	printf("counts %s %s %s address %s\n", name(semop(id, both, 0)), name(semop(id, many, 501)), name(semop(id, many, 500)), name(semop(id, (void *)8, 1)));
	printf("pid %d %d\n", semctl(id, 2, GETPID) == getpid(), semctl(id, 3, GETPID));
	struct timespec soon = {0, 5000000}, bad = {0, -1};
	printf("timed %s %s\n", name(semtimedop(id, both, 2, &bad)), name(semtimedop(id, &(struct sembuf){2, -1, 0}, 1, &soon)));

	// Blocking, in both directions.
	pid_t child = fork();
	if (child == 0) _exit(strcmp(op(id, 2, -2, 0), "0") != 0);
	until(id, GETNCNT, 2, 1);
	op(id, 2, 1, 0);
	printf("waiting %d zero %d\n", semctl(id, 2, GETNCNT), semctl(id, 2, GETZCNT));
	op(id, 2, 1, 0);
	printf("got it %d", wait_for(child));
	values(id);
	child = fork();
	if (child == 0) _exit(strcmp(op(id, 0, 0, 0), "0") != 0);
	until(id, GETZCNT, 0, 1);
	semctl(id, 0, SETVAL, 0);
	printf("zero %d\n", wait_for(child));

	// Undo: at the end of the child, also of one that is killed; not for what SETVAL has overruled.
	for (int kind = 0; kind < 3; kind++) {
		semctl(id, 0, SETVAL, 5);
		child = fork();
		if (child == 0) {
			op(id, 0, -3, SEM_UNDO);
			op(id, 2, 4, SEM_UNDO);
			op(id, 3, 1, 0);
			if (kind == 2) pause();
			_exit(0);
		}
		op(id, 3, -1, 0);
		if (kind == 1) semctl(id, 0, SETVAL, 1);
		if (kind == 2) {
			printf("held");
			values(id);
			kill(child, SIGKILL);
		}
		wait_for(child);
		printf("undone");
		values(id);
	}
	// Waiters hear of it.
	semctl(id, 0, SETVAL, 1);
	child = fork();
	if (child == 0) {
		op(id, 0, -1, SEM_UNDO);
		op(id, 3, 1, 0);
		until(id, GETNCNT, 0, 1);
		_exit(0);
	}
	op(id, 3, -1, 0);
	printf("after its death %s", op(id, 0, -1, 0));
	wait_for(child);
	values(id);

	signal(SIGALRM, tick);
	struct itimerval alarm = {{0, 0}, {0, 5000}};
	setitimer(ITIMER_REAL, &alarm, NULL);
	printf("signal %s\n", op(id, 0, -1, 0));

	child = fork();
	if (child == 0) {
		setgid(1), setuid(1);
		int other = semget(0x5eed, 4, 0200);
		printf("other user %s %s %s %s %s\n", name(other), op(id, 0, 1, 0), name(semctl(id, 0, GETVAL)), name(semctl(id, 0, IPC_RMID)), name(semctl(id, 0, SETVAL, 1)));
		exit(0);
	}
	wait_for(child);
	status.sem_perm.mode = 0666, status.sem_perm.uid = 1;
	printf("given away %s", name(semctl(id, 0, IPC_SET, &status)));
	semctl(id, 0, IPC_STAT, &status);
	printf(" %o %d %d\n", status.sem_perm.mode, status.sem_perm.uid, status.sem_perm.cuid);

	child = fork();
	if (child == 0) {
		printf("removed %s\n", op(id, 0, -9, 0));
		exit(0);
	}
	until(id, GETNCNT, 0, 1);
	const char *removed = name(semctl(id, 0, IPC_RMID));
	wait_for(child);
	printf("remove %s\n", removed);
	printf("gone %s %s %s\n", op(id, 0, 1, 0), name(semctl(id, 0, GETVAL)), name(semget(0x5eed, 0, 0)));
	int next = semget(0x5eed, 1, IPC_CREAT | 0600);
	printf("next id differs %d bad command %s\n", next != id, name(semctl(next, 0, 77)));
	semctl(next, 0, IPC_RMID);
}

static void queues(void) {
	static struct text text, got;
	int id = msgget(0x5eed, IPC_CREAT | 0600);
	printf("queue %s again %d %s\n", name(id), msgget(0x5eed, 0) == id, name(msgget(0x5eed, IPC_CREAT | IPC_EXCL)));
	printf("nothing %s\n", name(msgrcv(id, &got, 100, 0, IPC_NOWAIT)));
	for (int i = 1; i <= 5; i++) {
		text.type = i % 3 + 1;
		sprintf(text.bytes, "message %d", i);
		if (msgsnd(id, &text, strlen(text.bytes) + 1, 0)) puts(name(-1));
	}
	struct msqid_ds status;
	msgctl(id, IPC_STAT, &status);
	printf("stat %lu messages %lu bytes of %lu sent %d received %d\n", status.msg_qnum, status.__msg_cbytes, status.msg_qbytes,
		status.msg_lspid == getpid(), status.msg_lrpid);
	long order[] = {-2, 3, 0, 3};
	for (int i = 0; i < 4; i++) {
		long bytes = msgrcv(id, &got, sizeof got.bytes, order[i], IPC_NOWAIT);
		printf("type %ld: %s %ld %ld '%s'\n", order[i], name(bytes), bytes, got.type, bytes > 0 ? got.bytes : "");
	}
	printf("except %s", name(msgrcv(id, &got, 100, 1, IPC_NOWAIT | MSG_EXCEPT)));
	printf(" short %s", name(msgrcv(id, &got, 4, 0, IPC_NOWAIT)));
	printf(" cut %ld\n", (long)msgrcv(id, &got, 4, 0, IPC_NOWAIT | MSG_NOERROR));
	while (msgrcv(id, &got, 100, 0, IPC_NOWAIT) >= 0) continue;
	text.type = 0;
	printf("type 0 %s", name(msgsnd(id, &text, 1, 0)));
	text.type = 1;
	printf(" long %s address %s id %s\n", name(msgsnd(id, &text, 8193, 0)), name(msgsnd(id, (void *)8, 1, 0)), name(msgsnd(-1, &text, 1, 0)));
	int sent = 0;
	while (msgsnd(id, &text, 1000, IPC_NOWAIT) == 0) sent++;
	printf("full after %d %s\n", sent, name(-1));
	pid_t child = fork();
	if (child == 0) {
		text.type = 42;
		_exit(msgsnd(id, &text, 2000, 0) != 0);
	}
	usleep(20000);
	for (int i = 0; i < 2; i++) msgrcv(id, &got, 1000, 0, 0);
	printf("made room %d", wait_for(child));
	printf(" %ld\n", (long)msgrcv(id, &got, 9000, 42, 0));
	while (msgrcv(id, &got, 1000, 0, IPC_NOWAIT) >= 0) continue;
	child = fork();
	if (child == 0) {
		usleep(10000);
		text.type = 6, strcpy(text.bytes, "not yours"), msgsnd(id, &text, 10, 0);
		text.type = 7, strcpy(text.bytes, "for you"), msgsnd(id, &text, 8, 0);
		_exit(0);
	}
	printf("waited %ld", (long)msgrcv(id, &got, 100, 7, 0));
	printf(" %s\n", got.bytes);
	wait_for(child);
	for (int i = 0; i < 3000; i++) msgsnd(id, &text, 0, IPC_NOWAIT);
	msgctl(id, IPC_STAT, &status);
	printf("empty ones %lu\n", status.msg_qnum);
	while (msgrcv(id, &got, 1000, 0, IPC_NOWAIT) >= 0) continue;
	struct itimerval alarm = {{0, 0}, {0, 5000}};
	setitimer(ITIMER_REAL, &alarm, NULL);
	printf("signal %s\n", name(msgrcv(id, &got, 100, 0, 0)));
	child = fork();
	if (child == 0) {
		printf("removed %s\n", name(msgrcv(id, &got, 100, 0, 0)));
		exit(0);
	}
	usleep(50000);
	const char *removed = name(msgctl(id, IPC_RMID, NULL));
	wait_for(child);
	printf("remove %s\n", removed);
	printf("gone %s\n", name(msgsnd(id, &text, 1, 0)));
}

int main(void) {
	setvbuf(stdout, NULL, _IONBF, 0);
	semaphores();
	queues();
}
