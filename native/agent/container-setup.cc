#include "container-setup.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "files.h"

namespace isopod::agent {

namespace {

// Where a container's root is put together, in its own mount namespace.
constexpr char kBuildPlace[] = "/container";
constexpr char kShare[] = "/share/";

// Flags of a mount that a bind mount takes in a second step.
constexpr unsigned long kBindFlags =
    MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME | MS_RELATIME;

struct DefaultDevice {
  const char* name;
  unsigned major;
  unsigned minor;
};
constexpr DefaultDevice kDevices[] = {{"null", 1, 3},   {"zero", 1, 5},    {"full", 1, 7},
                                      {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};

struct DefaultLink {
  const char* name;
  const char* target;
};
constexpr DefaultLink kLinks[] = {{"fd", "/proc/self/fd"},
                                  {"stdin", "/proc/self/fd/0"},
                                  {"stdout", "/proc/self/fd/1"},
                                  {"stderr", "/proc/self/fd/2"},
                                  {"ptmx", "pts/ptmx"}};

class Setup {
 public:
  explicit Setup(const Birth& birth) : birth_(birth) {}

  [[noreturn]] void Fail(const std::string& what) const {
    SendReport(birth_.report_fd, Report::kError, what);
    _exit(1);
  }
  [[noreturn]] void FailErrno(const std::string& what) const { Fail(what + ": " + strerror(errno)); }

  void BuildRoot(const CreateContainer& spec) {
    if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) FailErrno("make mounts private");
    const std::string source = kShare + spec.root;
    if (mount(source.c_str(), kBuildPlace, nullptr, MS_BIND | MS_REC, nullptr) != 0) FailErrno("mount the root");
    Descriptor root(open(kBuildPlace, O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!root.is_open()) FailErrno("open the root");
    for (const Mount& item : spec.mounts) AddMount(root.get(), item);
    MakeDevices(root.get(), spec);
    for (const std::string& path : spec.readonly_paths) MakeReadonly(root.get(), path);
    for (const std::string& path : spec.masked_paths) Mask(root.get(), path);
    if (fchdir(root.get()) != 0) FailErrno("enter the root");
    // The old root lands on top of the new one, and is taken off again.
    if (syscall(SYS_pivot_root, ".", ".") != 0) FailErrno("pivot root");
    if (umount2(".", MNT_DETACH) != 0) FailErrno("detach the old root");
    if (chdir("/") != 0) FailErrno("enter the root");
    if (spec.is_root_readonly && mount(nullptr, "/", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) != 0)
      FailErrno("make the root read-only");
    Propagate("/", spec.root_propagation);
  }

  // A session of its own and its standard streams; with a terminal its master goes to the agent.
  void TakeStreams(const Program& program, bool is_first) {
    if (setsid() < 0) FailErrno("make session");
    if (program.has_terminal) {
      OpenTerminal(program, is_first);
      return;
    }
    for (int i = 0; i < 3; i++) {
      const Descriptor null(birth_.streams[i] < 0 ? open("/dev/null", O_RDWR | O_CLOEXEC) : -1);
      const int source = birth_.streams[i] < 0 ? null.get() : birth_.streams[i];
      // A container without /dev/null leaves it closed.
      if (source >= 0 && dup2(source, i) < 0) FailErrno("place stream");
    }
  }

  // Ids, capabilities and limits of the program; then it waits for the word, and the program runs.
  [[noreturn]] void Execute(const Program& program) {
    // Found with the power of root and before the ids change, as the specification wants it: an error belongs to the
    // making.
    for (const ResourceLimit& limit : program.resource_limits) {
      const rlimit value = {limit.soft, limit.hard};
      if (setrlimit(static_cast<__rlimit_resource_t>(limit.resource), &value) != 0)
        FailErrno("process.rlimits: set limit " + std::to_string(limit.resource));
    }
    if (program.has_oom_score) {
      const int error = WriteFile("/proc/self/oom_score_adj", std::to_string(program.oom_score));
      // Without /proc there is nowhere to say it.
      if (error != 0 && error != ENOENT) Fail(std::string("process.oomScoreAdj: ") + strerror(error));
    }
    MakeFolder(program.cwd);
    // Without no_new_privs it takes a capability that the program may not have.
    if (!program.no_new_privileges) InstallFilter(program);
    BecomeUser(program);
    umask(program.umask);
    if (chdir(program.cwd.c_str()) != 0) Fail("process.cwd: \"" + program.cwd + "\": " + strerror(errno));
    const std::vector<std::string> variables = WithHome(program);
    std::vector<char*> environment = Pointers(variables);
    const std::string file = FindProgram(program);
    std::vector<char*> arguments = Pointers(program.arguments);
    if (SendReport(birth_.report_fd, Report::kReady, "") != 0) _exit(1);
    char word;
    // The agent's end closed: the container was removed before its start.
    if (read(birth_.report_fd, &word, 1) != 1) _exit(1);
    // The agent ignores it.
    signal(SIGPIPE, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    if (program.no_new_privileges) InstallFilter(program);
    execve(file.c_str(), arguments.data(), environment.data());
    Fail("exec: \"" + program.arguments[0] + "\": " + strerror(errno));
  }

 private:
  void AddMount(int root, const Mount& item) {
    const std::string name = "mount " + item.destination;
    if (item.type != "bind") {
      const Descriptor at = OpenBelow(root, item.destination, Kind::kFolder);
      if (!at.is_open()) FailErrno(name);
      if (mount(item.type.c_str(), PathOf(at).c_str(), item.type.c_str(), item.flags, item.data.c_str()) != 0)
        FailErrno(name);
      const Descriptor mounted = FindBelow(root, item.destination);
      for (const uint32_t change : item.propagation) Propagate(PathOf(mounted), change);
      return;
    }
    const std::string source = kShare + item.source;
    struct stat status;
    if (stat(source.c_str(), &status) != 0) FailErrno(name);
    const Descriptor at = OpenBelow(root, item.destination, S_ISDIR(status.st_mode) ? Kind::kFolder : Kind::kFile);
    if (!at.is_open()) FailErrno(name);
    if (mount(source.c_str(), PathOf(at).c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0) FailErrno(name);
    // The descriptor is below the new mount now.
    const Descriptor mounted = FindBelow(root, item.destination);
    if (!mounted.is_open()) FailErrno(name);
    if (mount(nullptr, PathOf(mounted).c_str(), nullptr, MS_REMOUNT | MS_BIND | (item.flags & kBindFlags), nullptr) !=
        0)
      FailErrno(name);
    for (const uint32_t change : item.propagation) Propagate(PathOf(mounted), change);
  }

  // `change`: MS_SHARED or another of mount_namespaces(7)'s, perhaps with MS_REC; 0 for none.
  void Propagate(const std::string& path, uint32_t change) const {
    if (change != 0 && mount(nullptr, path.c_str(), nullptr, change, nullptr) != 0) FailErrno("propagation of " + path);
  }

  // Where /dev is a folder of the share, or read-only, nodes may not be makeable: what is there stays.
  void MakeDevices(int root, const CreateContainer& spec) {
    const Descriptor dev = FindBelow(root, "/dev");
    if (!dev.is_open()) return;
    umask(0);
    for (const DefaultDevice& device : kDevices)
      mknodat(dev.get(), device.name, S_IFCHR | 0666, makedev(device.major, device.minor));
    for (const DefaultLink& link : kLinks) symlinkat(link.target, dev.get(), link.name);
    for (const Device& device : spec.devices) {
      const size_t slash = device.path.find_last_of('/');
      const Descriptor folder = OpenBelow(root, device.path.substr(0, slash), Kind::kFolder);
      const std::string name = device.path.substr(slash + 1);
      if (!folder.is_open()) FailErrno("make device " + device.path);
      unlinkat(folder.get(), name.c_str(), 0);
      if (mknodat(folder.get(), name.c_str(), S_IFCHR | (device.mode & 07777), makedev(device.major, device.minor)) !=
              0 ||
          fchownat(folder.get(), name.c_str(), device.uid, device.gid, AT_SYMLINK_NOFOLLOW) != 0)
        FailErrno("make device " + device.path);
    }
    if (spec.program.has_terminal) OpenBelow(root, "/dev/console", Kind::kFile);
    umask(022);
  }

  void MakeReadonly(int root, const std::string& path) {
    const Descriptor at = FindBelow(root, path);
    if (!at.is_open()) return;
    if (mount(PathOf(at).c_str(), PathOf(at).c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0)
      FailErrno("make read-only " + path);
    const Descriptor mounted = FindBelow(root, path);
    const unsigned long flags = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
    if (!mounted.is_open() || mount(nullptr, PathOf(mounted).c_str(), nullptr, flags, nullptr) != 0)
      FailErrno("make read-only " + path);
  }

  void Mask(int root, const std::string& path) {
    const Descriptor at = FindBelow(root, path);
    struct stat status;
    if (!at.is_open() || fstat(at.get(), &status) != 0) return;
    const bool is_folder = S_ISDIR(status.st_mode);
    const int result = is_folder ? mount("tmpfs", PathOf(at).c_str(), "tmpfs", MS_RDONLY, "size=0,nr_inodes=2")
                                 : mount("/dev/null", PathOf(at).c_str(), nullptr, MS_BIND, nullptr);
    if (result != 0) FailErrno("mask " + path);
  }

  void OpenTerminal(const Program& program, bool is_first) {
    const Descriptor master(open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC));
    int unlocked = 0;
    if (!master.is_open() || ioctl(master.get(), TIOCSPTLCK, &unlocked) != 0)
      FailErrno("open a terminal at /dev/pts/ptmx");
    const Descriptor slave(ioctl(master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (!slave.is_open()) FailErrno("open a terminal");
    winsize size = {};
    size.ws_row = static_cast<unsigned short>(program.rows);
    size.ws_col = static_cast<unsigned short>(program.columns);
    if (ioctl(master.get(), TIOCSWINSZ, &size) != 0) FailErrno("size the terminal");
    if (fchown(slave.get(), program.uid, static_cast<gid_t>(-1)) != 0) FailErrno("give the terminal to the user");
    if (is_first) {
      char name[64];
      int number;
      if (ioctl(master.get(), TIOCGPTN, &number) != 0) FailErrno("name the terminal");
      snprintf(name, sizeof name, "/dev/pts/%d", number);
      if (mount(name, "/dev/console", nullptr, MS_BIND, nullptr) != 0 && errno != ENOENT)
        FailErrno("mount /dev/console");
    }
    if (SendReport(birth_.report_fd, Report::kTerminal, "", master.get()) != 0) _exit(1);
    if (ioctl(slave.get(), TIOCSCTTY, 0) != 0) FailErrno("take the terminal");
    for (int i = 0; i < 3; i++)
      if (dup2(slave.get(), i) < 0) FailErrno("place stream");
  }

  void BecomeUser(const Program& program) {
    for (unsigned capability = 0; capability <= 63; capability++) {
      if ((program.bounding >> capability & 1) != 0) continue;
      if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
      if (errno == EINVAL) break;  // the kernel's last one was before
      FailErrno("drop capability " + std::to_string(capability));
    }
    if (setgroups(program.groups.size(), program.groups.data()) != 0) FailErrno("set groups");
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) FailErrno("keep capabilities");
    if (setresgid(program.gid, program.gid, program.gid) != 0) FailErrno("set group");
    if (setresuid(program.uid, program.uid, program.uid) != 0) FailErrno("set user");
    __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2];
    for (int i = 0; i < 2; i++) {
      data[i] = {static_cast<uint32_t>(program.effective >> (32 * i)),
                 static_cast<uint32_t>(program.permitted >> (32 * i)),
                 static_cast<uint32_t>(program.inheritable >> (32 * i))};
    }
    if (syscall(SYS_capset, &header, data) != 0) FailErrno("set capabilities");
    for (unsigned capability = 0; capability <= 63; capability++) {
      // One that the other sets don't allow is left out, as runc does.
      if ((program.ambient >> capability & 1) != 0) prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0);
    }
    if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) != 0) FailErrno("keep capabilities");
    if (program.no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) FailErrno("set no_new_privs");
  }

  // A working folder that is missing is made, as runc does; where it can't be, entering it tells why.
  static void MakeFolder(const std::string& path) {
    for (size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1))
      mkdir(path.substr(0, at).c_str(), 0755);
    mkdir(path.c_str(), 0755);
  }

  void InstallFilter(const Program& program) const {
    if (program.filter.empty()) return;
    std::vector<sock_filter> instructions(program.filter.size() / sizeof(sock_filter));
    memcpy(instructions.data(), program.filter.data(), instructions.size() * sizeof(sock_filter));
    const sock_fprog whole = {static_cast<unsigned short>(instructions.size()), instructions.data()};
    if (instructions.size() > BPF_MAXINSNS || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &whole) != 0)
      FailErrno("linux.seccomp: install the filter");
  }

  // Where the program's file is, with runc's words for where it isn't.
  std::string FindProgram(const Program& program) const {
    const std::string& name = program.arguments[0];
    const std::string prefix = "exec: \"" + name + "\": ";
    if (name.find('/') != std::string::npos) {
      struct stat status;
      if (stat(name.c_str(), &status) != 0) Fail(prefix + "stat " + name + ": " + Lower(strerror(errno)));
      if (S_ISDIR(status.st_mode) || access(name.c_str(), X_OK) != 0) Fail(prefix + "permission denied");
      return name;
    }
    std::string path;
    for (const std::string& variable : program.environment)
      if (variable.starts_with("PATH=")) path = variable.substr(5);
    for (size_t at = 0; at <= path.size();) {
      const size_t end = std::min(path.find(':', at), path.size());
      const std::string folder = path.substr(at, end - at);
      const std::string file = (folder.empty() ? "." : folder) + "/" + name;
      struct stat status;
      if (stat(file.c_str(), &status) == 0 && S_ISREG(status.st_mode) && access(file.c_str(), X_OK) == 0) return file;
      at = end + 1;
    }
    Fail(prefix + "executable file not found in $PATH");
  }

  // The environment, with a HOME in it: its user's of passwd(5), "/" when that has none, as runc does.
  static std::vector<std::string> WithHome(const Program& program) {
    std::vector<std::string> variables = program.environment;
    for (const std::string& variable : variables)
      if (variable.starts_with("HOME=")) return variables;
    constexpr int kUserField = 2;
    constexpr int kHomeField = 5;
    std::string home;
    const std::string list = ReadFile("/etc/passwd");
    for (size_t at = 0; at < list.size();) {
      const size_t end = std::min(list.find('\n', at), list.size());
      std::vector<std::string> fields(1);
      for (size_t i = at; i < end; i++) {
        if (list[i] == ':')
          fields.emplace_back();
        else
          fields.back() += list[i];
      }
      at = end + 1;
      if (fields.size() <= kHomeField || fields[kUserField] != std::to_string(program.uid)) continue;
      home = fields[kHomeField];
      break;
    }
    variables.push_back("HOME=" + (home.empty() ? "/" : home));
    return variables;
  }

  static std::string Lower(std::string text) {
    if (!text.empty() && text[0] >= 'A' && text[0] <= 'Z') text[0] = static_cast<char>(text[0] - 'A' + 'a');
    return text;
  }

  static std::vector<char*> Pointers(const std::vector<std::string>& list) {
    std::vector<char*> pointers;
    for (const std::string& text : list) pointers.push_back(const_cast<char*>(text.c_str()));
    pointers.push_back(nullptr);
    return pointers;
  }

  Birth birth_;
};

}  // namespace

int SendReport(int fd, Report kind, const std::string& text, int attached_fd) {
  std::string body(1, static_cast<char>(kind));
  body += text;
  iovec part = {body.data(), body.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (attached_fd >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &attached_fd, sizeof attached_fd);
  }
  return sendmsg(fd, &message, MSG_NOSIGNAL) < 0 ? errno : 0;
}

// A PID namespace that was joined takes children alone; that of this helper is the agent's to wait for.
static void ContinueAsChild(const Setup& setup, const Birth& birth) {
  const pid_t pid = static_cast<pid_t>(syscall(SYS_clone, CLONE_PARENT | SIGCHLD, nullptr, nullptr, nullptr, 0));
  if (pid < 0) setup.FailErrno("make process");
  if (pid == 0) return;
  SendReport(birth.report_fd, Report::kPid, std::to_string(pid));
  _exit(0);
}

void RunContainer(const CreateContainer& spec, int pids_fd, int names_fd, const Birth& birth) {
  Setup setup(birth);
  if (names_fd >= 0 && setns(names_fd, CLONE_NEWUTS) != 0) setup.FailErrno("join the UTS namespace");
  if (pids_fd >= 0) {
    if (setns(pids_fd, CLONE_NEWPID) != 0) setup.FailErrno("join the PID namespace");
    ContinueAsChild(setup, birth);
  }
  if (unshare(CLONE_NEWCGROUP) != 0) setup.FailErrno("make cgroup namespace");
  if (names_fd < 0) {
    if (sethostname(spec.hostname.data(), spec.hostname.size()) != 0) setup.FailErrno("set host name");
    if (setdomainname(spec.domainname.data(), spec.domainname.size()) != 0) setup.FailErrno("set domain name");
  }
  setup.BuildRoot(spec);
  setup.TakeStreams(spec.program, true);
  setup.Execute(spec.program);
}

void RunExec(const Program& program, int pidfd, const Birth& birth) {
  Setup setup(birth);
  if (setns(pidfd, CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWCGROUP) != 0)
    setup.FailErrno("join the container");
  if (chdir("/") != 0) setup.FailErrno("enter the root");
  ContinueAsChild(setup, birth);
  setup.TakeStreams(program, false);
  setup.Execute(program);
}

}  // namespace isopod::agent
