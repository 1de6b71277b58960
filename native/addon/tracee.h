// A task that a helper thread traces for the time of one call, and how it stops.
//
// Every step of ptrace belongs to the thread that seized, so a worker runs it from the beginning to the end.
#pragma once

#include <linux/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <ctime>

// <sys/ptrace.h> and <linux/ptrace.h> declare the same names; this is the one function that is needed of the former,
// and the register layout is that of <sys/user.h>.
#include <sys/user.h>

namespace isopod {

inline constexpr int64_t kPatienceNs = 1'000'000'000;
// For what has to end well: a task that is let go of between calls goes on with the registers of another one.
inline constexpr int64_t kLongPatienceNs = 30'000'000'000;
inline constexpr uint64_t kSyscallInstructionSize = 2;
inline constexpr int kSyscallStop = SIGTRAP | 0x80;

inline long Ptrace(long request, pid_t tid, uint64_t address, const void* data) {
  return syscall(SYS_ptrace, request, tid, address, data);
}

// How a task stopped: as waitid(2) says it, the signal in the low byte and the event above it.
struct Stop {
  // 0, or -errno: ESRCH when the task is gone, ETIMEDOUT.
  int error;
  int signal;
  int event;

  // The signal that it stopped for, to be passed on; 0 for any other kind of stop.
  int DeliveredSignal() const { return event == 0 && signal != kSyscallStop ? signal : 0; }
};

// Waits until the task stops. An end is looked at, never collected: that belongs to whoever reaps.
inline Stop AwaitStop(pid_t tid, int64_t patience_ns = kPatienceNs) {
  timespec pause = {0, 20'000};
  for (int64_t waited_ns = 0; waited_ns < patience_ns; waited_ns += pause.tv_nsec) {
    siginfo_t info = {};
    constexpr int kOptions = WSTOPPED | WEXITED | WNOHANG | __WALL | __WNOTHREAD;
    if (waitid(P_PID, static_cast<id_t>(tid), &info, kOptions | WNOWAIT) == -1) return {-ESRCH, 0, 0};
    if (info.si_pid != 0) {
      if (info.si_code != CLD_TRAPPED && info.si_code != CLD_STOPPED) return {-ESRCH, 0, 0};
      if (waitid(P_PID, static_cast<id_t>(tid), &info, WSTOPPED | WNOHANG | __WALL | __WNOTHREAD) == -1 ||
          info.si_pid == 0) {
        return {-ESRCH, 0, 0};
      }
      return {0, info.si_status & 0xff, info.si_status >> 8};
    }
    nanosleep(&pause, nullptr);
    if (pause.tv_nsec < 1'000'000) pause.tv_nsec *= 2;
  }
  return {-ETIMEDOUT, 0, 0};
}

// A task that this thread has seized.
class Tracee {
 public:
  explicit Tracee(pid_t tid) : tid_(tid) {}

  int Seize() {
    if (Ptrace(PTRACE_SEIZE, tid_, 0, reinterpret_cast<void*>(PTRACE_O_TRACESYSGOOD)) == -1) return -errno;
    return Interrupt();
  }
  int Interrupt() { return Ptrace(PTRACE_INTERRUPT, tid_, 0, nullptr) == -1 ? -errno : 0; }
  int Get(user_regs_struct* registers) { return Ptrace(PTRACE_GETREGS, tid_, 0, registers) == -1 ? -errno : 0; }
  int Set(const user_regs_struct& registers) { return Ptrace(PTRACE_SETREGS, tid_, 0, &registers) == -1 ? -errno : 0; }
  // Runs to the next system-call stop; another kind of stop may come before.
  Stop RunToSyscall(int64_t patience_ns = kPatienceNs) {
    if (Ptrace(PTRACE_SYSCALL, tid_, 0, nullptr) == -1) return {-errno, 0, 0};
    return AwaitStop(tid_, patience_ns);
  }
  // Lets go of a stopped task; a signal that it was stopped for is delivered.
  int Detach(int signal) {
    return Ptrace(PTRACE_DETACH, tid_, 0, reinterpret_cast<void*>(static_cast<uintptr_t>(signal))) == -1 ? -errno : 0;
  }

  pid_t tid() const { return tid_; }

 private:
  pid_t tid_;
};

}  // namespace isopod
