// Makes many traps while a timer interrupts it 5000 times a second, and counts the answers that aren't what they should
// be.
#include "guest.h"

static volatile long signals;

static void count(int signal) {
  (void)signal;
  signals++;
}

int main(void) {
  struct sigaction action = {.sa_handler = count, .sa_flags = SA_RESTART};
  struct itimerval timer = {{0, 200}, {0, 200}};
  long traps = raw(TRAP_C, 0, 0, 0, 0);
  long lost = 0;
  sigaction(SIGALRM, &action, NULL);
  setitimer(ITIMER_REAL, &timer, NULL);
  for (long i = 0; i < traps; i++) {
    if (raw(TRAP_A, i, 0, 0, 0) != i * 3 + 1) lost++;
  }
  timer = (struct itimerval){{0, 0}, {0, 0}};
  setitimer(ITIMER_REAL, &timer, NULL);
  raw(TRAP_B, lost, signals, 0, 0);
  return 0;
}
