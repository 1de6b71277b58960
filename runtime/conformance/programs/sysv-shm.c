// System V shared memory: attaching, sharing between processes, addresses, rights, counts over fork, exec and exit, removal.
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *name(long result) { return result == -1 ? strerrorname_np(errno) : "0"; }

static void state(const char *title, int id) {
	struct shmid_ds status;
	if (shmctl(id, IPC_STAT, &status)) printf("%s: %s\n", title, name(-1));
	else
		printf("%s: key %#x mode %o size %lu attached %lu mine %d last %d times %d %d %d\n", title, status.shm_perm.__key, status.shm_perm.mode,
			status.shm_segsz, status.shm_nattch, status.shm_cpid == getpid(), status.shm_lpid == getpid(), status.shm_atime != 0, status.shm_dtime != 0,
			status.shm_ctime != 0);
}

static int status_of(pid_t child) {
	int status;
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static volatile int ticks;
static void tick(int signal) { ticks++; }

int main(int count, char **arguments) {
	setvbuf(stdout, NULL, _IONBF, 0);
	if (count > 1) {
		state("after exec", atoi(arguments[1]));
		return 0;
	}
	int id = shmget(0x5eed, 10000, IPC_CREAT | IPC_EXCL | 0600);
	printf("get %s again %s %d smaller %d bigger %s none %s\n", name(id), name(shmget(0x5eed, 10000, IPC_CREAT | IPC_EXCL)), shmget(0x5eed, 0, 0) == id,
		shmget(0x5eed, 1, 0) == id, name(shmget(0x5eed, 10001, 0)), name(shmget(0x5eee, 1, 0)));
	printf("empty %s\n", name(shmget(IPC_PRIVATE, 0, 0600)));
	state("new", id);
	char *at = shmat(id, NULL, 0);
	printf("attach %s zero %d\n", name((long)at), at[0] == 0 && at[12287] == 0);
	strcpy(at, "written by the parent");
	state("attached", id);
	char *again = shmat(id, NULL, SHM_RDONLY);
	printf("twice %s '%s'\n", name((long)again), again);
	state("twice", id);
	pid_t child = fork();
	if (child == 0) {
		state("in the child", id);
		strcpy(at + 9000, "written by the child");
		shmdt(again);
		state("detached", id);
		_exit(0);
	}
	printf("child %d '%s'\n", status_of(child), again + 9000);
	state("after its end", id);
	child = fork();
	if (child == 0) {
		*again = 'x';
		_exit(0);
	}
	printf("read only %d\n", status_of(child));
	printf("detach %s twice %s inside %s\n", name(shmdt(again)), name(shmdt(again)), name(shmdt(at + 4096)));
	state("once", id);

	// Chosen addresses.
	char *room = mmap(NULL, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(room + 65536, 65536);
	printf("taken %s", name((long)shmat(id, room, 0)));
	printf(" odd %s", name((long)shmat(id, room + 65537, 0)));
	printf(" rounded %d", shmat(id, room + 65537 + 100, SHM_RND) == room + 65536);
	printf(" remapped %d '%s'", shmat(id, room + 262144, SHM_REMAP) == room + 262144, room + 262144);
	printf(" nowhere %s\n", name((long)shmat(id, NULL, SHM_REMAP)));
	state("four", id);
	printf("detach %s", name(shmdt(room + 65536)));
	printf(" %s\n", name(shmdt(room + 262144)));
	char *gone = shmat(id, NULL, 0);
	munmap(gone, 12288);
	state("unmapped by itself", id);

	char *code = shmat(id, NULL, SHM_EXEC);
	printf("executable %s\n", name((long)code));
	shmdt(code);
	child = fork();
	if (child == 0) {
		char text[20];
		sprintf(text, "%d", id);
		execl("/proc/self/exe", "sysv-shm", text, NULL);
		_exit(1);
	}
	printf("exec %d\n", status_of(child));

	// Under a storm of signals no attachment is lost or doubled.
	struct sigaction action = {.sa_handler = tick, .sa_flags = SA_RESTART};
	sigaction(SIGUSR1, &action, NULL);
	pid_t parent = getpid();
	child = fork();
	if (child == 0) for (;;) kill(parent, SIGUSR1), usleep(100);
	int wrong = 0;
	for (int i = 0; i < 100; i++) {
		char *one = shmat(id, NULL, 0);
		if (one == (void *)-1 || strcmp(one, "written by the parent") || shmdt(one)) wrong++;
	}
	kill(child, SIGKILL);
	status_of(child);
	printf("storm wrong %d\n", wrong);
	state("after the storm", id);

	struct shmid_ds status;
	shmctl(id, IPC_STAT, &status);
	status.shm_perm.mode = 0444;
	printf("set %s\n", name(shmctl(id, IPC_SET, &status)));
	child = fork();
	if (child == 0) {
		setgid(1), setuid(1);
		printf("other user write %s", name((long)shmat(id, NULL, 0)));
		printf(" read %s", name((long)shmat(id, NULL, SHM_RDONLY)));
		printf(" remove %s\n", name(shmctl(id, IPC_RMID, NULL)));
		exit(0);
	}
	status_of(child);
	printf("remove %s\n", name(shmctl(id, IPC_RMID, NULL)));
	state("doomed", id);
	printf("by key %s '%s'\n", name(shmget(0x5eed, 1, 0)), at);
	child = fork();
	if (child == 0) _exit(shmdt(at) != 0);
	printf("child %d\n", status_of(child));
	printf("last %s\n", name(shmdt(at)));
	state("gone", id);
	printf("errors %s %s %s\n", name((long)shmat(id, NULL, 0)), name(shmctl(id, 99, NULL)), name(shmdt((void *)4096)));
	int other = shmget(IPC_PRIVATE, 5, 0600);
	char *last = shmat(other, NULL, 0);
	shmctl(other, IPC_RMID, NULL);
	strcpy(last + 100, "beyond its size");
	puts(last + 100);
}
