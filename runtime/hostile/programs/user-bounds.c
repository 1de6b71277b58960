// Takes as much of each thing as one user may have, whose bounds the test has set low, and prints what ends it and,
// while all of it is held, how another user of the same pod fares. Then kinds of which the oldest go: all of them work
// on. Each in a process of its own, whose end gives everything back.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// More than any bound that is looked for.
enum { kMost = 60 };

static const char* name_of(const char* folder, long i) {
  static char name[64];
  snprintf(name, sizeof name, "%s/%ld", folder, i);
  return name;
}

static const char* ending(long made) { return made == kMost ? "endless" : strerrorname_np(errno); }

static const char* inotify_watches(void) {
  const int instance = inotify_init();
  long made;
  for (made = 0; made < kMost && inotify_add_watch(instance, name_of("/tmp/folders", made), IN_CREATE) != -1;) made++;
  return ending(made);
}

static const char* inotify_watch(void) {
  return inotify_add_watch(inotify_init(), "/tmp/folders/0", IN_CREATE) > 0 ? "ok" : strerrorname_np(errno);
}

// The last event in the queue; all of them are read.
static const char* last_event(int instance) {
  char buffer[65536];
  const ssize_t length = read(instance, buffer, sizeof buffer);
  const struct inotify_event* event = NULL;
  for (ssize_t at = 0; at < length; at += (ssize_t)(sizeof *event + event->len)) event = (void*)(buffer + at);
  return event == NULL ? "none" : event->mask == IN_Q_OVERFLOW ? "overflow" : "event";
}

static int watching(void) {
  const int instance = inotify_init1(IN_NONBLOCK);
  inotify_add_watch(instance, "/tmp/folders", IN_CREATE | IN_DELETE);
  return instance;
}

// Ten queues share the bound of all, far below that of one.
static int full_queues[10];
static const char* inotify_events(void) {
  for (int i = 0; i < 10; i++) full_queues[i] = watching();
  for (int i = 0; i < 20; i++) {
    mkdir("/tmp/folders/event", 0700);
    rmdir("/tmp/folders/event");
  }
  // Left in its queue, but for this one.
  return last_event(full_queues[9]);
}

// Who is late is told that events were lost.
static const char* inotify_event(void) {
  const int instance = watching();
  mkdir("/tmp/folders/event", 0700);
  rmdir("/tmp/folders/event");
  return last_event(instance);
}

static const char* epoll_watches(void) {
  const int instance = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN};
  long made;
  for (made = 0; made < kMost && epoll_ctl(instance, EPOLL_CTL_ADD, eventfd(0, 0), &event) != -1;) made++;
  return ending(made);
}

static const char* epoll_watch(void) {
  struct epoll_event event = {.events = EPOLLIN};
  return epoll_ctl(epoll_create1(0), EPOLL_CTL_ADD, eventfd(0, 0), &event) == 0 ? "ok" : strerrorname_np(errno);
}

static const char* pipe_pages(void) {
  int ends[2];
  for (int i = 0; i < kMost; i++) pipe(ends);
  return fcntl(ends[0], F_GETPIPE_SZ) == 8192 && fcntl(ends[0], F_SETPIPE_SZ, 1 << 18) == -1 ? strerrorname_np(errno)
                                                                                             : "endless";
}

static const char* pipe_page(void) {
  int ends[2];
  pipe(ends);
  return fcntl(ends[0], F_GETPIPE_SZ) == 65536 ? "ok" : "small";
}

static mqd_t make_queue(long i) {
  struct mq_attr attributes = {.mq_maxmsg = 10, .mq_msgsize = 1000};
  return mq_open(name_of("", i), O_CREAT | O_EXCL | O_RDWR, 0600, &attributes);
}

// RLIMIT_MSGQUEUE would allow more than 40; the bound of the container is lower.
static const char* queue_bytes(void) {
  long made;
  for (made = 0; made < kMost && make_queue(made) != -1;) made++;
  const char* result = ending(made);
  for (long i = 0; i < made; i++) mq_unlink(name_of("", i));
  return result;
}

// A user with nothing left to give back: the queues above are gone by name, but open.
static const char* queue_after(void) {
  const mqd_t queue = make_queue(1000);
  const char* result = queue == -1 ? strerrorname_np(errno) : "ok";
  mq_unlink(name_of("", 1000));
  return result;
}

// Fills its own process's; the same signal can still be sent with kill(2), which says nothing of how often, and taken
// from the other user's signalfd.
static int blocked_signalfd(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN);
  sigprocmask(SIG_BLOCK, &set, NULL);
  return signalfd(-1, &set, SFD_NONBLOCK);
}

static const char* kept_signals(void) {
  const int file = blocked_signalfd();
  long made;
  for (made = 0; made < kMost && sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = (int)made}) == 0;) made++;
  const char* result = ending(made);
  if (kill(getpid(), SIGRTMIN) != 0) return "kill";
  if (tgkill(getpid(), gettid(), SIGRTMIN) != 0) return "tgkill to a thread that has none";
  struct signalfd_siginfo info;
  if (read(file, &info, sizeof info) != sizeof info || info.ssi_code != SI_TKILL) return "not the thread's own";
  for (long i = 0; i < made; i++)
    if (read(file, &info, sizeof info) != sizeof info || info.ssi_int != i) return "lost";
  if (read(file, &info, sizeof info) != -1) return "too many";
  while (made-- > 0) sigqueue(getpid(), SIGRTMIN, (union sigval){0});
  return result;
}

static const char* kept_signal(void) {
  const int file = blocked_signalfd();
  struct signalfd_siginfo info;
  for (int i = 0; i < 3; i++)
    if (sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i}) != 0) return strerrorname_np(errno);
  for (int i = 0; i < 3; i++)
    if (read(file, &info, sizeof info) != sizeof info || info.ssi_int != i) return "lost";
  return "ok";
}

static int is_in_maps(const char* text) {
  FILE* maps = fopen("/proc/self/maps", "r");
  static char line[4096];
  int is_there = 0;
  while (fgets(line, sizeof line, maps) != NULL) is_there |= strstr(line, text) != NULL;
  fclose(maps);
  return is_there;
}

// The contents of each file stay mapped; only names go.
static const char* mapped_names(void) {
  char* maps[kMost];
  for (long i = 0; i < kMost; i++) {
    const int file = open(name_of("/tmp/files", i), O_RDONLY);
    maps[i] = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);
    if (maps[i] == MAP_FAILED) return strerrorname_np(errno);
    close(file);
  }
  for (long i = 0; i < kMost; i++)
    if (maps[i][0] != (char)i) return "not the file";
  if (!is_in_maps(name_of("/tmp/files", kMost - 1))) return "the newest is gone";
  return is_in_maps("/tmp/files/0\n") ? "endless" : "oldest";
}

static const char* mapped_name(void) {
  mmap(NULL, 4096, PROT_READ, MAP_SHARED, open("/tmp/files/30", O_RDONLY), 0);
  return is_in_maps("/tmp/files/30\n") ? "ok" : "no name";
}

static int run(const char* path) {
  const pid_t child = vfork();
  if (child == 0) {
    execl(path, path, "run", NULL);
    _exit(1);
  }
  int status;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// By more paths than are kept, some of which need a folder where others need the loader, and all of them again.
static const char* native_paths(void) {
  for (int round = 0; round < 2; round++) {
    for (long i = 0; i < kMost; i++)
      if (run(name_of("/tmp/programs", i)) != 7) return "a program did not run";
    if (run("/tmp/programs") != 1 || run("/tmp/programs/0/prog") != 1 || run("/tmp/programs/0") != 7) return "clash";
  }
  return "oldest";
}

static const char* native_path(void) { return run("/tmp/programs/0") == 7 ? "ok" : "did not run"; }

static pthread_barrier_t named;
static void* name_itself(void* number) {
  char name[32], path[64];
  snprintf(name, sizeof name, "thread %ld", (long)number);
  snprintf(path, sizeof path, "/proc/self/task/%d/comm", gettid());
  const int file = open(path, O_WRONLY);
  if (write(file, name, strlen(name)) != (ssize_t)strlen(name)) printf("not named\n");
  close(file);
  pthread_barrier_wait(&named);
  pause();
  return NULL;
}

static int named_threads(int count) {
  pthread_barrier_init(&named, NULL, 2);
  int newest = 0;
  for (long i = 0; i < count; i++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, name_itself, (void*)i) != 0) return -1;
    pthread_barrier_wait(&named);
    newest = i + 1;
  }
  return newest;
}

// How many threads of the process have the name that they gave themselves.
static int threads_with_names(int first_tid, int count) {
  int with_names = 0;
  for (int tid = first_tid; tid < first_tid + 2 * count; tid++) {
    char path[64], text[32] = {0};
    snprintf(path, sizeof path, "/proc/self/task/%d/comm", tid);
    const int file = open(path, O_RDONLY);
    if (file < 0) continue;
    if (read(file, text, sizeof text - 1) > 0 && strncmp(text, "thread ", 7) == 0) with_names++;
    close(file);
  }
  return with_names;
}

static const char* thread_names(void) {
  if (named_threads(kMost) != kMost) return "not made";
  const int with_names = threads_with_names(getpid(), kMost);
  return with_names == 0 ? "none" : with_names == kMost ? "endless" : "oldest";
}

static const char* thread_name(void) {
  if (named_threads(3) != 3) return "not made";
  return threads_with_names(getpid(), 10) == 3 ? "ok" : "not named";
}

static const struct {
  const char* name;
  const char* (*take)(void);
  const char* (*take_one)(void);
} kinds[] = {
    {"inotifyWatchesPerUser", inotify_watches, inotify_watch},
    {"inotifyEvents", inotify_events, inotify_event},
    {"epollWatchesPerUser", epoll_watches, epoll_watch},
    {"pipePagesPerUser", pipe_pages, pipe_page},
    {"posixQueueBytes", queue_bytes, queue_after},
    {"keptSignals", kept_signals, kept_signal},
    {"mappedNames", mapped_names, mapped_name},
    {"nativePaths", native_paths, native_path},
    {"threadNames", thread_names, thread_name},
};

// Runs it as a user in a child, which reports what it got and stays until the pipe that it returns is closed.
static pid_t start(uid_t uid, const char* (*take)(void), char result[64], int* stay) {
  int reports[2], stays[2];
  pipe(reports);
  pipe(stays);
  const pid_t child = fork();
  if (child == 0) {
    close(stays[1]);
    // Undumpable after setuid, it could not name its threads.
    if (setuid(uid) != 0 || prctl(PR_SET_DUMPABLE, 1) != 0) _exit(1);
    const char* text = take();
    write(reports[1], text, strlen(text));
    close(reports[1]);
    char byte;
    read(stays[0], &byte, 1);
    _exit(0);
  }
  close(reports[1]);
  close(stays[0]);
  const ssize_t length = child < 0 ? -1 : read(reports[0], result, 63);
  result[length < 0 ? 0 : length] = '\0';
  close(reports[0]);
  *stay = stays[1];
  return child;
}

static void end(pid_t child, int stay) {
  close(stay);
  waitpid(child, NULL, 0);
}

int main(int argc, char** argv) {
  if (argc > 1) return 7;
  umask(0);
  for (const char* const* folder = (const char*[]){"/tmp/folders", "/tmp/files", "/tmp/programs", NULL};
       *folder != NULL; folder++)
    mkdir(*folder, 0777);
  for (long i = 0; i < kMost; i++) {
    mkdir(name_of("/tmp/folders", i), 0777);
    const char byte = (char)i;
    write(open(name_of("/tmp/files", i), O_CREAT | O_WRONLY, 0644), &byte, 1);
    symlink("/bin/prog", name_of("/tmp/programs", i));
  }
  // Twice: what one had is there again for the next.
  for (int round = 0; round < 2; round++) {
    for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
      char hog[64], other[64], after[64];
      int hog_stay, other_stay, after_stay;
      const pid_t hog_pid = start(1000, kinds[i].take, hog, &hog_stay);
      const pid_t other_pid = start(2000, kinds[i].take_one, other, &other_stay);
      end(other_pid, other_stay);
      end(hog_pid, hog_stay);
      const pid_t after_pid = start(1000, kinds[i].take_one, after, &after_stay);
      end(after_pid, after_stay);
      printf("%s %s, another user %s, afterwards %s\n", kinds[i].name, hog, other, after);
      fflush(stdout);
    }
  }
  printf("end\n");
  return 0;
}
