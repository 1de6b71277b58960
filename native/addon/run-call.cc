// Making a guest thread run another call of its own in place of the one it trapped in.
//
// Some calls end in what only the calling thread can do: shmat(2) is a mapping of memory, under another name. The trap
// is ended with a restart code and the thread stopped; its registers are set to the other call, which goes through the
// filter like any other (and may trap in its turn); then all registers are put back but the result. A signal that comes
// in between is delivered, and the original call begins anew. Only registers are written.

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

struct CallJob {
  int32_t key = 0;
  Descriptor listener;
  uint64_t id = 0;
  pid_t tid = 0;
  OtherCall call;
};

void Complete(const CallJob& job, int64_t result) {
  AddCompletion({EventKind::kInterrupted, job.key, static_cast<int32_t>(result), static_cast<int32_t>(result >> 32)});
}

// Tells first, then lets go: the guest's next trap must not be seen before its call's result.
int Finish(const CallJob& job, Tracee& tracee, int64_t result, int signal) {
  Complete(job, result);
  return tracee.Detach(signal);
}

// The sequence: 0 when the result was told, or -errno when it is still to be told. `is_free` as for Tracee.
int RunCall(const CallJob& job, Tracee& tracee, bool* is_free) {
  *is_free = true;
  if (const int error = tracee.Seize(); error != 0) {
    // Another tracer, or a task that is gone: as a call that found no memory.
    SendAnswer(job.listener.get(), job.id, -ENOMEM);
    return error;
  }
  *is_free = false;
  if (const int error = SendAnswer(job.listener.get(), job.id, -kErestartnointr); error != 0) return error;
  const Stop stop = AwaitStop(job.tid);
  if (stop.error != 0) return stop.error;

  user_regs_struct original;
  if (const int error = tracee.Get(&original); error != 0) return error;
  if (stop.event != PTRACE_EVENT_STOP || original.rax != static_cast<uint64_t>(-kErestartnointr)) {
    *is_free = Finish(job, tracee, -EAGAIN, stop.event == 0 ? stop.signal : 0) == 0;
    return 0;
  }
  const OtherResult other = RunOther(tracee, original, job.call);
  if (other.error != 0) return other.error;
  int64_t result = -EAGAIN;
  if (other.has_run) {
    result = other.value;
    // As the call it stands for would have returned; an address that is taken is an invalid argument of it.
    original.rax = static_cast<uint64_t>(result == -EEXIST ? -EINVAL : result);
    original.orig_rax = ~0ULL;
  }
  if (const int error = tracee.Set(original); error != 0) return error;
  *is_free = Finish(job, tracee, result, other.stop.DeliveredSignal()) == 0;
  return 0;
}

AfterJob Run(CallJob& job) {
  Tracee tracee(job.tid);
  bool is_free;
  const int error = RunCall(job, tracee, &is_free);
  if (error != 0) Complete(job, error);
  return is_free || error == -ESRCH ? AfterJob::kGoOn : AfterJob::kEndThread;
}

auto& TheWorker() {
  // Never destroyed: its thread outlives main().
  static auto* worker = new Worker<CallJob, Run, kQueueCapacity>;
  return *worker;
}

int64_t RunCallBinding(Arguments& arguments) {
  CallJob job;
  job.key = arguments.Int32(0);
  const int listener = ListenerDescriptor(arguments.Int32(1));
  job.id = TrapId(arguments.Uint32(2), arguments.Uint32(3));
  job.tid = arguments.Int32(4);
  job.call.number = arguments.Uint32(5);
  const std::span<double> values = arguments.Float64s(6, kCallArguments);
  if (!arguments.ok()) return 0;
  for (size_t i = 0; i < kCallArguments; i++)
    job.call.arguments[i] = static_cast<uint64_t>(static_cast<int64_t>(values[i]));
  int error = listener < 0 ? -ENOENT : 0;
  if (error == 0) {
    job.listener = Descriptor(fcntl(listener, F_DUPFD_CLOEXEC, 3));
    if (!job.listener.is_open()) error = -errno;
  }
  if (error == 0 && !TheWorker().Add(job)) error = -ENOMEM;
  // The trap is left waiting: whoever asked can still end it another way.
  return error;
}

constexpr Export kExports[] = {{"runCall", Numeric<RunCallBinding>}};

}  // namespace

std::span<const Export> RunCallExports() { return kExports; }

}  // namespace isopod
