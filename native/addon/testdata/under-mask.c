// Waits in ppoll for a flag that the handler of a signal sets which is blocked everywhere but in ppoll. Reports how
// often the call returned, whether the handler ran under the wait's mask, whether the old mask is back, and the
// registers that changed.
#include "guest.h"

static volatile sig_atomic_t is_handled;
static volatile long mask_in_handler = -1;

static void handle(int signal) {
  (void)signal;
  sigset_t now;
  pthread_sigmask(SIG_SETMASK, NULL, &now);
  mask_in_handler = sigismember(&now, SIGUSR2) * 2 + sigismember(&now, SIGUSR1);
  is_handled = 1;
}

int main(void) {
  struct sigaction action = {.sa_handler = handle};
  sigset_t outside, inside;
  sigaction(SIGUSR1, &action, NULL);
  sigemptyset(&outside);
  sigaddset(&outside, SIGUSR1);
  sigprocmask(SIG_SETMASK, &outside, NULL);
  // SIGUSR2 is blocked in the wait alone, so that the handler can tell whose mask it runs under.
  sigemptyset(&inside);
  sigaddset(&inside, SIGUSR2);

  long returns = 0, result = 0, changed = 0;
  while (!is_handled) {
    register long rdi __asm__("rdi") = 0;
    register long rsi __asm__("rsi") = 0;
    register long rdx __asm__("rdx") = 0;
    register long r10 __asm__("r10") = (long)&inside;
    register long r8 __asm__("r8") = 8;
    register long r9 __asm__("r9") = 0x5555;
    register long rbx __asm__("rbx") = 0x6666;
    register long r12 __asm__("r12") = 0x1111;
    register long r13 __asm__("r13") = 0x2222;
    register long r14 __asm__("r14") = 0x3333;
    register long r15 __asm__("r15") = 0x4444;
    __asm__ volatile("syscall"
                     : "=a"(result), "+r"(rdi), "+r"(rsi), "+r"(rdx), "+r"(r10), "+r"(r8), "+r"(r9), "+r"(rbx),
                       "+r"(r12), "+r"(r13), "+r"(r14), "+r"(r15)
                     : "0"(SYS_ppoll)
                     : "rcx", "r11", "memory");
    changed |= rdi | rsi | rdx | (r10 ^ (long)&inside) | (r8 ^ 8) | (r9 ^ 0x5555) | (rbx ^ 0x6666) | (r12 ^ 0x1111) |
               (r13 ^ 0x2222) | (r14 ^ 0x3333) | (r15 ^ 0x4444);
    returns++;
  }
  sigset_t now;
  sigprocmask(SIG_SETMASK, NULL, &now);
  long is_mask_back = sigismember(&now, SIGUSR1) && !sigismember(&now, SIGUSR2);
  raw(TRAP_A, returns, result, changed, mask_in_handler * 2 + is_mask_back);
  return 0;
}
