#include "agent.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "container-setup.h"
#include "device-filter.h"
#include "files.h"
#include "machine.h"

namespace isopod::agent {

namespace {

constexpr char kCgroups[] = "/sys/fs/cgroup/";
constexpr size_t kChunkBytes = 64 << 10;
constexpr size_t kMaximumPrograms = 8192;
constexpr size_t kReportBytes = 4096;
constexpr uint32_t kStdin = 0;
constexpr uint32_t kMaximumSignal = 64;
// Of a control group to be gone after its last process was killed.
constexpr int kRemoveTries = 2000;
constexpr useconds_t kRemovePauseUs = 1000;

std::string Failure(const std::string& what) { return what + ": " + strerror(errno); }

// A name that can be a folder's.
bool IsName(const std::string& name) {
  return !name.empty() && name.size() < 256 && name[0] != '.' && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

// A new child: in new namespaces (`namespaces`: CLONE_NEW* bits) and in a control group. 0 in the child, -1 with errno
// set.
pid_t Fork(uint64_t namespaces, int cgroup_fd, int* pidfd) {
  clone_args args = {};
  args.flags = namespaces | CLONE_INTO_CGROUP | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<uint64_t>(pidfd);
  args.exit_signal = SIGCHLD;
  args.cgroup = static_cast<uint64_t>(cgroup_fd);
  return static_cast<pid_t>(syscall(SYS_clone3, &args, sizeof args));
}

}  // namespace

Agent::Agent(Descriptor port) : channel_(std::move(port)) {}

void Agent::Run() {
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGCHLD);
  sigprocmask(SIG_BLOCK, &mask, nullptr);
  signal(SIGPIPE, SIG_IGN);
  const Descriptor children(signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
  loop_.Watch(children.get(), EPOLLIN, [&](uint32_t) {
    signalfd_siginfo info;
    while (read(children.get(), &info, sizeof info) > 0) {
    }
    ReapProcesses();
  });
  SendHello(0);
  UpdatePortWatch();
  while (is_usable_ && !is_power_off_) {
    loop_.Run();
    ForgetEndedExecs();
    if (channel_.has_pending() != is_waiting_for_room_) UpdatePortWatch();
  }
}

void Agent::UpdatePortWatch() {
  loop_.Unwatch(&port_watch_);
  is_waiting_for_room_ = channel_.has_pending();
  const uint32_t events = EPOLLIN | (is_waiting_for_room_ ? static_cast<uint32_t>(EPOLLOUT) : 0);
  port_watch_ = loop_.Watch(channel_.fd(), events, [this](uint32_t ready) {
    if ((ready & EPOLLOUT) != 0) channel_.Flush();
    // Nobody is there: the one who takes over (after a restart from a template) comes without a sign.
    if ((ready & EPOLLHUP) != 0 && (ready & EPOLLIN) == 0) usleep(1000);
    // With a port that is gone for good, reading fails.
    if ((ready & (EPOLLIN | EPOLLHUP)) != 0)
      is_usable_ = channel_.Receive([this](std::string_view bytes) { return Receive(bytes); });
  });
}

void Agent::SendHello(uint32_t id) {
  utsname name = {};
  uname(&name);
  channel_.Send(Writer().Number(1, id).Message(3, Writer().Number(1, kVersion).Bytes(2, name.release)));
}

void Agent::Answer(uint32_t id, const std::string& error) { channel_.Send(Writer().Number(1, id).Bytes(2, error)); }

bool Agent::Receive(std::string_view bytes) {
  Request request;
  if (!Decode(bytes, &request)) return false;
  if (request.data) {
    TakeData(*request.data);
    return true;
  }
  if (request.credit) {
    TakeCredit(*request.credit);
    return true;
  }
  const uint32_t id = request.id;
  std::string error;
  if (request.configure) {
    error = ConfigureMachine(*request.configure);
    if (error.empty())
      SendHello(id);
    else
      Answer(id, error);
    return true;
  }
  // These are answered when the new process reports, unless they fail before there is one.
  if (request.create || request.exec || request.start) {
    if (request.create) error = Create(*request.create, id);
    if (request.exec) error = ExecIn(*request.exec, id);
    if (request.start) error = StartIn(*request.start, id);
    if (!error.empty()) Answer(id, error);
    return true;
  }
  Writer answer;
  answer.Number(1, id);
  if (request.signal) {
    error = SendSignal(*request.signal);
  } else if (request.resize) {
    error = SizeTerminal(*request.resize);
  } else if (request.processes) {
    error = ListIn(*request.processes, &answer);
  } else if (request.remove) {
    error = RemoveIt(*request.remove);
  } else if (request.freeze) {
    error = SetFrozen(*request.freeze);
  } else if (request.limits) {
    error = SetLimits(*request.limits);
  } else if (request.statistics) {
    error = Measure(*request.statistics, &answer);
  } else if (request.share_files) {
    error = ShareFiles(*request.share_files);
  } else if (request.settle) {
    error = SettleMemory();
  } else if (request.power_off) {
    is_power_off_ = true;
  } else {
    error = "a call that this agent does not know";
  }
  answer.Bytes(2, error);
  channel_.Send(answer);
  return true;
}

RunningProgram* Agent::FindProgram(uint32_t number) {
  const auto found = programs_.find(number);
  return found == programs_.end() ? nullptr : found->second.get();
}

Container* Agent::FindContainer(const std::string& id) {
  const auto found = containers_.find(id);
  return found == containers_.end() ? nullptr : found->second.get();
}

std::string Agent::ShareFiles(const std::string& tag) {
  const auto attach = [&] { return mount(tag.c_str(), "/share", "virtiofs", MS_NODEV, nullptr) == 0; };
  if (attach()) return "";
  // A clone's device was plugged in after its boot, without a sign.
  WriteFile("/sys/bus/pci/rescan", "1");
  return attach() ? "" : Failure("mount the share");
}

bool Agent::MakeStreams(const Program& spec, RunningProgram* program, Descriptor children[3],
                        Descriptor* child_report) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return false;
  program->report = Descriptor(pair[0]);
  *child_report = Descriptor(pair[1]);
  program->number = spec.number;
  program->has_terminal = spec.has_terminal;
  for (Output& output : program->outputs) output.credit = kInitialCredit;
  if (spec.has_terminal) return true;
  const bool wanted[3] = {spec.has_stdin, spec.has_stdout, spec.has_stderr};
  for (int i = 0; i < 3; i++) {
    if (!wanted[i]) continue;
    if (pipe2(pair, O_CLOEXEC) != 0) return false;
    const int ours = i == 0 ? 1 : 0;
    children[i] = Descriptor(pair[1 - ours]);
    Descriptor& to = i == 0 ? program->input.file : program->outputs[i - 1].file;
    to = Descriptor(pair[ours]);
    if (fcntl(to.get(), F_SETFL, O_NONBLOCK) != 0) return false;
    // The user may open it anew, by its name in /proc.
    if (fchown(children[i].get(), spec.uid, spec.gid) != 0) return false;
  }
  return true;
}

std::string Agent::Create(const CreateContainer& spec, uint32_t id) {
  if (!IsName(spec.container_id)) return "a container id that can be no folder's name";
  if (FindContainer(spec.container_id) != nullptr) return "there is a container with this id";
  if (spec.program.arguments.empty()) return "process args cannot be empty";
  const Container* pids = spec.pid_container_id.empty() ? nullptr : FindContainer(spec.pid_container_id);
  if (pids == nullptr && !spec.pid_container_id.empty())
    return "the container whose PID namespace it joins does not exist";
  const Container* names = spec.uts_container_id.empty() ? nullptr : FindContainer(spec.uts_container_id);
  if (names == nullptr && !spec.uts_container_id.empty())
    return "the container whose UTS namespace it joins does not exist";
  if (FindProgram(spec.program.number) != nullptr || programs_.size() >= kMaximumPrograms)
    return "no such program can be made";
  const std::string group = kCgroups + spec.container_id;
  if (mkdir(group.c_str(), 0755) != 0) return Failure("make the control group");
  auto container = std::make_unique<Container>();
  container->id = spec.container_id;
  container->number = spec.program.number;
  container->cgroup = Descriptor(open(group.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  Container* made = container.get();
  containers_[spec.container_id] = std::move(container);
  const auto undo = [&](const std::string& error) {
    containers_.erase(spec.container_id);
    rmdir(group.c_str());
    return error;
  };
  Limits limits = spec.limits;
  limits.container_id = spec.container_id;
  if (const std::string error = SetLimits(limits); !error.empty()) return undo(error);
  if (const int error = AttachDeviceFilter(made->cgroup.get(), spec.devices); error != 0)
    return undo(std::string("filter devices: ") + strerror(error));

  auto program = std::make_unique<RunningProgram>();
  program->container_id = spec.container_id;
  Descriptor children[3];
  Descriptor child_report;
  if (!MakeStreams(spec.program, program.get(), children, &child_report)) return undo(Failure("make streams"));
  int pidfd = -1;
  const int own = (pids == nullptr ? CLONE_NEWPID : 0) | (names == nullptr ? CLONE_NEWUTS : 0);
  const pid_t pid = Fork(CLONE_NEWNS | own, made->cgroup.get(), &pidfd);
  if (pid < 0) return undo(Failure("make process"));
  if (pid == 0) {
    RunContainer(spec, pids == nullptr ? -1 : pids->pidfd.get(), names == nullptr ? -1 : names->pidfd.get(),
                 {child_report.get(), {children[0].get(), children[1].get(), children[2].get()}});
  }
  made->pidfd = Descriptor(pidfd);
  made->memory_events = Descriptor(open((group + "/memory.events").c_str(), O_RDONLY | O_CLOEXEC));
  if (made->memory_events.is_open()) {
    made->memory_watch =
        loop_.Watch(made->memory_events.get(), EPOLLPRI,
                    [this, container_id = spec.container_id](uint32_t) { OnMemoryEvent(container_id); });
  }
  // With another's PID namespace it is a helper, whose child is the program.
  (pids == nullptr ? program->pid : program->helper_pid) = pid;
  program->waiting_call = id;
  const uint32_t number = spec.program.number;
  program->report_watch = loop_.Watch(program->report.get(), EPOLLIN, [this, number](uint32_t) { OnReport(number); });
  programs_[number] = std::move(program);
  return "";
}

std::string Agent::ExecIn(const Exec& spec, uint32_t id) {
  const Container* container = FindContainer(spec.container_id);
  if (container == nullptr) return "container does not exist";
  const RunningProgram* first = FindProgram(container->number);
  if (first == nullptr || first->has_ended) return "cannot exec in a stopped container";
  if (spec.program.arguments.empty()) return "process args cannot be empty";
  if (FindProgram(spec.program.number) != nullptr || programs_.size() >= kMaximumPrograms)
    return "no such program can be made";
  auto program = std::make_unique<RunningProgram>();
  program->container_id = spec.container_id;
  Descriptor children[3];
  Descriptor child_report;
  if (!MakeStreams(spec.program, program.get(), children, &child_report)) return Failure("make streams");
  int pidfd = -1;
  const pid_t pid = Fork(0, container->cgroup.get(), &pidfd);
  if (pid < 0) return Failure("make process");
  if (pid == 0) {
    RunExec(spec.program, container->pidfd.get(),
            {child_report.get(), {children[0].get(), children[1].get(), children[2].get()}});
  }
  close(pidfd);
  program->helper_pid = pid;
  program->is_exec = true;
  program->waiting_call = id;
  const uint32_t number = spec.program.number;
  program->report_watch = loop_.Watch(program->report.get(), EPOLLIN, [this, number](uint32_t) { OnReport(number); });
  programs_[number] = std::move(program);
  return "";
}

std::string Agent::StartIn(const std::string& container_id, uint32_t id) {
  const Container* container = FindContainer(container_id);
  RunningProgram* program = container == nullptr ? nullptr : FindProgram(container->number);
  if (program == nullptr) return "container does not exist";
  if (!program->is_ready || program->is_started || program->waiting_call != 0)
    return program->has_ended ? "cannot start a container that has stopped"
                              : "cannot start an already running container";
  const char word = 1;
  program->waiting_call = id;
  if (send(program->report.get(), &word, 1, MSG_NOSIGNAL) != 1) {
    program->waiting_call = 0;
    return Failure("start the program");
  }
  return "";
}

void Agent::OnReport(uint32_t number) {
  RunningProgram* program = FindProgram(number);
  if (program == nullptr) return;
  char text[kReportBytes];
  iovec part = {text, sizeof text};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t length = recvmsg(program->report.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (length < 0) return;
  if (length == 0) {
    // Executed (the descriptor is close-on-exec), or dead before that.
    loop_.Unwatch(&program->report_watch);
    program->report = Descriptor();
    if (!program->is_ready) return FailBirth(number, "the new process ended early");
    program->is_started = true;
    if (program->waiting_call != 0) {
      channel_.Send(Writer().Number(1, program->waiting_call).Number(10, static_cast<uint32_t>(program->pid)));
      program->waiting_call = 0;
    }
    if (program->has_ended) TellEnd(program);
    return;
  }
  const std::string body(text + 1, static_cast<size_t>(length) - 1);
  switch (static_cast<Report>(text[0])) {
    case Report::kTerminal: {
      const cmsghdr* header = CMSG_FIRSTHDR(&message);
      int fd = -1;
      if (header != nullptr && header->cmsg_type == SCM_RIGHTS) memcpy(&fd, CMSG_DATA(header), sizeof fd);
      program->terminal = Descriptor(fd);
      fcntl(fd, F_SETFL, O_NONBLOCK);
      program->outputs[0].file = Descriptor(fcntl(fd, F_DUPFD_CLOEXEC, 3));
      program->input.file = Descriptor(fcntl(fd, F_DUPFD_CLOEXEC, 3));
      return;
    }
    case Report::kPid: {
      program->pid = static_cast<pid_t>(strtol(body.c_str(), nullptr, 10));
      Container* container = FindContainer(program->container_id);
      if (container != nullptr && container->number == number)
        container->pidfd = Descriptor(static_cast<int>(syscall(SYS_pidfd_open, program->pid, 0)));
      return;
    }
    case Report::kReady: {
      program->is_ready = true;
      for (int i = 0; i < 2; i++) ArmOutput(program, i);
      WriteInput(number);
      // An exec goes on by itself.
      if (program->is_exec) {
        const char word = 1;
        if (send(program->report.get(), &word, 1, MSG_NOSIGNAL) != 1) FailBirth(number, "the new process ended early");
        return;
      }
      channel_.Send(Writer().Number(1, program->waiting_call).Number(10, static_cast<uint32_t>(program->pid)));
      program->waiting_call = 0;
      return;
    }
    case Report::kError:
      return FailBirth(number, body);
  }
}

void Agent::FailBirth(uint32_t number, const std::string& error) {
  RunningProgram* program = FindProgram(number);
  if (program->waiting_call != 0) Answer(program->waiting_call, error);
  program->waiting_call = 0;
  loop_.Unwatch(&program->report_watch);
  if (program->pid > 0 && !program->has_ended) kill(program->pid, SIGKILL);
  loop_.Unwatch(&program->input.watch);
  for (Output& output : program->outputs) loop_.Unwatch(&output.watch);
  // A container stays until it is removed; of an exec nothing is left.
  program->report = Descriptor();
  program->is_exit_sent = true;
  program->is_started = true;
  if (program->is_exec) programs_.erase(number);
}

void Agent::ArmOutput(RunningProgram* program, int index) {
  Output& output = program->outputs[index];
  if (!output.file.is_open() || output.watch != 0 || output.credit == 0) return;
  output.watch = loop_.Watch(output.file.get(), EPOLLIN,
                             [this, number = program->number, index](uint32_t) { OnOutput(number, index); });
}

void Agent::OnOutput(uint32_t number, int index) {
  RunningProgram* program = FindProgram(number);
  if (program == nullptr) return;
  Output& output = program->outputs[index];
  static char buffer[kChunkBytes];
  const ssize_t length = read(output.file.get(), buffer, std::min<size_t>(sizeof buffer, output.credit));
  if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
  // EIO: nobody has the terminal open any more.
  if (length <= 0) {
    EndOutput(program, index);
    if (program->has_ended) TellEnd(program);
    return;
  }
  const auto bytes = static_cast<size_t>(length);
  output.credit -= static_cast<uint32_t>(bytes);
  output.left -= std::min(output.left, bytes);
  channel_.Send(Writer().Message(5, Writer()
                                        .Number(1, number)
                                        .Number(2, static_cast<uint32_t>(index) + 1)
                                        .Bytes(3, std::string_view(buffer, bytes))));
  if (output.credit == 0) loop_.Unwatch(&output.watch);
  if (program->has_ended) TellEnd(program);
}

void Agent::EndOutput(RunningProgram* program, int index) {
  Output& output = program->outputs[index];
  loop_.Unwatch(&output.watch);
  output.file = Descriptor();
  output.left = 0;
  channel_.Send(Writer().Message(
      5, Writer().Number(1, program->number).Number(2, static_cast<uint32_t>(index) + 1).Number(4, 1)));
}

void Agent::TakeCredit(const Credit& credit) {
  RunningProgram* program = FindProgram(credit.number);
  if (program == nullptr || credit.stream == kStdin || credit.stream > 2) return;
  Output& output = program->outputs[credit.stream - 1];
  output.credit =
      static_cast<uint32_t>(std::min<uint64_t>(static_cast<uint64_t>(output.credit) + credit.bytes, kInitialCredit));
  if (program->is_ready) ArmOutput(program, static_cast<int>(credit.stream) - 1);
}

void Agent::TakeData(const Data& data) {
  RunningProgram* program = FindProgram(data.number);
  if (program == nullptr || data.stream > 2) return;
  if (data.stream != kStdin) {
    // Whoever writes there gets SIGPIPE from now on; a terminal stays.
    const int index = static_cast<int>(data.stream) - 1;
    if (!data.is_end || program->has_terminal || !program->outputs[index].file.is_open()) return;
    EndOutput(program, index);
    if (program->has_ended) TellEnd(program);
    return;
  }
  Input& input = program->input;
  // More than the credit that was given: whoever sends that gets no more in.
  if (input.pending.size() + data.bytes.size() > kInitialCredit) return;
  input.pending += data.bytes;
  input.is_ended |= data.is_end;
  if (program->is_ready) WriteInput(data.number);
}

void Agent::WriteInput(uint32_t number) {
  RunningProgram* program = FindProgram(number);
  if (program == nullptr) return;
  Input& input = program->input;
  size_t at = 0;
  bool is_full = false;
  while (at < input.pending.size()) {
    const ssize_t written =
        input.file.is_open() ? write(input.file.get(), input.pending.data() + at, input.pending.size() - at) : -1;
    if (written > 0) {
      at += static_cast<size_t>(written);
      continue;
    }
    is_full = input.file.is_open() && errno == EAGAIN;
    // Nobody reads it any more: it is taken, and goes nowhere.
    if (!is_full) at = input.pending.size();
    break;
  }
  input.pending.erase(0, at);
  if (at > 0) channel_.Send(Writer().Message(6, Writer().Number(1, number).Number(3, at)));
  if (is_full && input.watch == 0) {
    input.watch = loop_.Watch(input.file.get(), EPOLLOUT, [this, number](uint32_t) { WriteInput(number); });
  }
  if (is_full) return;
  loop_.Unwatch(&input.watch);
  if (!input.is_ended) return;
  input.file = Descriptor();
  if (!program->has_terminal) return;
  // The host's end of the terminal is gone: with ours its users get SIGHUP.
  if (program->outputs[0].file.is_open()) EndOutput(program, 0);
  program->terminal = Descriptor();
}

void Agent::ReapProcesses() {
  int status;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    for (auto& [number, program] : programs_) {
      if (program->pid != pid || program->has_ended) continue;
      Ended(program.get(), static_cast<uint32_t>(status));
      break;
    }
  }
}

void Agent::Ended(RunningProgram* program, uint32_t status) {
  program->has_ended = true;
  program->status = status;
  for (Output& output : program->outputs) {
    int bytes = 0;
    if (output.file.is_open() && ioctl(output.file.get(), FIONREAD, &bytes) == 0)
      output.left = static_cast<size_t>(bytes);
  }
  // What it said last may still be there to be read; its end may be told then.
  if (program->report_watch != 0) OnReport(program->number);
  TellEnd(program);
}

void Agent::TellEnd(RunningProgram* program) {
  if (program->is_exit_sent || !program->is_started) return;
  for (const Output& output : program->outputs) {
    if (output.file.is_open() && output.left > 0) return;
  }
  // The last words on a terminal come some time after its last user has closed it.
  if (program->has_terminal && !program->is_exec && program->outputs[0].file.is_open()) return;
  program->is_exit_sent = true;
  // Whoever hears of its end knows whether it was killed for want of memory.
  for (const auto& [id, container] : containers_) {
    if (container->number == program->number) OnMemoryEvent(id);
  }
  channel_.Send(Writer().Message(4, Writer().Number(1, program->number).Number(2, program->status)));
}

void Agent::ForgetEndedExecs() {
  std::erase_if(programs_, [this](auto& entry) {
    RunningProgram& program = *entry.second;
    if (!program.is_exec || !program.is_exit_sent || program.report_watch != 0) return false;
    // What it has left behind may still write.
    for (const Output& output : program.outputs) {
      if (output.file.is_open()) return false;
    }
    loop_.Unwatch(&program.input.watch);
    return true;
  });
}

std::string Agent::SendSignal(const Signal& signal) {
  const Container* container = FindContainer(signal.container_id);
  if (container == nullptr) return "container does not exist";
  if (signal.signal > kMaximumSignal) return "no such signal";
  if (signal.to_all) {
    if (signal.signal == SIGKILL) {
      const int error = WriteFile(kCgroups + signal.container_id + "/cgroup.kill", "1");
      return error == 0 ? "" : std::string("kill all: ") + strerror(error);
    }
    const std::string list = ReadFile(kCgroups + signal.container_id + "/cgroup.procs");
    for (const char* at = list.c_str(); *at != '\0';) {
      char* end;
      const long pid = strtol(at, &end, 10);
      if (end == at) break;
      if (pid > 0) kill(static_cast<pid_t>(pid), static_cast<int>(signal.signal));
      at = *end == '\n' ? end + 1 : end;
    }
    return "";
  }
  const RunningProgram* program = FindProgram(signal.number);
  if (program == nullptr || program->container_id != signal.container_id || program->has_ended || program->pid == 0)
    return "process already finished";
  return kill(program->pid, static_cast<int>(signal.signal)) == 0 ? "" : Failure("signal");
}

std::string Agent::SizeTerminal(const Resize& resize) {
  const RunningProgram* program = FindProgram(resize.number);
  if (program == nullptr || !program->terminal.is_open()) return "no such terminal";
  winsize size = {};
  size.ws_row = static_cast<unsigned short>(resize.rows);
  size.ws_col = static_cast<unsigned short>(resize.columns);
  return ioctl(program->terminal.get(), TIOCSWINSZ, &size) == 0 ? "" : Failure("resize");
}

std::string Agent::ListIn(const std::string& container_id, Writer* answer) {
  if (FindContainer(container_id) == nullptr) return "container does not exist";
  const std::string list = ReadFile(kCgroups + container_id + "/cgroup.procs");
  for (const char* at = list.c_str(); *at != '\0';) {
    char* end;
    const unsigned long pid = strtoul(at, &end, 10);
    if (end == at) break;
    at = *end == '\n' ? end + 1 : end;
    const std::string folder = "/proc/" + std::to_string(pid);
    const std::string status = ReadFile(folder + "/status");
    const size_t line = status.find("\nNSpid:");
    const size_t line_end = status.find('\n', line + 1);
    if (line == std::string::npos || line_end == std::string::npos) continue;
    const size_t last = status.find_last_of("\t ", line_end);
    std::string command = ReadFile(folder + "/cmdline");
    while (!command.empty() && command.back() == '\0') command.pop_back();
    std::replace(command.begin(), command.end(), '\0', ' ');
    const unsigned long inside = strtoul(status.c_str() + last + 1, nullptr, 10);
    answer->Message(8, Writer().Number(1, inside).Number(2, pid).Bytes(3, command));
  }
  return "";
}

std::string Agent::RemoveIt(const std::string& container_id) {
  Container* container = FindContainer(container_id);
  if (container == nullptr) return "container does not exist";
  const std::string group = kCgroups + container_id;
  WriteFile(group + "/cgroup.freeze", "0");
  WriteFile(group + "/cgroup.kill", "1");
  bool is_gone = false;
  for (int i = 0; i < kRemoveTries && !is_gone; i++) {
    ReapProcesses();
    is_gone = rmdir(group.c_str()) == 0 || errno == ENOENT;
    if (!is_gone && errno != EBUSY) break;
    if (!is_gone) usleep(kRemovePauseUs);
  }
  if (!is_gone) return Failure("remove the control group");
  loop_.Unwatch(&container->memory_watch);
  for (auto at = programs_.begin(); at != programs_.end();) {
    if (at->second->container_id != container_id) {
      ++at;
      continue;
    }
    RunningProgram* program = at->second.get();
    loop_.Unwatch(&program->report_watch);
    loop_.Unwatch(&program->input.watch);
    for (Output& output : program->outputs) loop_.Unwatch(&output.watch);
    at = programs_.erase(at);
  }
  containers_.erase(container_id);
  return "";
}

std::string Agent::SetLimits(const Limits& limits) {
  if (FindContainer(limits.container_id) == nullptr) return "container does not exist";
  for (const Setting& setting : limits.settings) {
    if (!IsName(setting.file)) return "a setting that can be no file's name";
    const int error = WriteFile(kCgroups + limits.container_id + "/" + setting.file, setting.value);
    if (error != 0) return "write \"" + setting.value + "\" to " + setting.file + ": " + strerror(error);
  }
  return "";
}

std::string Agent::SetFrozen(const Freeze& freeze) {
  if (FindContainer(freeze.container_id) == nullptr) return "container does not exist";
  const int error = WriteFile(kCgroups + freeze.container_id + "/cgroup.freeze", freeze.is_frozen ? "1" : "0");
  return error == 0 ? "" : std::string("freeze: ") + strerror(error);
}

std::string Agent::Measure(const std::string& container_id, Writer* answer) {
  if (FindContainer(container_id) == nullptr) return "container does not exist";
  Writer statistics;
  for (const char* file : {"cpu.stat", "memory.current", "memory.max", "memory.stat", "memory.events", "memory.peak",
                           "memory.swap.current", "memory.swap.max", "pids.current", "pids.max", "io.stat"}) {
    statistics.Message(1, Writer().Bytes(1, file).Bytes(2, ReadFile(kCgroups + container_id + "/" + file)));
  }
  answer->Message(9, statistics);
  return "";
}

void Agent::OnMemoryEvent(const std::string& container_id) {
  Container* container = FindContainer(container_id);
  if (container == nullptr) return;
  // Reading it from its start is what ends the event.
  char text[4096] = "";
  if (pread(container->memory_events.get(), text, sizeof text - 1, 0) < 0) return;
  const char* found = strstr(text, "oom_kill ");
  const auto count = static_cast<uint32_t>(found == nullptr ? 0 : strtoul(found + strlen("oom_kill "), nullptr, 10));
  if (count <= container->oom_kills) return;
  container->oom_kills = count;
  channel_.Send(Writer().Message(7, Writer().Bytes(1, container_id).Number(2, count)));
}

}  // namespace isopod::agent
