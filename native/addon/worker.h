// A helper thread with a bounded queue of jobs. It never sees a signal and never touches Node.
#pragma once

#include <pthread.h>

#include <condition_variable>
#include <csignal>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

namespace isopod {

// What the thread does after a job: take the next one, or end and leave the queue to a fresh thread.
enum class AfterJob { kGoOn, kEndThread };

template <typename Job, AfterJob (*Run)(Job&), size_t kCapacity>
class Worker {
 public:
  // False when the queue is full or no thread can be made; the job is untouched then.
  bool Add(Job& job) {
    const std::lock_guard lock(mutex_);
    if (jobs_.size() >= kCapacity) return false;
    if (!is_running_) {
      if (!Start()) return false;
      is_running_ = true;
    }
    jobs_.push_back(std::move(job));
    is_changed_.notify_one();
    return true;
  }

 private:
  bool Start() {
    sigset_t all;
    sigset_t old;
    sigfillset(&all);
    // The thread inherits the mask: signals of the process stay with the main thread.
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 128 << 10);
    pthread_t thread;
    const int error = pthread_create(&thread, &attributes, &Worker::Main, this);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &old, nullptr);
    return error == 0;
  }

  static void* Main(void* self) {
    static_cast<Worker*>(self)->Loop();
    return nullptr;
  }

  void Loop() {
    for (;;) {
      std::unique_lock lock(mutex_);
      is_changed_.wait(lock, [this] { return !jobs_.empty(); });
      Job job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      if (Run(job) == AfterJob::kGoOn) continue;
      lock.lock();
      if (jobs_.empty() || !Start()) is_running_ = false;
      return;
    }
  }

  std::mutex mutex_;
  std::condition_variable is_changed_;
  std::deque<Job> jobs_;
  bool is_running_ = false;
};

}  // namespace isopod
