// Files of tmpfs mounts: what is mapped from a noexec one never becomes executable, by whatever way it is mapped; the
// same bytes from a mount that isn't do.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

// mov $42, %eax; ret
static const unsigned char kCode[] = {0xb8, 42, 0, 0, 0, 0xc3};

static const char* errno_of(int result) { return result == 0 ? "ok" : strerrorname_np(errno); }

static void report(const char* folder, const char* what, const char* result) {
  printf("%s %s %s\n", folder, what, result);
}

// Makes the mapping executable afterwards, and calls it.
static const char* harden(void* mapped) {
  if (mapped == MAP_FAILED) return strerrorname_np(errno);
  if (mprotect(mapped, 4096, PROT_READ | PROT_EXEC) != 0) return strerrorname_np(errno);
  return ((int (*)(void))mapped)() == 42 ? "runs" : "ok";
}

static int make(const char* folder, const char* name, long bytes) {
  char path[64];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  const int file = open(path, O_CREAT | O_RDWR, 0755);
  write(file, kCode, sizeof kCode);
  if (ftruncate(file, bytes) != 0) report(folder, name, strerrorname_np(errno));
  return file;
}

static void attack(const char* folder) {
  const int file = make(folder, "code", 4096);
  void* direct = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0);
  report(folder, "mmap", direct == MAP_FAILED ? strerrorname_np(errno) : "ok");
  report(folder, "private", harden(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 0)));
  report(folder, "shared", harden(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)));
  // Pages that are the process's own by now stay the file's mapping.
  unsigned char* written = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
  memcpy(written, kCode, sizeof kCode);
  report(folder, "written", harden(written));
  // A copy of the descriptor's number, which was lent already, and another opening by it.
  report(folder, "dup", harden(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, dup(file), 0)));
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", file);
  report(folder, "reopened", harden(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, open(path, O_RDONLY), 0)));
  // A large file has its memory before it is mapped; one without a name never had a path.
  report(folder, "large", harden(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, make(folder, "large", 100000), 0)));
  const int nameless = open(folder, O_TMPFILE | O_RDWR, 0700);
  write(nameless, kCode, sizeof kCode);
  report(folder, "nameless", harden(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, nameless, 0)));
  // Grown and moved, by calls that are the host's own.
  void* moved = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 0);
  report(folder, "moved", harden(mremap(moved, 4096, 8192, MREMAP_MAYMOVE)));
  const pid_t child = fork();
  if (child == 0) {
    void* inherited = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);
    report(folder, "child", harden(inherited));
    fflush(stdout);
    _exit(0);
  }
  waitpid(child, NULL, 0);
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  attack("/noexec");
  attack("/exec");
  // One file, two mounts: by which of them it was opened counts.
  mkdir("/twin", 0755);
  report("/twin", "mount", errno_of(mount("/exec", "/twin", NULL, MS_BIND, NULL)));
  report("/twin", "remount", errno_of(mount(NULL, "/twin", NULL, MS_BIND | MS_REMOUNT | MS_NOEXEC, NULL)));
  report("/twin", "first", harden(mmap(NULL, 4096, PROT_READ, MAP_SHARED, open("/twin/code", O_RDONLY), 0)));
  report("/exec", "then", harden(mmap(NULL, 4096, PROT_READ, MAP_SHARED, open("/exec/code", O_RDONLY), 0)));
  unsigned char* one = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, open("/exec/code", O_RDWR), 0);
  unsigned char* other = mmap(NULL, 4096, PROT_READ, MAP_SHARED, open("/twin/code", O_RDONLY), 0);
  one[100] = 7;
  report("/twin", "shares", other[100] == 7 ? "ok" : "no");
  // Opened by both over and over: the second mount costs the file one descriptor, not one each time.
  for (int i = 0; i < 10000; i++) {
    const int file = open(i % 2 == 0 ? "/exec/code" : "/twin/code", O_RDONLY);
    void* mapped = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED) {
      report("/twin", "again", strerrorname_np(errno));
      break;
    }
    munmap(mapped, 4096);
    close(file);
  }
  printf("end\n");
  return 0;
}
