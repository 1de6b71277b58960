// Signals without end: from children to their parent, to each other, to a whole process group, in threads that block in
// calls, fork, execute and wait under handlers with and without SA_RESTART; and real-time signals as fast as they are
// queued. Ends after so many seconds, and prints what must be true then.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { kSenders = 8, kReaders = 4, kSeconds = 5, kBytes = 20000 };

static volatile sig_atomic_t handled;
static int ends[2];

static void handle(int signal) {
  (void)signal;
  handled++;
}

static void handle_by(int signal, int flags) {
  struct sigaction action = {.sa_handler = handle, .sa_flags = flags};
  sigaction(signal, &action, NULL);
}

static time_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec;
}

// Reads and writes each byte once, whatever interrupts it.
static void* pass(void* unused) {
  char byte;
  for (int i = 0; i < kBytes; i++) {
    while (write(ends[1], "x", 1) != 1) {
    }
    while (read(ends[0], &byte, 1) != 1) {
    }
  }
  return unused;
}

// A call that the guest kernel has not received yet is the host's to interrupt, which knows nothing of calls that Linux
// always begins anew.
static pid_t fork_anyhow(void) {
  pid_t child;
  while ((child = fork()) < 0 && errno == EINTR) {
  }
  return child;
}

static void send(pid_t target, time_t end) {
  union sigval value = {.sival_int = 0};
  for (unsigned i = 0; now() < end; i++) {
    kill(target, i % 2 == 0 ? SIGUSR1 : SIGUSR2);
    sigqueue(target, SIGRTMIN + (int)(i % 8), value);
    if (i % 64 == 0) kill(0, SIGURG);
    if (i % 256 == 0) {
      const pid_t child = fork_anyhow();
      if (child == 0) {
        execl("/bin/prog", "prog", "end", (char*)NULL);
        _exit(1);
      }
      while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR) {
      }
    }
  }
  _exit(0);
}

int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "end") == 0) return 0;
  const time_t end = now() + kSeconds;
  handle_by(SIGUSR1, 0);
  handle_by(SIGUSR2, SA_RESTART);
  handle_by(SIGURG, SA_RESTART);
  for (int i = 0; i < 8; i++) handle_by(SIGRTMIN + i, i % 2 == 0 ? SA_RESTART : 0);
  if (pipe(ends) != 0) return 2;
  const pid_t self = getpid();
  int senders = 0;
  for (int i = 0; i < kSenders; i++) {
    const pid_t child = fork_anyhow();
    if (child == 0) send(i % 2 == 0 ? self : getppid(), end);
    if (child > 0) senders++;
  }
  pthread_t threads[kReaders];
  for (int i = 0; i < kReaders; i++) pthread_create(&threads[i], NULL, pass, NULL);
  int ended = 0;
  while (ended < senders) {
    int status;
    if (waitpid(-1, &status, 0) > 0) {
      if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        ended++;
      else
        printf("a sender ended with %x\n", (unsigned)status);
    } else if (errno != EINTR) {
      printf("wait %s\n", strerrorname_np(errno));
      break;
    }
  }
  for (int i = 0; i < kReaders; i++) pthread_join(threads[i], NULL);
  printf("%s, %d senders ended\n", handled > 1000 ? "thousands handled" : "few handled", ended);
  return 0;
}
