// Reports how many descriptors it was born with, and its arguments.
#include "guest.h"

int main(int argc, char** argv, char** envp) {
  long open_count = 0;
  for (int fd = 0; fd < 4096; fd++) {
    if (fcntl(fd, F_GETFD) != -1 || errno != EBADF) open_count++;
  }
  raw(TRAP_A, open_count, argc, (long)argv[argc - 1], (long)envp[0]);
  return 7;
}
