// A million bytes through a pipe while an interval timer fires: none lost, none twice. The argument `restart` asks for SA_RESTART.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define TOTAL 1000000

static volatile sig_atomic_t ticks;
static void tick(int signal) { ticks += signal != 0; }

int main(int count, char **arguments) {
	struct sigaction action = {.sa_handler = tick, .sa_flags = count > 1 && !strcmp(arguments[1], "restart") ? SA_RESTART : 0};
	struct itimerval timer = {{0, 1000}, {0, 1000}};
	int ends[2], wrong = 0, interrupted = 0;
	if (pipe(ends)) return 1;
	pid_t child = fork();
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	unsigned char buffer[997];
	if (child == 0) {
		close(ends[0]);
		for (long sent = 0; sent < TOTAL;) {
			long length = TOTAL - sent < 997 ? TOTAL - sent : 997;
			for (long i = 0; i < length; i++) buffer[i] = (sent + i) * 31 + ((sent + i) >> 8);
			ssize_t done = write(ends[1], buffer, length);
			if (done < 0 && errno != EINTR) return 2;
			if (done > 0) sent += done;
		}
		return 7;
	}
	close(ends[1]);
	long got = 0;
	for (;;) {
		ssize_t length = read(ends[0], buffer, sizeof buffer);
		if (length < 0 && errno == EINTR && ++interrupted) continue;
		if (length <= 0) break;
		for (long i = 0; i < length; i++) wrong += buffer[i] != (unsigned char)((got + i) * 31 + ((got + i) >> 8));
		got += length;
		if (got % 100 < 50) usleep(20);
	}
	int status;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
	if (action.sa_flags & SA_RESTART && interrupted) printf("a restarted read was interrupted\n");
	printf("got %ld wrong %d ticked %d child %d\n", got, wrong, ticks > 0, WEXITSTATUS(status));
}
