#include "completions.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <deque>
#include <mutex>

namespace isopod {

namespace {

// Two queues, because the batch is sorted by kind. A completion belongs to a trap that a guest thread waits in, so the
// queues are as bounded as the pod's threads are.
struct Queues {
  std::mutex mutex;
  std::deque<Completion> lent;
  std::deque<Completion> interrupted;

  std::deque<Completion>& Of(EventKind kind) { return kind == EventKind::kLent ? lent : interrupted; }
};

// Never destroyed: helper threads may still run when the process exits.
Queues& TheQueues() {
  static auto* queues = new Queues;
  return *queues;
}

}  // namespace

int CompletionDescriptor() {
  static const int fd = [] {
    const int made = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return made == -1 ? -errno : made;
  }();
  return fd;
}

void AddCompletion(Completion completion) {
  Queues& queues = TheQueues();
  {
    const std::lock_guard lock(queues.mutex);
    queues.Of(completion.kind).push_back(completion);
  }
  eventfd_write(CompletionDescriptor(), 1);
}

bool TakeCompletion(EventKind kind, Completion* completion) {
  Queues& queues = TheQueues();
  const std::lock_guard lock(queues.mutex);
  std::deque<Completion>& queue = queues.Of(kind);
  if (queue.empty()) return false;
  *completion = queue.front();
  queue.pop_front();
  return true;
}

void SettleCompletions() {
  Queues& queues = TheQueues();
  // Under the lock nobody can add between the test and the read; the write that belongs to an earlier addition may
  // still come, and then `wait` returns once without a record.
  const std::lock_guard lock(queues.mutex);
  if (!queues.lent.empty() || !queues.interrupted.empty()) return;
  eventfd_t ignored;
  eventfd_read(CompletionDescriptor(), &ignored);
}

}  // namespace isopod
