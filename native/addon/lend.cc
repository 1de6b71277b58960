// Lending descriptors to the task of a trap. The kernel installs them when the task next runs, and until then the ioctl
// sleeps; so it happens on a helper thread, which then ends the trap and reports to `wait`.

#include <fcntl.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>

#include <array>

#include "completions.h"
#include "descriptor.h"
#include "exports.h"
#include "host-kernel.h"
#include "listeners.h"
#include "result.h"
#include "worker.h"

namespace isopod {

namespace {

// A lend gives a task a program, its interpreter and a file or two.
constexpr size_t kMaximumPairs = 16;
constexpr size_t kQueueCapacity = 4096;

enum class LendEnd : int32_t { kContinue = 0, kAnswer = 1, kLeave = 2 };

struct LendJob {
  int32_t key = 0;
  // Duplicates: the caller may close its own, and a listener may go while the job waits.
  Descriptor listener;
  std::array<Descriptor, kMaximumPairs> sources;
  std::array<int32_t, kMaximumPairs> targets = {};
  size_t pair_count = 0;
  uint64_t id = 0;
  LendEnd end = LendEnd::kLeave;
  int64_t value = 0;
};

int AddDescriptor(const LendJob& job, size_t pair) {
  struct seccomp_notif_addfd request = {};
  request.id = job.id;
  request.srcfd = static_cast<uint32_t>(job.sources[pair].get());
  if (job.targets[pair] >= 0) {
    request.flags = SECCOMP_ADDFD_FLAG_SETFD;
    request.newfd = static_cast<uint32_t>(job.targets[pair]);
  }
  request.newfd_flags = O_CLOEXEC;
  return ioctl(job.listener.get(), SECCOMP_IOCTL_NOTIF_ADDFD, &request) == -1 ? -errno : 0;
}

AfterJob Lend(LendJob& job) {
  int result = 0;
  for (size_t pair = 0; pair < job.pair_count && result == 0; pair++) result = AddDescriptor(job, pair);
  if (result != 0) {
    SendAnswer(job.listener.get(), job.id, result);
  } else if (job.end == LendEnd::kContinue) {
    result = SendContinue(job.listener.get(), job.id);
  } else if (job.end == LendEnd::kAnswer) {
    result = SendAnswer(job.listener.get(), job.id, job.value);
  }
  AddCompletion({EventKind::kLent, job.key, result});
  return AfterJob::kGoOn;
}

auto& TheWorker() {
  // Never destroyed: its thread outlives main().
  static auto* worker = new Worker<LendJob, Lend, kQueueCapacity>;
  return *worker;
}

// Duplicates what the job needs. 0 or -errno.
int Fill(LendJob* job, int listener, std::span<const int32_t> pairs) {
  if (listener < 0) return -ENOENT;
  job->listener = Descriptor(fcntl(listener, F_DUPFD_CLOEXEC, 3));
  if (!job->listener.is_open()) return -errno;
  for (size_t pair = 0; pair < job->pair_count; pair++) {
    job->sources[pair] = Descriptor(fcntl(pairs[2 * pair], F_DUPFD_CLOEXEC, 3));
    if (!job->sources[pair].is_open()) return -errno;
    job->targets[pair] = pairs[2 * pair + 1];
  }
  return 0;
}

int64_t LendBinding(Arguments& arguments) {
  LendJob job;
  job.key = arguments.Int32(0);
  const int listener = ListenerDescriptor(arguments.Int32(1));
  job.id = TrapId(arguments.Uint32(2), arguments.Uint32(3));
  const std::span<int32_t> pairs = arguments.Int32s(4);
  job.end = static_cast<LendEnd>(arguments.Int32(5));
  job.value = arguments.Int64(6);
  if (!arguments.ok()) return 0;
  job.pair_count = pairs.size() / 2;
  if (pairs.size() % 2 != 0 || job.pair_count > kMaximumPairs || job.end < LendEnd::kContinue ||
      job.end > LendEnd::kLeave) {
    arguments.ThrowRangeError("expected at most 16 pairs and an end of 0, 1 or 2");
    return 0;
  }
  int error = Fill(&job, listener, pairs);
  if (error == 0 && !TheWorker().Add(job)) error = -ENOMEM;
  if (error != 0) {
    if (listener >= 0) SendAnswer(listener, job.id, error);
    AddCompletion({EventKind::kLent, job.key, error});
  }
  return 0;
}

constexpr Export kExports[] = {{"lend", Numeric<LendBinding>}};

}  // namespace

std::span<const Export> LendExports() { return kExports; }

}  // namespace isopod
