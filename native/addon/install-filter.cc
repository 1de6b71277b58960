// Giving a guest thread a filter of its own, on top of the sandbox's.
//
// Only the thread itself can install one, and it reads the program from its memory. The program is not the guest's own
// array: it is put into fresh memory of the guest's, which the thread maps, hands to seccomp(2) and unmaps again, all
// in place of the call that it trapped in. The installing call traps like any other and has to be continued.
//
// SAFETY: other threads of the guest can change the program while the host's kernel reads it. It takes one copy, checks
// that, and any program can only restrict what the sandbox's own filter lets through.

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include <vector>

#include "completions.h"
#include "descriptor.h"
#include "exports.h"
#include "listeners.h"
#include "other-call.h"
#include "result.h"
#include "worker.h"

namespace isopod {

namespace {

constexpr size_t kQueueCapacity = 4096;
constexpr size_t kPageSize = 4096;

struct FilterJob {
  int32_t key = 0;
  Descriptor listener;
  uint64_t id = 0;
  pid_t tid = 0;
  uint64_t flags = 0;
  std::vector<uint8_t> program;
};

void Complete(const FilterJob& job, int64_t result) {
  AddCompletion({EventKind::kInterrupted, job.key, static_cast<int32_t>(result), static_cast<int32_t>(result >> 32)});
}

// Puts the head and the program at `address` of the task, which is stopped. 0, or -errno.
int PutProgram(const FilterJob& job, uint64_t address) {
  sock_fprog head = {};
  head.len = static_cast<unsigned short>(job.program.size() / sizeof(sock_filter));
  const uint64_t program_address = address + sizeof(head);
  static_assert(sizeof(head.filter) == sizeof(program_address));
  __builtin_memcpy(&head.filter, &program_address, sizeof(program_address));
  const iovec local[] = {{&head, sizeof(head)}, {const_cast<uint8_t*>(job.program.data()), job.program.size()}};
  const iovec remote = {reinterpret_cast<void*>(address), sizeof(head) + job.program.size()};
  const ssize_t put = process_vm_writev(job.tid, local, 2, &remote, 1, 0);
  return put == static_cast<ssize_t>(remote.iov_len) ? 0 : -EFAULT;
}

// What the task was made to do: `last` says how the last call ended.
struct Installation {
  // As seccomp(2) gives it.
  int64_t result = -EAGAIN;
  // False: a signal came first, and the original call begins anew.
  bool is_over = false;
  OtherResult last;
};

Installation Install(const FilterJob& job, Tracee& tracee, const user_regs_struct& original) {
  Installation installation;
  const uint64_t size = (sizeof(sock_fprog) + job.program.size() + kPageSize - 1) / kPageSize * kPageSize;
  installation.last = RunOther(tracee, original,
                               {SYS_mmap,
                                {0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
                                 call_mark.fifth, call_mark.sixth}});
  if (installation.last.error != 0 || !installation.last.has_run) return installation;
  const int64_t address = installation.last.value;
  installation.is_over = true;
  installation.result = -ENOMEM;
  if (address < 0) return installation;
  if (PutProgram(job, static_cast<uint64_t>(address)) == 0) {
    installation.last = RunOther(
        tracee, original, {SYS_seccomp, {SECCOMP_SET_MODE_FILTER, job.flags, static_cast<uint64_t>(address), 0, 0, 0}});
    installation.is_over = installation.last.has_run;
    if (installation.last.error != 0 || !installation.last.has_run) return installation;
    installation.result = installation.last.value;
  }
  // A signal that comes now only leaves the memory mapped.
  installation.last = RunOther(
      tracee, original, {SYS_munmap, {static_cast<uint64_t>(address), size, 0, 0, call_mark.fifth, call_mark.sixth}});
  return installation;
}

// 0 when the result was told, or -errno when it is still to be told. `is_free`: the task is not ours any more.
int RunInstall(const FilterJob& job, Tracee& tracee, bool* is_free) {
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
    Complete(job, -EAGAIN);
    *is_free = tracee.Detach(stop.DeliveredSignal()) == 0;
    return 0;
  }
  const Installation installation = Install(job, tracee, original);
  if (installation.last.error != 0) return installation.last.error;
  if (installation.is_over) {
    original.rax = static_cast<uint64_t>(installation.result);
    original.orig_rax = ~0ULL;
  }
  if (const int error = tracee.Set(original); error != 0) return error;
  // Tells first, then lets go: the guest's next trap must not be seen before this call's result.
  Complete(job, installation.result);
  *is_free = tracee.Detach(installation.last.stop.DeliveredSignal()) == 0;
  return 0;
}

AfterJob Run(FilterJob& job) {
  Tracee tracee(job.tid);
  bool is_free;
  const int error = RunInstall(job, tracee, &is_free);
  if (error != 0) Complete(job, error);
  return is_free || error == -ESRCH ? AfterJob::kGoOn : AfterJob::kEndThread;
}

auto& TheWorker() {
  // Never destroyed: its thread outlives main().
  static auto* worker = new Worker<FilterJob, Run, kQueueCapacity>;
  return *worker;
}

int64_t InstallFilter(Arguments& arguments) {
  FilterJob job;
  job.key = arguments.Int32(0);
  const int listener = ListenerDescriptor(arguments.Int32(1));
  job.id = TrapId(arguments.Uint32(2), arguments.Uint32(3));
  job.tid = arguments.Int32(4);
  job.flags = arguments.Uint32(5);
  const std::span<uint8_t> program = arguments.Bytes(6);
  if (!arguments.ok()) return 0;
  job.program.assign(program.begin(), program.end());
  int error = listener < 0 ? -ENOENT : 0;
  if (error == 0) {
    job.listener = Descriptor(fcntl(listener, F_DUPFD_CLOEXEC, 3));
    if (!job.listener.is_open()) error = -errno;
  }
  if (error == 0 && !TheWorker().Add(job)) error = -ENOMEM;
  // The trap is left waiting: whoever asked can still end it another way.
  return error;
}

int64_t SetCallMark(Arguments& arguments) {
  const uint64_t fifth = TrapId(arguments.Uint32(0), arguments.Uint32(1));
  const uint64_t sixth = TrapId(arguments.Uint32(2), arguments.Uint32(3));
  if (arguments.ok()) call_mark = {fifth, sixth};
  return 0;
}

constexpr Export kExports[] = {{"installFilter", Numeric<InstallFilter>}, {"setCallMark", Numeric<SetCallMark>}};

}  // namespace

std::span<const Export> InstallFilterExports() { return kExports; }

}  // namespace isopod
