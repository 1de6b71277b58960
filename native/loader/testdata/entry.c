// Prints the state a program starts with: what a register of execve's may not hold is a line of output. Without a libc,
// so that nothing has run before. The same on the host and under the loader.
enum { REGISTERS = 15 };

struct state {
  unsigned long registers[REGISTERS];
  unsigned long flags;
  unsigned long stack_pointer;
  unsigned int mxcsr;
  unsigned short control_word;
};

__attribute__((used)) static struct state state;
__attribute__((used)) static unsigned char vector[64] __attribute__((aligned(16)));

__asm__(
    ".globl _start\n"
    "_start:\n"
    "  mov %rax, state(%rip)\n"
    "  mov %rbx, state+8(%rip)\n"
    "  mov %rcx, state+16(%rip)\n"
    "  mov %rdx, state+24(%rip)\n"
    "  mov %rsi, state+32(%rip)\n"
    "  mov %rdi, state+40(%rip)\n"
    "  mov %rbp, state+48(%rip)\n"
    "  mov %r8, state+56(%rip)\n"
    "  mov %r9, state+64(%rip)\n"
    "  mov %r10, state+72(%rip)\n"
    "  mov %r11, state+80(%rip)\n"
    "  mov %r12, state+88(%rip)\n"
    "  mov %r13, state+96(%rip)\n"
    "  mov %r14, state+104(%rip)\n"
    "  mov %r15, state+112(%rip)\n"
    "  mov %rsp, state+128(%rip)\n"
    "  pushfq\n"
    "  popq state+120(%rip)\n"
    "  stmxcsr state+136(%rip)\n"
    "  fnstcw state+140(%rip)\n"
    "  movaps %xmm0, vector(%rip)\n"
    "  movaps %xmm1, vector+16(%rip)\n"
    "  movaps %xmm7, vector+32(%rip)\n"
    "  movaps %xmm15, vector+48(%rip)\n"
    "  and $-16, %rsp\n"
    "  call check\n");

static long call3(long number, long a, long b, long c) {
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return result;
}

static void put(const char* name, unsigned long value) {
  char line[64];
  int n = 0;
  while (*name) line[n++] = *name++;
  for (int shift = 60; shift >= 0; shift -= 4) line[n++] = "0123456789abcdef"[value >> shift & 15];
  line[n++] = '\n';
  call3(1, 1, (long)line, n);
}

__attribute__((used, noreturn)) static void check(void) {
  static const char kNames[REGISTERS][5] = {"rax ", "rbx ", "rcx ", "rdx ", "rsi ", "rdi ", "rbp ", "r8 ",
                                            "r9 ",  "r10 ", "r11 ", "r12 ", "r13 ", "r14 ", "r15 "};
  for (int i = 0; i < REGISTERS; i++) {
    if (state.registers[i]) put(kNames[i], state.registers[i]);
  }
  for (int i = 0; i < 64; i++) {
    if (vector[i]) put("xmm ", vector[i]);
  }
  put("flags ", state.flags);
  put("mxcsr ", state.mxcsr);
  put("fpu ", state.control_word);
  put("stack ", state.stack_pointer & 15);
  unsigned long bases[2];
  call3(158, 0x1003, (long)&bases[0], 0);  // ARCH_GET_FS
  call3(158, 0x1004, (long)&bases[1], 0);  // ARCH_GET_GS
  put("fs ", bases[0]);
  put("gs ", bases[1]);
  call3(231, 0, 0, 0);
  __builtin_unreachable();
}
