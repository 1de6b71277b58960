// What a launched program sees and can do, as lines `NAME VALUE`. Static: the sandbox has no libraries.
//
//   inside state          ids, descriptors, environment, limits, signals
//   inside reach PID      tries what must be out of reach (PID: a process of the host)
//   inside list PATH      the names in a folder
//   inside read PATH      the contents of a file
//   inside descriptor N   the contents of a descriptor
//   inside guest          makes the native world of a guest in it, and runs the loader there
//   inside sleep          starts a child and a grandchild of a session of its own, says so, and sleeps
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

static void result(const char* name, long value) { printf("%s %s\n", name, value < 0 ? strerrorname_np(errno) : "ok"); }

static int list(const char* path) {
  DIR* folder = opendir(path);
  if (folder == NULL) return 1;
  for (struct dirent* entry; (entry = readdir(folder)) != NULL;) {
    if (entry->d_name[0] == '.') continue;
    if (atoi(entry->d_name) == dirfd(folder) && strstr(path, "/fd") != NULL) continue;
    puts(entry->d_name);
  }
  return 0;
}

static int copy_out(int fd) {
  char buffer[4096];
  ssize_t length;
  fflush(stdout);
  while ((length = read(fd, buffer, sizeof buffer)) > 0) {
    if (write(1, buffer, (size_t)length) != length) return 1;
  }
  return length < 0;
}

static int state(int argc, char** argv) {
  char text[4096];
  FILE* status = fopen("/proc/self/status", "r");
  while (fgets(text, sizeof text, status) != NULL) {
    if (strncmp(text, "Cap", 3) == 0 || strncmp(text, "Sig", 3) == 0 || strncmp(text, "NoNewPrivs", 10) == 0) {
      printf("%.*s %s", (int)strcspn(text, ":"), text, text + strcspn(text, "\t") + 1);
    }
  }
  fclose(status);
  for (int i = 0; i < argc; i++) printf("argv %s\n", argv[i]);
  for (char** variable = environ; *variable != NULL; variable++) printf("env %s\n", *variable);
  uid_t uids[3];
  gid_t gids[3];
  getresuid(&uids[0], &uids[1], &uids[2]);
  getresgid(&gids[0], &gids[1], &gids[2]);
  printf("uids %u %u %u\ngids %u %u %u\ngroups %d\n", uids[0], uids[1], uids[2], gids[0], gids[1], gids[2],
         getgroups(0, NULL));
  printf("pid %d\nppid %d\nsid %d\n", getpid(), getppid(), getsid(0));
  gethostname(text, sizeof text);
  printf("hostname %s\ncwd %s\numask %03o\n", text, getcwd(text + 256, 256), umask(0));
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  printf("nofile %s\n", limit.rlim_cur == limit.rlim_max ? "at its hard limit" : "below");
  getrlimit(RLIMIT_CORE, &limit);
  printf("core %lu %lu\n", limit.rlim_cur, limit.rlim_max);
  getrlimit(RLIMIT_NPROC, &limit);
  printf("nproc %lu %lu\n", limit.rlim_cur, limit.rlim_max);
  printf("securebits %d\ndumpable %d\npdeathsig %d\n", prctl(PR_GET_SECUREBITS), prctl(PR_GET_DUMPABLE),
         prctl(PR_GET_PDEATHSIG, &(int){0}));
  return 0;
}

static int reach(pid_t host) {
  result("kill", kill(host, 0));
  result("write-root", open("/file", O_CREAT | O_WRONLY, 0600));
  result("write-file", open("/data/file", O_WRONLY));
  result("mount", mount("none", "/guest", "tmpfs", 0, NULL));
  result("umount", umount2("/data/file", MNT_DETACH));
  result("remount", mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL));
  result("chroot", chroot("/guest"));
  result("unshare-mounts", unshare(CLONE_NEWNS));
  result("unshare-network", unshare(CLONE_NEWNET));
  result("sethostname", sethostname("x", 1));
  result("setuid-host", setuid(100000));
  result("mknod", mknod("/guest/null", S_IFCHR | 0666, makedev(1, 3)));
  result("guest", mknod("/guest/file", S_IFREG | 0666, 0));
  result("sysctl", open("/proc/sys/kernel/core_pattern", O_WRONLY));
  result("sysrq", open("/proc/sysrq-trigger", O_WRONLY));
  result("null", open("/dev/null", O_RDWR));
  result("urandom", open("/dev/urandom", O_RDONLY));
  // TEST-NET-1 (RFC 5737): a new network namespace has a way to itself alone.
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(22), .sin_addr.s_addr = htonl(0xc0000201)};
  result("connect", connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr*)&address, sizeof address));
  result("raw-socket", socket(AF_INET, SOCK_RAW, 1));
  result("keyring", syscall(SYS_keyctl, 0, -3, 0));  // KEYCTL_GET_KEYRING_ID of the session: its own
  return 0;
}

static int write_text(const char* path, const char* text) {
  int fd = open(path, O_WRONLY);
  return fd < 0 || write(fd, text, strlen(text)) < 0 ? -1 : close(fd);
}

static int guest(void) {
  result("namespaces",
         unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS));
  result("setgroups", write_text("/proc/self/setgroups", "deny"));
  result("uid_map", write_text("/proc/self/uid_map", "1000 0 1"));
  result("gid_map", write_text("/proc/self/gid_map", "1000 0 1"));
  result("bind", mount("/guest", "/guest", NULL, MS_BIND, NULL));
  result("read-only", mount(NULL, "/guest", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL));
  result("chdir", chdir("/guest"));
  result("pivot", syscall(SYS_pivot_root, ".", "."));
  result("detach", umount2(".", MNT_DETACH));
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    execl("/x", "x", NULL);
    _exit(1);
  }
  int status;
  waitpid(child, &status, 0);
  printf("loader %d\n", WEXITSTATUS(status));
  return 0;
}

__attribute__((noreturn)) static void sleep_with_children(void) {
  if (fork() == 0) {
    setsid();
    if (fork() == 0) puts("ready"), fflush(stdout);
    for (;;) pause();
  }
  for (;;) pause();
}

int main(int argc, char** argv) {
  const char* what = argc < 2 ? "" : argv[1];
  const char* value = argc < 3 ? "" : argv[2];
  if (strcmp(what, "state") == 0) return state(argc, argv);
  if (strcmp(what, "reach") == 0) return reach(atoi(value));
  if (strcmp(what, "list") == 0) return list(value);
  if (strcmp(what, "read") == 0) return copy_out(open(value, O_RDONLY));
  if (strcmp(what, "descriptor") == 0) return copy_out(atoi(value));
  if (strcmp(what, "guest") == 0) return guest();
  if (strcmp(what, "sleep") == 0) sleep_with_children();
  return 1;
}
