#define _GNU_SOURCE
#include "early.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { kMaxArgs = 128, kMaxSlots = 32768, kListBytes = 32768 };

// As runtime/oci/state.ts has them.
static const long kFirstId = 0x10000000;
static const long kIdsPerSlot = 65536;

char package_root[PATH_MAX];
char* node_path;
static char list_text[kListBytes];

// The package lies two folders above this program: native/build/isopod.
void find_package(void) {
  ssize_t length = readlink("/proc/self/exe", package_root, sizeof package_root - 1);
  if (length < 0) length = 0;
  package_root[length] = '\0';
  for (int i = 0; i < 3; i++) {
    char* slash = strrchr(package_root, '/');
    if (slash == NULL) break;
    *slash = '\0';
  }
}

// dist/sandbox-files, which the build wrote: Node's path, then a SOURCE:TARGET line for each file of a sandbox
// process's root.
bool read_list(void) {
  char path[PATH_MAX + 32];
  snprintf(path, sizeof path, "%s/dist/sandbox-files", package_root);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t length = read(fd, list_text, sizeof list_text - 1);
  close(fd);
  if (length <= 0 || length == (ssize_t)sizeof list_text - 1) return false;
  list_text[length] = '\0';
  node_path = strtok(list_text, "\n");
  return node_path != NULL && access(node_path, X_OK) == 0;
}

// A range of host ids, as StateStore.takeSlot takes one: a symlink to the folder of who has it.
static long take_slot(const char* state, const char* owner) {
  char path[PATH_MAX + 32];
  char target[64];
  snprintf(path, sizeof path, "%s/.ids", state);
  if (mkdir(path, 0700) != 0 && errno != EEXIST) return -1;
  snprintf(target, sizeof target, "../%s", owner);
  for (long slot = 0; slot < kMaxSlots; slot++) {
    snprintf(path, sizeof path, "%s/.ids/%ld", state, slot);
    if (symlink(target, path) == 0) return slot;
    if (errno != EEXIST) return -1;
  }
  return -1;
}

int listen_at(const char* path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) return -1;
  strcpy(address.sun_path, path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  mode_t mask = umask(0177);
  bool is_listening = bind(fd, (struct sockaddr*)&address, sizeof address) == 0 && listen(fd, 16) == 0;
  umask(mask);
  if (is_listening) return fd;
  close(fd);
  return -1;
}

// Forgets what take_slot and start_early have made.
static void clean_up(const char* state, const char* folder, long slot) {
  char path[PATH_MAX + 32];
  static const char* const kFiles[] = {"control.sock", "sandbox.log"};
  for (int i = 0; i < 2; i++) {
    snprintf(path, sizeof path, "%s/%s", folder, kFiles[i]);
    unlink(path);
  }
  snprintf(path, sizeof path, "%s/.ids/%ld", state, slot);
  if (slot >= 0) unlink(path);
  rmdir(folder);
}

// Starts the launcher; whatever fails here leaves the work to the command line, which says what is wrong.
void start_early(const char* state, const char* netns) {
  char owner[32];
  char folder[PATH_MAX];
  char path[PATH_MAX + 32];
  snprintf(owner, sizeof owner, ".early-%d", getpid());
  snprintf(folder, sizeof folder, "%s/%s", state, owner);
  if (mkdir(state, 0711) != 0 && errno != EEXIST) return;
  if (mkdir(folder, 0700) != 0) return;
  long slot = take_slot(state, owner);
  if (slot < 0) {
    clean_up(state, folder, slot);
    return;
  }
  snprintf(path, sizeof path, "%s/control.sock", folder);
  int listener = listen_at(path);
  snprintf(path, sizeof path, "%s/sandbox.log", folder);
  int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  int report[2];
  int life[2];
  if (listener < 0 || log < 0 || pipe(report) != 0 || pipe(life) != 0) {
    clean_up(state, folder, slot);
    return;
  }

  static char launcher[PATH_MAX + 64];
  static char loader[PATH_MAX + 64];
  static char id_base[32];
  static char fds[5][32];
  snprintf(launcher, sizeof launcher, "%s/native/build/isopod-launcher", package_root);
  snprintf(loader, sizeof loader, "%s/native/build/isopod-loader", package_root);
  snprintf(id_base, sizeof id_base, "%ld", kFirstId + slot * kIdsPerSlot);
  snprintf(fds[0], sizeof fds[0], "%d:3", listener);
  snprintf(fds[1], sizeof fds[1], "%d:1", log);
  snprintf(fds[2], sizeof fds[2], "%d:2", log);
  snprintf(fds[3], sizeof fds[3], "%d:4", life[0]);
  snprintf(fds[4], sizeof fds[4], "%d", report[1]);
  char* args[kMaxArgs] = {
      launcher, "--id-base",         id_base, "--loader", loader, "--env", "ISOPOD_ADDON=/isopod.node",
      "--env",  "ISOPOD_LIFE_LINE=4"};
  int count = 9;
  for (int i = 0; i < 4; i++) {
    args[count++] = "--fd";
    args[count++] = fds[i];
  }
  args[count++] = "--report-fd";
  args[count++] = fds[4];
  if (netns != NULL) {
    args[count++] = "--netns";
    args[count++] = (char*)netns;
  }
  for (char* line; (line = strtok(NULL, "\n")) != NULL;) {
    if (count > kMaxArgs - 10) {
      clean_up(state, folder, slot);
      return;
    }
    args[count++] = "--file";
    args[count++] = line;
  }
  args[count++] = "--";
  args[count++] = "/node";
  args[count++] = "--max-semi-space-size=1";
  args[count++] = "/sandbox-start.cjs";

  pid_t pid = fork();
  if (pid == 0) {
    // The launcher's own words would come before anybody asked: the command line tries again and reports.
    dup2(log, 2);
    int null = open("/dev/null", O_RDWR);
    dup2(null, 0);
    dup2(null, 1);
    for (int i = 0; i < 2; i++) fcntl(i == 0 ? listener : log, F_SETFD, 0);
    close(life[1]);
    close(report[0]);
    execv(launcher, args);
    _exit(127);
  }
  close(listener);
  close(log);
  close(report[1]);
  close(life[0]);
  if (pid < 0) {
    clean_up(state, folder, slot);
    return;
  }
  static char early[PATH_MAX + 128];
  snprintf(early, sizeof early, "%d:%d:%d:%ld:%s", pid, report[0], life[1], slot, folder);
  setenv("ISOPOD_EARLY", early, 1);
  setenv("ISOPOD_EARLY_NETNS", netns == NULL ? "" : netns, 1);
}
