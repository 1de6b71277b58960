// Ending a wait that has a signal mask of its own.
//
// ppoll, pselect6 and epoll_pwait unblock signals for the time of the wait. Their trap is answered by the guest kernel,
// so natively the mask never changed, and a signal that only the wait would let through stays pending. No call from
// outside can change another thread's mask for one handler; rt_sigsuspend can, from inside. So the thread is made to
// run it in place of its call: the kernel then takes the pending signal under that mask, puts the old mask into the
// signal frame, and returns EINTR, which is what the call would have done. Only registers are written, and all of them
// are put back before the handler runs. (The filter must let rt_sigsuspend through: it is native.)
//
// Every step of ptrace belongs to the thread that seized, so a worker runs it from the beginning to the end. If a task
// doesn't come to a stop in time, the worker's thread ends: that detaches the task, wherever it is.

#include <fcntl.h>

#include "completions.h"
#include "descriptor.h"
#include "exports.h"
#include "host-kernel.h"
#include "listeners.h"
#include "other-call.h"
#include "result.h"
#include "tracee.h"
#include "worker.h"

namespace isopod {

namespace {

constexpr size_t kQueueCapacity = 4096;
constexpr uint64_t kSignalSetSize = 8;

struct InterruptJob {
  int32_t key = 0;
  Descriptor listener;
  uint64_t id = 0;
  pid_t tid = 0;
  uint64_t mask_address = 0;
};

// Puts the registers back and lets go. `original` is the state right after the interrupted call, with -514 in rax:
// whatever becomes of the signal, the kernel's own restart logic then does the right thing with the original call.
int Release(Tracee& tracee, const user_regs_struct& original, const Stop& stop) {
  const int error = tracee.Set(original);
  const int detach_error = tracee.Detach(stop.DeliveredSignal());
  return error != 0 ? error : detach_error;
}

// The sequence. `is_stopped` tells whether the task was let go of from a stop, or may still be running.
int SuspendUnderMask(const InterruptJob& job, Tracee& tracee, bool* is_free) {
  *is_free = true;
  if (const int error = tracee.Seize(); error != 0) return error;
  *is_free = false;
  // The interruption waits until the call returns: nothing but the answer and death ends a received trap.
  if (const int error = SendAnswer(job.listener.get(), job.id, -kErestartnohand); error != 0) return error;
  Stop stop = AwaitStop(job.tid);
  if (stop.error != 0) return stop.error;

  user_regs_struct original;
  if (const int error = tracee.Get(&original); error != 0) return error;
  if (stop.event != PTRACE_EVENT_STOP || original.rax != static_cast<uint64_t>(-kErestartnohand)) {
    // Another signal came first and ends the call by itself.
    *is_free = tracee.Detach(stop.event == 0 ? stop.signal : 0) == 0;
    return 0;
  }
  user_regs_struct suspended = original;
  suspended.rip -= kSyscallInstructionSize;
  SetCall(&suspended, {SYS_rt_sigsuspend, {job.mask_address, kSignalSetSize, 0, 0, call_mark.fifth, call_mark.sixth}});
  if (const int error = tracee.Set(suspended); error != 0) return error;

  stop = tracee.RunToSyscall();
  if (stop.error == 0 && stop.signal == kSyscallStop) {
    stop = tracee.RunToSyscall();
    if (stop.error == -ETIMEDOUT && tracee.Interrupt() == 0) {
      // No signal came, or another thread took it. Interrupted, the call returns, and the original one is restarted.
      stop = AwaitStop(job.tid);
    }
  }
  if (stop.error != 0) return stop.error;
  // Only rax is the suspended call's: -514 where it ran, and where something else came first the original call's own
  // -514.
  const int error = Release(tracee, original, stop);
  *is_free = error == 0;
  return error;
}

AfterJob Interrupt(InterruptJob& job) {
  Tracee tracee(job.tid);
  bool is_free;
  const int result = SuspendUnderMask(job, tracee, &is_free);
  AddCompletion({EventKind::kInterrupted, job.key, result});
  return is_free || result == -ESRCH ? AfterJob::kGoOn : AfterJob::kEndThread;
}

auto& TheWorker() {
  // Never destroyed: its thread outlives main().
  static auto* worker = new Worker<InterruptJob, Interrupt, kQueueCapacity>;
  return *worker;
}

int64_t InterruptUnderMask(Arguments& arguments) {
  InterruptJob job;
  job.key = arguments.Int32(0);
  const int listener = ListenerDescriptor(arguments.Int32(1));
  job.id = TrapId(arguments.Uint32(2), arguments.Uint32(3));
  job.tid = arguments.Int32(4);
  job.mask_address = arguments.Size(5);
  if (!arguments.ok()) return 0;
  int error = listener < 0 ? -ENOENT : 0;
  if (error == 0) {
    job.listener = Descriptor(fcntl(listener, F_DUPFD_CLOEXEC, 3));
    if (!job.listener.is_open()) error = -errno;
  }
  if (error == 0 && !TheWorker().Add(job)) error = -ENOMEM;
  // The trap is left waiting: whoever asked can still end it another way.
  if (error != 0) AddCompletion({EventKind::kInterrupted, job.key, error});
  return 0;
}

constexpr Export kExports[] = {{"interruptUnderMask", Numeric<InterruptUnderMask>}};

}  // namespace

std::span<const Export> UnderMaskExports() { return kExports; }

}  // namespace isopod
