// Sets up the world of a sandbox process and executes a program (Node.js) in it: a root of its own, namespaces, ids,
// capabilities, limits. A threaded process can't confine itself, because confinement is per thread; so this small
// static program does it first.
//
// The new root has /guest, the root of guests' processes, and one tmpfs for the contents of guests' files at two
// places, /memory and (noexec) /memory-noexec.
//
//   isopod-launcher [OPTION]... -- PROGRAM ARGUMENT...
//
//   --id-base N            first host user and group id of the sandbox; its id 0 (default 524288; never 0)
//   --id-count N           how many ids follow (default 65536)
//   --file SRC:DST         binds a file, folder or device read-only, nosuid, nodev (noexec for a device) at DST
//   --tmpfs DST            mounts a small private tmpfs in which the host's root alone makes anything
//   --loader SRC           copies the loader to /guest/x
//   --fd SRC:DST           gives the program descriptor SRC as DST; all others but 0, 1 and 2 are closed
//   --env K=V              a variable of the program's environment, which is empty otherwise
//   --netns PATH           network namespace to enter (not the host's), instead of a new one with a loopback that is up
//   --cgroup FILE          cgroup.procs (or tasks) file of a cgroup to join; one per hierarchy
//   --rlimit NAME=S:H      soft and hard limit, or "unlimited" (default nofile at its hard limit, core=1:1)
//   --oom-score-adj N      for the program; lowering it takes CAP_SYS_RESOURCE
//   --hostname NAME        of the new UTS namespace (default isopod)
//   --capabilities MASK    hexadecimal; what the program keeps of its user namespace's, by number (default: those that
//   owning
//                          the pod's trees takes)
//   --death-signal N       for the program when its parent, the launcher's parent, ends (default: none)
//   --report-fd N          where the pid goes, see below
//
// The program becomes a child of the launcher's *parent* and pid 1 of its PID namespace, so that every guest dies with
// it. When it has been executed the launcher writes its pid (in the launcher's PID namespace) and a newline to the
// report descriptor and exits with 0. When anything fails it prints `isopod-launcher: STEP: DETAIL: REASON`, kills what
// it started and exits with 1. If that was after the birth of the process the report is the *negative* pid: nobody but
// the parent can reap it.
//
// All mounts are made as real root before the user namespace exists, so sources under unreadable folders work, and the
// mounts belong to a user namespace over which the sandbox process has no power.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/securebits.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MAX_ITEMS = 256, MAX_FD = 1023 };

// What owning the pod's trees takes, and no more. And SETFCAP: since Linux 5.12 nobody without it may map user 0 of his
// user namespace into a new one (verify_root_map in kernel/user_namespace.c), as every guest's namespace does. It
// allows setting file capabilities, which the host heeds in this very user namespace only, and no_new_privs makes it
// ignore them there.
enum {
  kDefaultCapabilities = 1U << CAP_CHOWN | 1U << CAP_DAC_OVERRIDE | 1U << CAP_DAC_READ_SEARCH | 1U << CAP_FOWNER |
                         1U << CAP_FSETID | 1U << CAP_SETFCAP
};

// The folder that the new root covers while it is built. Nobody else sees that (the mount namespace is private by
// then), and every source is already held by a descriptor.
static const char kBuildPlace[] = "/tmp";

struct pair {
  const char* source;
  const char* target;
};

struct fd_move {
  int source;
  int target;
};

struct limit {
  int resource;
  struct rlimit value;
};

static struct {
  unsigned long id_base;
  unsigned long id_count;
  struct pair files[MAX_ITEMS];
  int file_count;
  const char* tmpfs[MAX_ITEMS];
  int tmpfs_count;
  const char* loader;
  struct fd_move fds[MAX_ITEMS];
  int fd_count;
  char* environment[MAX_ITEMS + 1];
  int environment_count;
  const char* netns;
  const char* cgroups[MAX_ITEMS];
  int cgroup_count;
  struct limit limits[MAX_ITEMS];
  int limit_count;
  const char* oom_score_adj;
  const char* hostname;
  unsigned capabilities;
  int death_signal;
  int report_fd;
  char** program;
} options = {
    .id_base = 524288, .id_count = 65536, .hostname = "isopod", .capabilities = kDefaultCapabilities, .report_fd = -1};

// The sandbox process once it exists (in the launcher), and where it reports failures (in the sandbox process; -1 in
// the launcher).
static pid_t child_pid = -1;
static int failure_fd = -1;

static void report_pid(pid_t pid) {
  if (options.report_fd >= 0) dprintf(options.report_fd, "%d\n", pid);
}

// Prints why the launcher stops, ends the sandbox process if there is one, and exits.
__attribute__((noreturn)) static void stop(const char* text) {
  dprintf(STDERR_FILENO, "isopod-launcher: %s\n", text);
  if (child_pid > 0) {
    kill(child_pid, SIGKILL);
    report_pid(-child_pid);
  }
  _exit(1);
}

// Stops with `STEP: DETAIL: strerror(errno)`. In the sandbox process the text goes to the launcher, as descriptor 2 may
// be another's by now.
__attribute__((noreturn, format(printf, 2, 3))) static void fail(const char* step, const char* format, ...) {
  const char* reason = strerror(errno);
  char detail[PIPE_BUF / 2];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(detail, sizeof detail, format, arguments);
  va_end(arguments);
  char text[PIPE_BUF];
  int length = snprintf(text, sizeof text, "%s: %s: %s", step, detail, reason);
  if (failure_fd < 0) stop(text);
  if (write(failure_fd, text, (size_t)length) != length) _exit(2);
  _exit(1);
}

__attribute__((noreturn)) static void fail_argument(const char* option, const char* value) {
  errno = EINVAL;
  fail("arguments", "%s %s", option, value);
}

// --- Arguments
// --------------------------------------------------------------------------------------------------------------------

static unsigned long parse_number(const char* option, const char* text, const char* digits, unsigned long max) {
  char* end;
  errno = 0;
  unsigned long value = strtoul(digits, &end, 10);
  if (errno != 0 || *digits < '0' || *digits > '9' || *end != '\0' || value > max) fail_argument(option, text);
  return value;
}

// Checks a path of the new root: absolute, no empty, `.` or `..` component.
static const char* parse_target(const char* option, const char* target) {
  if (target[0] != '/' || strlen(target) >= PATH_MAX) fail_argument(option, target);
  for (const char* at = target; *at == '/';) {
    const char* component = at + 1;
    size_t length = strcspn(component, "/");
    bool is_dots = (length == 1 && component[0] == '.') || (length == 2 && component[0] == '.' && component[1] == '.');
    if (length == 0 || is_dots) fail_argument(option, target);
    at = component + length;
  }
  return target;
}

// SRC may hold colons, DST may not.
static struct pair parse_pair(const char* option, char* value) {
  char* colon = strrchr(value, ':');
  if (colon == NULL || colon == value) fail_argument(option, value);
  parse_target(option, colon + 1);
  *colon = '\0';
  return (struct pair){value, colon + 1};
}

static struct fd_move parse_fd(const char* option, char* value) {
  char* colon = strchr(value, ':');
  if (colon == NULL) fail_argument(option, value);
  unsigned long target = parse_number(option, value, colon + 1, MAX_FD);
  *colon = '\0';
  unsigned long source = parse_number(option, value, value, INT32_MAX);
  if (fcntl((int)source, F_GETFD) < 0) fail("arguments", "%s %lu:%lu", option, source, target);
  for (int i = 0; i < options.fd_count; i++) {
    if (options.fds[i].target == (int)target) fail_argument(option, "gives one number twice");
  }
  return (struct fd_move){(int)source, (int)target};
}

static rlim_t parse_limit_value(const char* option, const char* whole, const char* text) {
  if (strcmp(text, "unlimited") == 0) return RLIM_INFINITY;
  return parse_number(option, whole, text, RLIM_INFINITY - 1);
}

static struct limit parse_limit(const char* option, const char* value) {
  static const struct {
    const char* name;
    int resource;
  } kResources[] = {
      {"as", RLIMIT_AS},           {"core", RLIMIT_CORE},         {"cpu", RLIMIT_CPU},
      {"data", RLIMIT_DATA},       {"fsize", RLIMIT_FSIZE},       {"locks", RLIMIT_LOCKS},
      {"memlock", RLIMIT_MEMLOCK}, {"msgqueue", RLIMIT_MSGQUEUE}, {"nice", RLIMIT_NICE},
      {"nofile", RLIMIT_NOFILE},   {"nproc", RLIMIT_NPROC},       {"rss", RLIMIT_RSS},
      {"rtprio", RLIMIT_RTPRIO},   {"rttime", RLIMIT_RTTIME},     {"sigpending", RLIMIT_SIGPENDING},
      {"stack", RLIMIT_STACK},
  };
  char text[128];
  if (strlen(value) >= sizeof text) fail_argument(option, value);
  strcpy(text, value);
  char* equals = strchr(text, '=');
  char* colon = equals == NULL ? NULL : strchr(equals, ':');
  if (colon == NULL) fail_argument(option, value);
  *equals = '\0';
  *colon = '\0';
  const char* name = strncasecmp(text, "RLIMIT_", 7) == 0 ? text + 7 : text;
  for (size_t i = 0; i < sizeof kResources / sizeof *kResources; i++) {
    if (strcasecmp(name, kResources[i].name) != 0) continue;
    rlim_t soft = parse_limit_value(option, value, equals + 1);
    rlim_t hard = parse_limit_value(option, value, colon + 1);
    if (soft > hard) fail_argument(option, value);
    return (struct limit){kResources[i].resource, {soft, hard}};
  }
  fail_argument(option, value);
}

static void parse_option(const char* option, char* value) {
  // Counted against one bound for all lists: an argument list that long is a mistake.
  static int items = 0;
  if (++items > MAX_ITEMS) fail_argument(option, "is one option too many");
  if (strcmp(option, "--id-base") == 0) {
    options.id_base = parse_number(option, value, value, UINT32_MAX - 1);
  } else if (strcmp(option, "--id-count") == 0) {
    options.id_count = parse_number(option, value, value, UINT32_MAX - 1);
  } else if (strcmp(option, "--file") == 0) {
    options.files[options.file_count++] = parse_pair(option, value);
  } else if (strcmp(option, "--tmpfs") == 0) {
    options.tmpfs[options.tmpfs_count++] = parse_target(option, value);
  } else if (strcmp(option, "--loader") == 0) {
    options.loader = value;
  } else if (strcmp(option, "--fd") == 0) {
    options.fds[options.fd_count] = parse_fd(option, value);
    options.fd_count++;
  } else if (strcmp(option, "--env") == 0) {
    if (strchr(value, '=') == NULL) fail_argument(option, value);
    options.environment[options.environment_count++] = value;
  } else if (strcmp(option, "--netns") == 0) {
    options.netns = value;
  } else if (strcmp(option, "--cgroup") == 0) {
    options.cgroups[options.cgroup_count++] = value;
  } else if (strcmp(option, "--rlimit") == 0) {
    options.limits[options.limit_count++] = parse_limit(option, value);
  } else if (strcmp(option, "--oom-score-adj") == 0) {
    parse_number(option, value, value + (value[0] == '-'), 1000);
    options.oom_score_adj = value;
  } else if (strcmp(option, "--hostname") == 0) {
    if (value[0] == '\0' || strlen(value) > 64) fail_argument(option, value);
    options.hostname = value;
  } else if (strcmp(option, "--capabilities") == 0) {
    char* end;
    unsigned long mask = strtoul(value, &end, 16);
    if (*value == '\0' || *end != '\0' || mask > UINT32_MAX) fail_argument(option, value);
    options.capabilities = (unsigned)mask;
  } else if (strcmp(option, "--death-signal") == 0) {
    options.death_signal = (int)parse_number(option, value, value, 64);
  } else if (strcmp(option, "--report-fd") == 0) {
    options.report_fd = (int)parse_number(option, value, value, INT32_MAX);
    if (fcntl(options.report_fd, F_GETFD) < 0) fail("arguments", "%s %s", option, value);
  } else {
    fail_argument(option, "is unknown");
  }
}

static void parse(int argc, char** argv) {
  for (int i = 1; i < argc; i += 2) {
    if (strcmp(argv[i], "--") == 0) {
      options.program = argv + i + 1;
      break;
    }
    if (i + 1 == argc) fail_argument(argv[i], "lacks its value, or is no option");
    parse_option(argv[i], argv[i + 1]);
  }
  if (options.program == NULL || options.program[0] == NULL) fail_argument("-- PROGRAM", "is missing");
  if (options.program[0][0] != '/') fail_argument("-- PROGRAM must be absolute, not", options.program[0]);
  // Id 0 of the sandbox must never be the host's root.
  if (options.id_base == 0 || options.id_count == 0 || options.id_base + options.id_count > UINT32_MAX) {
    fail_argument("--id-base, --id-count", "are out of range");
  }
}

// --- The new root
// -----------------------------------------------------------------------------------------------------------------

// A detached copy of a mount of the host, read-only, with what its source is in *mode.
static int clone_source(const char* source, mode_t* mode) {
  struct stat status;
  if (stat(source, &status) != 0) fail("find source", "%s", source);
  *mode = status.st_mode;
  unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (S_ISDIR(status.st_mode) ? AT_RECURSIVE : 0);
  int tree = (int)syscall(SYS_open_tree, AT_FDCWD, source, flags);
  if (tree < 0) fail("clone source", "%s", source);
  struct mount_attr attributes = {
      .attr_set =
          MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | (S_ISCHR(status.st_mode) ? MOUNT_ATTR_NOEXEC : MOUNT_ATTR_NODEV),
      .propagation = MS_PRIVATE,
  };
  if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) != 0) {
    fail("make source read-only", "%s", source);
  }
  return tree;
}

// Opens a path of the new root, making the folders that lack (and the file or folder itself). No symlink is followed:
// one in a bound folder could lead anywhere.
static int make_target(int root, const char* target, bool is_folder) {
  int at = fcntl(root, F_DUPFD_CLOEXEC, 3);
  if (at < 0) fail("make target", "%s", target);
  for (const char* component = target + 1;;) {
    size_t length = strcspn(component, "/");
    bool is_last = component[length] == '\0';
    char name[NAME_MAX + 1];
    if (length >= sizeof name) {
      errno = ENAMETOOLONG;
      fail("make target", "%s", target);
    }
    memcpy(name, component, length);
    name[length] = '\0';
    int flags = O_PATH | O_NOFOLLOW | O_CLOEXEC | (is_last && !is_folder ? 0 : O_DIRECTORY);
    int next = openat(at, name, flags);
    if (next < 0 && errno == ENOENT) {
      int made = is_last && !is_folder ? mknodat(at, name, S_IFREG | 0444, 0) : mkdirat(at, name, 0755);
      if (made != 0) fail("make target", "%s", target);
      next = openat(at, name, flags);
    }
    if (next < 0) fail("make target", "%s", target);
    close(at);
    at = next;
    if (is_last) return at;
    component += length + 1;
  }
}

static void attach(int tree, int root, const char* target, bool is_folder) {
  int at = make_target(root, target, is_folder);
  if (syscall(SYS_move_mount, tree, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) {
    fail("attach mount", "%s", target);
  }
  close(tree);
  close(at);
}

static void mount_tmpfs(int root, const char* target, unsigned long flags, const char* size, unsigned mode,
                        unsigned long owner) {
  char path[64];
  char data[160];
  int at = make_target(root, target, true);
  // mount(2) takes a path; the descriptor's name in the host's /proc is one.
  snprintf(path, sizeof path, "/proc/self/fd/%d", at);
  snprintf(data, sizeof data, "%s,mode=%04o,uid=%lu,gid=%lu", size, mode, owner, owner);
  if (mount("isopod", path, "tmpfs", MS_NOSUID | MS_NODEV | flags, data) != 0) fail("mount tmpfs", "%s", target);
  close(at);
}

// Mounts the file system at one folder of the new root a second time, noexec.
static void mount_noexec_twin(int root, const char* source, const char* target) {
  // Opened anew from the root: a descriptor of the folder from before the mount would lead below it.
  int at = openat(root, source + 1, O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC);
  if (at < 0) fail("open tmpfs", "%s", source);
  int twin = (int)syscall(SYS_open_tree, at, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
  if (twin < 0) fail("clone tmpfs", "%s", source);
  struct mount_attr attributes = {.attr_set = MOUNT_ATTR_NOEXEC, .propagation = MS_PRIVATE};
  if (syscall(SYS_mount_setattr, twin, "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0) {
    fail("make tmpfs noexec", "%s", target);
  }
  attach(twin, root, target, true);
  close(at);
}

static void copy_loader(int source, int root) {
  // Opened anew from the root: a descriptor of the folder from before the mount would lead below it.
  int target = openat(root, "guest/x", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0555);
  if (target < 0) fail("copy loader", "/guest/x");
  char buffer[65536];
  ssize_t length;
  while ((length = read(source, buffer, sizeof buffer)) > 0) {
    if (write(target, buffer, (size_t)length) != length) fail("copy loader", "/guest/x");
  }
  if (length < 0) fail("copy loader", "%s", options.loader);
  // Readable, or the host would make its processes non-dumpable and their memory out of reach.
  if (fchmod(target, 0555) != 0) fail("copy loader", "/guest/x");
  close(target);
}

// Builds the new root in a private mount namespace and returns its descriptor.
static int build_root(int loader) {
  if (unshare(CLONE_NEWNS) != 0) fail("make mount namespace", "unshare");
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) fail("make mounts private", "/");

  static const struct pair kDevices[] = {{"/dev/null", "/dev/null"}, {"/dev/urandom", "/dev/urandom"}};
  enum { DEVICES = sizeof kDevices / sizeof *kDevices };
  static int trees[MAX_ITEMS + DEVICES];
  static mode_t modes[MAX_ITEMS + DEVICES];
  for (int i = 0; i < options.file_count; i++) trees[i] = clone_source(options.files[i].source, &modes[i]);
  for (int i = 0; i < DEVICES; i++) {
    trees[options.file_count + i] = clone_source(kDevices[i].source, &modes[options.file_count + i]);
  }

  if (mount("isopod", kBuildPlace, "tmpfs", MS_NOSUID | MS_NODEV, "size=16m,nr_inodes=4k,mode=0755") != 0) {
    fail("mount root", "%s", kBuildPlace);
  }
  int root = open(kBuildPlace, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) fail("open root", "%s", kBuildPlace);
  close(make_target(root, "/proc", true));
  for (int i = 0; i < DEVICES; i++) attach(trees[options.file_count + i], root, kDevices[i].target, false);
  mount_tmpfs(root, "/guest", 0, "size=8m,nr_inodes=16k", 0755, options.id_base);
  if (loader >= 0) {
    // Contents of guests' tmpfs: what bounds them is the guest kernel's count and the control group, as with memfds.
    mount_tmpfs(root, "/memory", 0, "size=0,nr_inodes=0", 0700, options.id_base);
    mount_noexec_twin(root, "/memory", "/memory-noexec");
  }
  for (int i = 0; i < options.file_count; i++) attach(trees[i], root, options.files[i].target, S_ISDIR(modes[i]));
  for (int i = 0; i < options.tmpfs_count; i++)
    mount_tmpfs(root, options.tmpfs[i], MS_NOEXEC, "size=8m,nr_inodes=4k", 0755, 0);
  if (loader >= 0) copy_loader(loader, root);
  return root;
}

// --- The sandbox process
// ----------------------------------------------------------------------------------------------------------

// What needs the new PID namespace, then the way into the new root. The mount namespace is the launcher's, too, which
// moves with it.
static void enter_root(int root) {
  if (sethostname(options.hostname, strlen(options.hostname)) != 0) fail("set host name", "%s", options.hostname);
  if (fchdir(root) != 0) fail("enter root", "%s", kBuildPlace);
  if (mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0) fail("mount proc", "/proc");
  // The old root lands on top of the new one, and is taken off again.
  if (syscall(SYS_pivot_root, ".", ".") != 0) fail("pivot root", "%s", kBuildPlace);
  if (umount2(".", MNT_DETACH) != 0) fail("detach old root", "/");
  if (chdir("/") != 0) fail("enter root", "/");
  if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) != 0) {
    fail("make root read-only", "/");
  }
}

// Before the user namespace: raising a hard limit takes CAP_SYS_RESOURCE of the host.
static void set_limits(void) {
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) fail("set limit", "nofile");
  files.rlim_cur = files.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &files) != 0) fail("set limit", "nofile");
  // Not 0: a core_pattern that pipes to a program of the host's runs that on any limit but 1, and no file is as small
  // as that.
  if (setrlimit(RLIMIT_CORE, &(struct rlimit){1, 1}) != 0) fail("set limit", "core");
  for (int i = 0; i < options.limit_count; i++) {
    const struct limit* limit = &options.limits[i];
    if (setrlimit((__rlimit_resource_t)limit->resource, &limit->value) != 0)
      fail("set limit", "resource %d", limit->resource);
  }
}

static bool is_same_file(const struct stat* left, const char* path) {
  struct stat right;
  return stat(path, &right) == 0 && left->st_dev == right.st_dev && left->st_ino == right.st_ino;
}

// Enters the network namespace of --netns. Never the host's, which is that of process 1 (not always readable) and the
// one the launcher was started in: a guest's sockets are this namespace's.
static void enter_network_namespace(void) {
  int netns = open(options.netns, O_RDONLY | O_CLOEXEC);
  struct stat status;
  if (netns < 0 || fstat(netns, &status) != 0) fail("open network namespace", "%s", options.netns);
  if (is_same_file(&status, "/proc/1/ns/net") || is_same_file(&status, "/proc/self/ns/net")) {
    errno = EPERM;
    fail("enter network namespace", "%s is the host's", options.netns);
  }
  if (setns(netns, CLONE_NEWNET) != 0) fail("enter network namespace", "%s", options.netns);
  close(netns);
}

// A setting of this process's network namespace. Where /proc/sys can't be written (a container around the launcher) the
// namespace's own setting holds.
static void set_network(const char* path, const char* text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 && (errno == EROFS || errno == ENOENT)) return;
  if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) fail("set up network", "%s", path);
  close(fd);
}

// Before the user namespace, as the network belongs to the one outside. The guest kernel decides by the guest's
// capabilities who may bind to which port and who may ping; the sandbox process has no power over its network.
static void set_up_network(void) {
  set_network("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
  set_network("/proc/sys/net/ipv4/ping_group_range", "0 2147483647");
  if (options.netns != NULL) return;
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("set up network", "socket");
  struct ifreq loopback = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
  if (ioctl(fd, SIOCSIFFLAGS, &loopback) != 0) fail("set up network", "lo");
  close(fd);
}

// Makes the user namespace; `maps_fd` and `go_fd` are how the launcher, who is still outside, is asked to write its id
// maps.
static void enter_user_namespace(int maps_fd, int go_fd) {
  if (unshare(CLONE_NEWUSER) != 0) fail("make user namespace", "unshare");
  char byte = 0;
  if (write(maps_fd, &byte, 1) != 1) fail("ask for id maps", "pipe");
  // The launcher's end means that nobody waits for this process: it must not go on.
  if (read(go_fd, &byte, 1) != 1) _exit(1);
  if (setgroups(0, NULL) != 0) fail("drop groups", "setgroups");
  if (setresgid(0, 0, 0) != 0) fail("become group 0", "setresgid");
  if (setresuid(0, 0, 0) != 0) fail("become user 0", "setresuid");
  // Else the session keyring of whoever started the launcher stays within reach. A kernel without keys has none.
  if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS) fail("leave keyring", "keyctl");
}

// User 0 gets what the bounding set allows at exec, and no_new_privs cuts that to what it had; so both sets are exactly
// the kept ones.
static void drop_capabilities(void) {
  for (unsigned capability = 0; capability <= 63; capability++) {
    if (capability < 32 && (options.capabilities & 1U << capability) != 0) continue;
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
    if (errno == EINVAL) break;  // the kernel's last one was before
    fail("drop bounding capability", "%u", capability);
  }
  if (prctl(PR_SET_SECUREBITS, SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED, 0, 0, 0) != 0) {
    fail("set securebits", "prctl");
  }
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2] = {{options.capabilities, options.capabilities, 0}, {0, 0, 0}};
  if (syscall(SYS_capset, &header, data) != 0) fail("set capabilities", "capset");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail("set no_new_privs", "prctl");
}

static int compare_targets(const void* left, const void* right) {
  return ((const struct fd_move*)left)->target - ((const struct fd_move*)right)->target;
}

// Moves the given descriptors to their numbers and marks all others but 0, 1, 2 to be closed at exec, failure_fd among
// them.
static void place_descriptors(void) {
  qsort(options.fds, (size_t)options.fd_count, sizeof *options.fds, compare_targets);
  int highest = options.fd_count == 0 ? 2 : options.fds[options.fd_count - 1].target;
  int floor = highest < 2 ? 3 : highest + 1;
  // First out of the way of every target: one's target may be another's source.
  failure_fd = fcntl(failure_fd, F_DUPFD_CLOEXEC, floor);
  if (failure_fd < 0) _exit(2);
  for (int i = 0; i < options.fd_count; i++) {
    struct fd_move* move = &options.fds[i];
    int source = fcntl(move->source, F_DUPFD_CLOEXEC, floor);
    if (source < 0) fail("take descriptor", "%d", move->source);
    move->source = source;
  }
  unsigned next = 3;
  for (int i = 0; i < options.fd_count; i++) {
    struct fd_move* move = &options.fds[i];
    if (dup2(move->source, move->target) < 0) fail("place descriptor", "%d", move->target);
    unsigned target = (unsigned)move->target;
    if (target > next && syscall(SYS_close_range, next, target - 1, CLOSE_RANGE_CLOEXEC) != 0)
      fail("close descriptors", "close_range");
    if (target >= next) next = target + 1;
  }
  if (syscall(SYS_close_range, next, ~0U, CLOSE_RANGE_CLOEXEC) != 0) fail("close descriptors", "close_range");
  for (int fd = 0; fd <= 2; fd++) {
    if (fcntl(fd, F_SETFD, 0) != 0) fail("keep descriptor", "%d", fd);
  }
}

static void reset_signals(void) {
  // The raw call: libc keeps two signals to itself, which are inherited like any other.
  static const unsigned long kDefault[4];
  static const unsigned long kNone = 0;
  for (int number = 1; number <= 64; number++) syscall(SYS_rt_sigaction, number, kDefault, NULL, 8);
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &kNone, NULL, 8);
}

__attribute__((noreturn)) static void run_sandbox_process(int root, int maps_fd, int go_fd) {
  set_up_network();
  enter_root(root);
  set_limits();
  if (setsid() < 0) fail("make session", "setsid");
  enter_user_namespace(maps_fd, go_fd);
  umask(022);
  place_descriptors();
  drop_capabilities();
  // After the ids and capabilities: a change of those forgets it.
  if (options.death_signal != 0 && prctl(PR_SET_PDEATHSIG, options.death_signal, 0, 0, 0) != 0) {
    fail("set death signal", "%d", options.death_signal);
  }
  reset_signals();
  execve(options.program[0], options.program, options.environment);
  fail("execute", "%s", options.program[0]);
}

// --- The launcher
// -----------------------------------------------------------------------------------------------------------------

static void write_file(const char* step, int folder, const char* path, const char* text) {
  int fd = openat(folder, path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) fail(step, "%s", path);
  ssize_t length = (ssize_t)strlen(text);
  if (write(fd, text, (size_t)length) != length) fail(step, "%s to %s", text, path);
  close(fd);
}

static void write_id_maps(int proc) {
  char path[64];
  char map[64];
  snprintf(map, sizeof map, "0 %lu %lu", options.id_base, options.id_count);
  snprintf(path, sizeof path, "%d/gid_map", child_pid);
  write_file("write id map", proc, path, map);
  snprintf(path, sizeof path, "%d/uid_map", child_pid);
  write_file("write id map", proc, path, map);
}

static int open_source(const char* step, const char* path, int flags) {
  int fd = open(path, flags | O_CLOEXEC);
  if (fd < 0) fail(step, "%s", path);
  return fd;
}

struct channel {
  int read_fd;
  int write_fd;
};

static struct channel make_channel(void) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) fail("make pipe", "pipe2");
  return (struct channel){fds[0], fds[1]};
}

int main(int argc, char** argv) {
  // Descriptors of the launcher must not become the program's 0, 1 or 2.
  for (int fd = 0; fd <= 2; fd++) {
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd) _exit(1);
  }
  signal(SIGPIPE, SIG_IGN);
  parse(argc, argv);

  int proc = open_source("open proc", "/proc", O_PATH | O_DIRECTORY);
  int loader = options.loader == NULL ? -1 : open_source("open loader", options.loader, O_RDONLY);
  if (options.netns != NULL) enter_network_namespace();
  for (int i = 0; i < options.cgroup_count; i++) write_file("join cgroup", AT_FDCWD, options.cgroups[i], "0");
  if (options.oom_score_adj != NULL) {
    write_file("set oom_score_adj", AT_FDCWD, "/proc/self/oom_score_adj", options.oom_score_adj);
  }
  int root = build_root(loader);

  struct channel maps = make_channel();
  struct channel go = make_channel();
  struct channel failure = make_channel();
  unsigned long flags = CLONE_PARENT | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
  if (options.netns == NULL) flags |= CLONE_NEWNET;
  child_pid = (pid_t)syscall(SYS_clone, flags, NULL, NULL, NULL, 0);
  if (child_pid < 0) fail("make sandbox process", "clone");
  if (child_pid == 0) {
    failure_fd = failure.write_fd;
    close(maps.read_fd);
    close(go.write_fd);
    run_sandbox_process(root, maps.write_fd, go.read_fd);
  }
  close(maps.write_fd);
  close(go.read_fd);
  close(failure.write_fd);

  char byte;
  if (read(maps.read_fd, &byte, 1) == 1) {
    write_id_maps(proc);
    // It may have died meanwhile; that shows below.
    if (write(go.write_fd, &byte, 1) != 1 && errno != EPIPE) fail("release sandbox process", "pipe");
  }
  // Closed without a word by the exec, and by a death from outside: the parent sees that one by itself.
  char text[PIPE_BUF + 1];
  ssize_t length = read(failure.read_fd, text, sizeof text - 1);
  if (length < 0) fail("wait for sandbox process", "pipe");
  if (length > 0) {
    text[length] = '\0';
    stop(text);
  }
  report_pid(child_pid);
  return 0;
}
