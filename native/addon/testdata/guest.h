// What the guests of the tests share: traps with private numbers, which the test answers.
#ifndef ISOPOD_TEST_GUEST_H
#define ISOPOD_TEST_GUEST_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TRAP_A = 0x1500, TRAP_B = 0x1501, TRAP_C = 0x1502 };

// The raw result, a negative errno included.
static inline long raw(long number, long a, long b, long c, long d) {
  long result;
  register long r10 __asm__("r10") = d;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
  return result;
}

#endif
