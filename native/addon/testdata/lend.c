// Maps a descriptor that it is lent, and reports what it sees there.
#include "guest.h"

int main(void) {
  long fd = raw(TRAP_A, 0, 0, 0, 0);
  char* map = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, (int)fd, 0);
  if (map == MAP_FAILED) return 1;
  int flags = fcntl((int)fd, F_GETFD);
  raw(TRAP_B, *(long*)map, flags, 0, 0);
  raw(TRAP_C, 0, 0, 0, 0);
  return 0;
}
