// Two containers of one pod with one PID namespace and trees of their own. "victim" holds a secret; the attacker goes
// to it by /proc/PID. Who could trace the victim on Linux may go there, as there; the victim's mounts, masks and
// read-only trees hold for whoever comes by them; nobody else comes in.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static int victim;
static char secret_text[] = "secret";

static const char* at(const char* name) {
  static char path[8][128];
  static int next;
  char* text = path[next++ % 8];
  snprintf(text, sizeof path[0], "/proc/%d/%s", victim, name);
  return text;
}

static void show(const char* what, long result) {
  printf("%s %s\n", what, result >= 0 ? "ok" : strerrorname_np(errno));
}

// What an opening gives: the text, or the errno.
static void show_file(const char* what, int file) {
  char text[64] = {0};
  if (file < 0)
    show(what, file);
  else if (read(file, text, sizeof text - 1) < 0)
    show(what, -1);
  else
    printf("%s [%s]\n", what, text);
  if (file > 2) close(file);
}

static int find(const char* name) {
  for (int tries = 0; tries < 500; tries++) {
    for (int pid = 1; pid < 200; pid++) {
      char path[64], text[32] = {0};
      snprintf(path, sizeof path, "/proc/%d/comm", pid);
      const int file = open(path, O_RDONLY);
      if (file < 0) continue;
      read(file, text, sizeof text - 1);
      close(file);
      if (strcmp(strtok(text, "\n"), name) == 0) return pid;
    }
    usleep(20000);
  }
  return -1;
}

static void hold_secret(void) {
  const int file = open("/tmp/secret", O_CREAT | O_RDWR, 0600);
  write(file, secret_text, sizeof secret_text - 1);
  lseek(file, 0, SEEK_SET);
  dup2(file, 9);
  chdir("/tmp");
  prctl(PR_SET_NAME, "victim");
  for (;;) pause();
}

static void drop_capabilities(void) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct none[2] = {{0}};
  syscall(SYS_capset, &header, none);
}

// Each way in.
static void knock(void) {
  char text[128];
  show("readlink root", readlink(at("root"), text, sizeof text));
  show("readlink cwd", readlink(at("cwd"), text, sizeof text));
  show("readlink fd", readlink(at("fd/9"), text, sizeof text));
  show("list fd", open(at("fd"), O_RDONLY | O_DIRECTORY));
  show_file("root", open(at("root/tmp/secret"), O_RDONLY));
  show_file("cwd", open(at("cwd/secret"), O_RDONLY));
  show_file("fd", open(at("fd/9"), O_RDONLY));
  show_file("thread", open(at("task/../root/tmp/secret"), O_RDONLY));
  show("exe", open(at("exe"), O_RDONLY));
  show("maps", open(at("maps"), O_RDONLY));
  show("mem", open(at("mem"), O_RDONLY));
  show("environ", open(at("environ"), O_RDONLY));
  show("chdir", chdir(at("root")));
  show("chdir back", chdir("/"));
  const int pidfd = (int)syscall(SYS_pidfd_open, victim, 0);
  show("pidfd_getfd", syscall(SYS_pidfd_getfd, pidfd, 9, 0));
  close(pidfd);
  fflush(stdout);
}

static void as_other(const char* who, uid_t uid) {
  printf("-- %s\n", who);
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    if (uid != 0 && (setgroups(0, NULL) != 0 || setgid(uid) != 0 || setuid(uid) != 0)) _exit(1);
    drop_capabilities();
    knock();
    _exit(0);
  }
  waitpid(child, NULL, 0);
}

static void inside(void) {
  printf("-- inside\n");
  struct stat root, above, own;
  stat(at("root/"), &root);
  stat(at("root/.."), &above);
  stat("/", &own);
  printf("above is %s\n", root.st_ino == above.st_ino && root.st_dev == above.st_dev ? "the root" : "elsewhere");
  printf("trees are %s\n", root.st_ino == own.st_ino && root.st_dev == own.st_dev ? "one" : "two");
  show("own file there", open(at("root/own"), O_RDONLY));
  show("absolute symlink leads", open(at("root/absolute"), O_RDONLY));
  show("write", open(at("root/new"), O_CREAT | O_WRONLY, 0600));
  show("mkdir", mkdir(at("root/folder"), 0700));
  show("unlink", unlink(at("root/bin/prog")));
  show("masked", open(at("root/masked/secret"), O_RDONLY));
  show("masked file", open(at("root/masked/new"), O_CREAT | O_WRONLY, 0600));
  show("read-only path", open(at("root/tmp/read-only/new"), O_CREAT | O_WRONLY, 0600));
  show("link out", linkat(AT_FDCWD, at("root/tmp/secret"), AT_FDCWD, "/tmp/stolen", 0));
  show("rename out", rename(at("root/tmp/secret"), "/tmp/stolen"));
  show("mount", mount("none", at("root/tmp"), "tmpfs", 0, NULL));
  show("bind out", mount(at("root/tmp"), "/tmp", NULL, MS_BIND, NULL));
  show("remount", mount(NULL, at("root/"), NULL, MS_REMOUNT | MS_BIND, NULL));
  show("move", mount(at("root/tmp"), "/tmp", NULL, MS_MOVE, NULL));
  show("propagation", mount(NULL, at("root/tmp"), NULL, MS_SHARED, NULL));
  show("umount", umount2(at("root/tmp"), MNT_DETACH));
  show("pivot_root", syscall(SYS_pivot_root, at("root/"), at("root/tmp")));
  const int ns = open(at("ns/mnt"), O_RDONLY);
  show("setns", setns(ns, 0));
  fflush(stdout);
}

// What is held of a tree whose container has ended leads nowhere else, whatever the descriptors below it are by now.
static void afterwards(void) {
  printf("-- afterwards\n");
  setvbuf(stdout, NULL, _IOLBF, 0);
  const int root = open(at("root/"), O_RDONLY | O_DIRECTORY), folder = open(at("root/bin"), O_RDONLY | O_DIRECTORY);
  const int path = open(at("root/bin"), O_PATH), file = open(at("fd/9"), O_RDONLY);
  chdir(at("root/bin"));
  kill(victim, SIGKILL);
  // The test deletes the container as soon as it has ended.
  for (int tries = 0; tries < 500; tries++) {
    const int still = openat(folder, "prog", O_RDONLY);
    if (still < 0) break;
    close(still);
    usleep(20000);
  }
  // Folders and files of the attacker's own tree take the numbers over.
  int files[200];
  for (int i = 0; i < 200; i++) {
    char name[32];
    snprintf(name, sizeof name, "/tree/%d", i);
    mkdir(name, 0700);
    files[i] = open(name, O_RDONLY | O_DIRECTORY);
    snprintf(name, sizeof name, "/tree/%d/prog", i);
    close(open(name, O_CREAT | O_WRONLY, 0755));
  }
  show("openat root", openat(root, "tree", O_RDONLY));
  show("openat folder", openat(folder, "prog", O_RDONLY));
  show("openat folder above", openat(folder, "../own", O_RDONLY));
  show("openat path", openat(path, "prog", O_RDONLY));
  show("cwd", open("prog", O_RDONLY));
  show("create", openat(folder, "new", O_CREAT | O_WRONLY, 0600));
  show("unlinkat", unlinkat(folder, "prog", 0));
  DIR* listing = fdopendir(dup(folder));
  int count = 0;
  for (struct dirent* entry; (entry = readdir(listing)) != NULL;) count += strcmp(entry->d_name, "prog") == 0;
  printf("its own entries %s\n", count <= 1 ? "at most" : "others");
  show_file("open file", file);
  int lost = 0;
  for (int i = 0; i < 200; i++) {
    struct stat status;
    if (fstat(files[i], &status) != 0 || faccessat(files[i], "prog", F_OK, 0) != 0) lost++;
  }
  printf("%d of the own lost\n", lost);
}

int main(int argc, char** argv) {
  // The pod's first container, whose process is the namespace's init.
  if (argc > 1 && strcmp(argv[1], "pause") == 0) pause();
  if (argc > 1 && strcmp(argv[1], "victim") == 0) hold_secret();
  victim = find("victim");
  if (victim < 0) return 1;
  as_other("another user", 1000);
  as_other("root without capabilities", 0);
  printf("-- root with the same\n");
  fflush(stdout);
  knock();
  inside();
  afterwards();
  printf("end\n");
  return 0;
}
