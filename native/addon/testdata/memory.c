// Reports the address of two pages of which only the first is mapped, and of a read-only page; then waits.
#include "guest.h"

static const char text[4096] __attribute__((aligned(4096))) = "read-only";

int main(void) {
  char* pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(pages + 4096, 4096);
  strcpy(pages, "hello");
  memset(pages + 4096 - 5, 'z', 5);
  raw(TRAP_A, (long)pages, (long)text, 0, 0);
  return 0;
}
