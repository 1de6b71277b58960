// A guest kernel in miniature, to try the loader without the real one: it plans execs and forwards paths to the host.
// Nothing in it is safe or complete; whatever it doesn't know it lets the host do (the guest shares the host's
// descriptors, ids and processes).
//
//   supervisor [-f] [-v VERSION] [-x EXECFN] [-u UID] [-s] LOADER PROGRAM ARGUMENT...
//
//   -f          places position-independent programs itself (a fixed base) instead of leaving it to the host
//   -v VERSION  of the plan
//   -x EXECFN   an AT_EXECFN that is no argument
//   -u UID      what AT_UID, AT_EUID (+ 1), AT_GID (+ 2) and AT_EGID (+ 3) say
//   -s          sets AT_SECURE
//
// Exits like the program: its status, or 128 + its signal; 99 when the supervisor itself fails.
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../plan.h"

enum { PAGE = 4096, MAX_EXECS = 256, MAX_PROGRAM_HEADERS = 64, INTERPRETER_LEVELS = 5 };

// An exec between its check and its end: first the plan waits for the loader, then the guest's own descriptors 0 and 1
// for its next call.
struct exec {
  pid_t process;  // 0: free
  bool is_mapped;
  struct isopod_plan plan;
  int lent[2];
  int saved[2];
};

static struct exec execs[MAX_EXECS];
static struct {
  bool is_pie_fixed;
  bool is_secure;
  unsigned long version;
  unsigned long uid;
  const char* execfn;
} options = {.version = ISOPOD_PLAN_VERSION, .uid = -1UL};
static const char* native_root;
static int listener;

__attribute__((noreturn)) static void fail(const char* what) {
  fprintf(stderr, "supervisor: %s: %s\n", what, strerror(errno));
  _exit(99);
}

static unsigned long page_down(unsigned long value) { return value & -(unsigned long)PAGE; }
static unsigned long page_up(unsigned long value) { return page_down(value + PAGE - 1); }

// --- Guest memory and descriptors
// -------------------------------------------------------------------------------------------------

static long read_guest(pid_t tid, unsigned long address, void* buffer, size_t length) {
  struct iovec local = {buffer, length};
  struct iovec remote = {(void*)address, length};
  return process_vm_readv(tid, &local, 1, &remote, 1, 0);
}

static long write_guest(pid_t tid, unsigned long address, const void* buffer, size_t length) {
  struct iovec local = {(void*)buffer, length};
  struct iovec remote = {(void*)address, length};
  long written = process_vm_writev(tid, &local, 1, &remote, 1, 0);
  return written == (long)length ? 0 : -EFAULT;
}

static bool read_path(pid_t tid, unsigned long address, char* path) {
  for (size_t length = 0; length < PATH_MAX;) {
    size_t chunk = PAGE - (address + length) % PAGE;
    if (chunk > PATH_MAX - length) chunk = PATH_MAX - length;
    if (read_guest(tid, address + length, path + length, chunk) != (long)chunk) return false;
    if (memchr(path + length, 0, chunk) != NULL) return true;
    length += chunk;
  }
  return false;
}

static pid_t process_of(pid_t tid) {
  char name[64];
  snprintf(name, sizeof name, "/proc/%d/status", tid);
  FILE* status = fopen(name, "re");
  if (status == NULL) return 0;
  char line[256];
  int process = 0;
  while (process == 0 && fgets(line, sizeof line, status) != NULL) sscanf(line, "Tgid: %d", &process);
  fclose(status);
  return process;
}

static int take_descriptor(pid_t process, int number) {
  int pidfd = (int)syscall(SYS_pidfd_open, process, 0);
  int fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
  close(pidfd);
  return fd;
}

static void give_descriptor(unsigned long long id, int fd, int number, unsigned flags) {
  struct seccomp_notif_addfd request = {.id = id,
                                        .flags = SECCOMP_ADDFD_FLAG_SETFD,
                                        .srcfd = (unsigned)fd,
                                        .newfd = (unsigned)number,
                                        .newfd_flags = flags};
  if (ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &request) < 0 && errno != ENOENT && errno != ESRCH) fail("ADDFD");
}

// --- Planning an exec
// -------------------------------------------------------------------------------------------------------------

// Adds an ELF file's segments to a plan. `interpreter` receives the path of PT_INTERP, or "".
static int plan_object(struct isopod_plan* plan, int fd, unsigned long which, char* interpreter) {
  Elf64_Ehdr header;
  Elf64_Phdr program_headers[MAX_PROGRAM_HEADERS];
  if (pread(fd, &header, sizeof header, 0) != sizeof header || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
    return -ENOEXEC;
  if (header.e_phnum > MAX_PROGRAM_HEADERS) return -ENOEXEC;
  size_t bytes = header.e_phnum * sizeof *program_headers;
  if (pread(fd, program_headers, bytes, (off_t)header.e_phoff) != (ssize_t)bytes) return -ENOEXEC;
  unsigned long low = -1UL, high = 0, phdr = 0, alignment = PAGE;
  *interpreter = '\0';
  for (int i = 0; i < header.e_phnum; i++) {
    const Elf64_Phdr* at = &program_headers[i];
    if (at->p_type == PT_INTERP && pread(fd, interpreter, at->p_filesz, (off_t)at->p_offset) < 0) return -EIO;
    if (at->p_type == PT_GNU_STACK && (at->p_flags & PF_X) != 0 && which == ISOPOD_SEGMENT_PROGRAM) {
      plan->flags |= ISOPOD_PLAN_STACK_EXECUTABLE;
    }
    if (at->p_type != PT_LOAD || at->p_memsz == 0) continue;
    if (at->p_offset <= header.e_phoff && header.e_phoff < at->p_offset + at->p_filesz) {
      phdr = at->p_vaddr + header.e_phoff - at->p_offset;
    }
    if (at->p_align > alignment) alignment = at->p_align;
    unsigned long start = page_down(at->p_vaddr), file_end = at->p_vaddr + at->p_filesz;
    unsigned long file_len = at->p_filesz == 0 ? 0 : page_up(file_end) - start;
    unsigned long end = page_up(at->p_vaddr + at->p_memsz);
    bool is_zeroed = at->p_memsz > at->p_filesz && at->p_filesz != 0 && (at->p_flags & PF_W) != 0;
    plan->segment[plan->segment_count++] = (struct isopod_segment){
        .address = start,
        .file_len = file_len,
        .file_offset = page_down(at->p_offset),
        .mem_len = end - start,
        .prot = (at->p_flags & PF_R ? PROT_READ : 0U) | (at->p_flags & PF_W ? PROT_WRITE : 0U) |
                (at->p_flags & PF_X ? PROT_EXEC : 0U),
        .zero_from = file_end,
        .zero_len = is_zeroed ? page_up(file_end) - file_end : 0,
        .object = which,
    };
    if (start < low) low = start;
    if (end > high) high = end;
  }
  unsigned long bias = 0;
  bool is_fixed = header.e_type == ET_EXEC;
  if (!is_fixed && options.is_pie_fixed && which == ISOPOD_SEGMENT_PROGRAM) {
    is_fixed = true;
    bias = (0x555555555000UL + (unsigned long)(random() & 0xfffffff) * PAGE) & -alignment;
  }
  plan->object[which] =
      (struct isopod_object){low + bias, high - low, is_fixed, header.e_entry, is_fixed ? bias : alignment};
  if (which == ISOPOD_SEGMENT_PROGRAM) {
    plan->phdr = phdr;
    plan->phnum = header.e_phnum;
  }
  return 0;
}

static void put_string(char* strings, size_t* length, const char* string) {
  size_t size = strlen(string) + 1;
  if (*length + size > ISOPOD_MAX_STRINGS) fail("strings");
  memcpy(strings + *length, string, size);
  *length += size;
}

// Splits `#!INTERPRETER[ ARGUMENT]` in place.
static bool parse_shebang(char* line, char** interpreter, char** argument) {
  if (line[0] != '#' || line[1] != '!') return false;
  line[strcspn(line, "\n")] = '\0';
  *interpreter = line + 2 + strspn(line + 2, " \t");
  char* end = *interpreter + strcspn(*interpreter, " \t");
  *argument = end + strspn(end, " \t");
  *end = '\0';
  for (char* last = *argument + strlen(*argument); last > *argument && (last[-1] == ' ' || last[-1] == '\t');)
    *--last = '\0';
  return true;
}

static int plan_exec(struct exec* exec, const char* path) {
  struct isopod_plan* plan = &exec->plan;
  memset(plan, 0, sizeof *plan);
  exec->lent[0] = exec->lent[1] = -1;
  char name[PATH_MAX];
  snprintf(name, sizeof name, "%s", path);
  for (int level = 0;; level++) {
    struct stat status;
    if (stat(name, &status) != 0) return -errno;
    if (!S_ISREG(status.st_mode) || access(name, X_OK) != 0) return -EACCES;
    exec->lent[0] = open(name, O_RDONLY | O_CLOEXEC);
    if (exec->lent[0] < 0) return -errno;
    char line[257] = "";
    if (pread(exec->lent[0], line, 256, 0) < 0) return -errno;
    char *interpreter, *argument;
    if (!parse_shebang(line, &interpreter, &argument)) break;
    close(exec->lent[0]);
    exec->lent[0] = -1;
    if (level == INTERPRETER_LEVELS) return -ELOOP;
    // Interpreter, its argument and the script go where argv[0], the script's name so far, was.
    char strings[ISOPOD_MAX_STRINGS];
    size_t length = 0;
    put_string(strings, &length, interpreter);
    if (*argument != '\0') put_string(strings, &length, argument);
    put_string(strings, &length, name);
    size_t first = plan->string_count == 0 ? 0 : strlen(plan->strings) + 1;
    memcpy(strings + length, plan->strings + first, plan->strings_len - first);
    plan->strings_len = length + plan->strings_len - first;
    plan->string_count += (*argument != '\0') + (plan->string_count == 0 ? 2UL : 1UL);
    memcpy(plan->strings, strings, plan->strings_len);
    plan->drop_args = 1;
    snprintf(name, sizeof name, "%s", interpreter);
  }
  char interpreter[PATH_MAX];
  char none[PATH_MAX];
  int error = plan_object(plan, exec->lent[0], ISOPOD_SEGMENT_PROGRAM, interpreter);
  if (error < 0) return error;
  if (interpreter[0] != '\0') {
    exec->lent[1] = open(interpreter, O_RDONLY | O_CLOEXEC);
    if (exec->lent[1] < 0) return -errno;
    error = plan_object(plan, exec->lent[1], ISOPOD_SEGMENT_INTERPRETER, none);
    if (error < 0) return error;
  }
  plan->version = options.version;
  plan->uid = plan->euid = plan->gid = plan->egid = 0;
  if (options.uid != -1UL) {
    plan->uid = options.uid;
    plan->euid = options.uid + 1;
    plan->gid = options.uid + 2;
    plan->egid = options.uid + 3;
  }
  plan->secure = options.is_secure;
  if (options.execfn != NULL) {
    size_t length = plan->strings_len;
    put_string(plan->strings, &length, options.execfn);
    plan->strings_len = length;
    plan->execfn_string = plan->string_count + 1;
  }
  return 0;
}

static void close_lent(struct exec* exec) {
  for (int i = 0; i < 2; i++) {
    if (exec->lent[i] >= 0) close(exec->lent[i]);
    exec->lent[i] = -1;
  }
}

static struct exec* find_exec(pid_t process) {
  for (int i = 0; i < MAX_EXECS; i++) {
    if (execs[i].process == process) return &execs[i];
  }
  return NULL;
}

// Makes the path lead to the loader in the native root, as the guest kernel does.
static void redirect(const char* path) {
  char link[PATH_MAX * 2];
  snprintf(link, sizeof link, "%s/%s", native_root, path);
  for (char* slash = link + strlen(native_root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
    *slash = '\0';
    if (mkdir(link, 0755) != 0 && errno != EEXIST) fail("mkdir");
    *slash = '/';
  }
  if (symlink("/x", link) != 0 && errno != EEXIST) fail("symlink");
}

static long begin_exec(pid_t tid, const char* path) {
  pid_t process = process_of(tid);
  struct exec* exec = find_exec(process);
  if (exec == NULL) exec = find_exec(0);
  if (exec == NULL) return -ENOMEM;
  int error = plan_exec(exec, path);
  if (error < 0) {
    close_lent(exec);
    exec->process = 0;
    return error;
  }
  exec->process = process;
  exec->is_mapped = false;
  redirect(path);
  return 1;
}

static long give_plan(const struct seccomp_notif* request) {
  pid_t tid = (pid_t)request->pid;
  struct exec* exec = find_exec(process_of(tid));
  if (exec == NULL || exec->is_mapped) return -ENOSYS;
  if (request->data.args[1] < sizeof exec->plan) fail("the loader's buffer is too small");
  if (write_guest(tid, request->data.args[0], &exec->plan, sizeof exec->plan) < 0) fail("write the plan");
  for (int i = 0; i < 2; i++) {
    exec->saved[i] = take_descriptor(exec->process, i);
    if (exec->lent[i] >= 0) give_descriptor(request->id, exec->lent[i], i, O_CLOEXEC);
  }
  close_lent(exec);
  exec->is_mapped = true;
  return sizeof exec->plan;
}

// The first call of the new program: its descriptors 0 and 1 come back. (Isopod's guests have no descriptors of the
// host's.)
static void end_exec(const struct seccomp_notif* request) {
  struct exec* exec = NULL;
  for (int i = 0; i < MAX_EXECS && exec == NULL; i++) {
    if (execs[i].process != 0 && execs[i].is_mapped) exec = &execs[i];
  }
  if (exec == NULL) return;
  exec = find_exec(process_of((pid_t)request->pid));
  if (exec == NULL || !exec->is_mapped) return;
  for (int i = 0; i < 2; i++) {
    if (exec->saved[i] < 0) continue;
    give_descriptor(request->id, exec->saved[i], i, 0);
    close(exec->saved[i]);
  }
  exec->process = 0;
}

// --- Calls
// ------------------------------------------------------------------------------------------------------------------------

// The host path that a guest's path means.
static bool host_path(pid_t tid, int folder, unsigned long address, char* path, size_t size) {
  char text[PATH_MAX];
  if (!read_path(tid, address, text)) return false;
  if (strncmp(text, "/proc/self", 10) == 0) {
    snprintf(path, size, "/proc/%d%s", process_of(tid), text + 10);
  } else if (text[0] == '/' || folder == AT_FDCWD) {
    snprintf(path, size, "%s", text);
  } else {
    snprintf(path, size, "/proc/%d/fd/%d%s%s", tid, folder, text[0] == '\0' ? "" : "/", text);
  }
  return true;
}

// /proc/PID/maps without the loader, which is what the guest kernel shows.
static int open_maps(const char* path) {
  FILE* maps = fopen(path, "re");
  int fd = memfd_create("maps", MFD_CLOEXEC);
  if (maps == NULL || fd < 0) fail("maps");
  char line[PATH_MAX + 128];
  while (fgets(line, sizeof line, maps) != NULL) {
    if (strtoul(line, NULL, 16) != ISOPOD_GATE_SECTION) dprintf(fd, "%s", line);
  }
  fclose(maps);
  lseek(fd, 0, SEEK_SET);
  return fd;
}

static long open_for(const struct seccomp_notif* request, const char* path, int flags, mode_t mode) {
  size_t length = strlen(path);
  bool is_maps = strncmp(path, "/proc/", 6) == 0 && strcmp(path + length - 5, "/maps") == 0;
  int fd = is_maps ? open_maps(path) : open(path, flags | O_CLOEXEC, mode);
  if (fd < 0) return -errno;
  struct seccomp_notif_addfd add = {
      .id = request->id, .srcfd = (unsigned)fd, .newfd_flags = (unsigned)flags & O_CLOEXEC};
  int number = ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add);
  close(fd);
  return number < 0 ? -errno : number;
}

static long stat_for(pid_t tid, const char* path, unsigned long address, bool is_followed) {
  struct stat status;
  if ((is_followed ? stat(path, &status) : lstat(path, &status)) != 0) return -errno;
  return write_guest(tid, address, &status, sizeof status);
}

static long readlink_for(pid_t tid, const char* path, unsigned long address, unsigned long size) {
  char target[PATH_MAX];
  ssize_t length = readlink(path, target, size < sizeof target ? size : sizeof target);
  if (length < 0) return -errno;
  long error = write_guest(tid, address, target, (size_t)length);
  return error < 0 ? error : length;
}

static const long CONTINUE = 1L << 40;

static long call(const struct seccomp_notif* request) {
  const unsigned long long* args = request->data.args;
  pid_t tid = (pid_t)request->pid;
  char path[PATH_MAX + 64];
  // The system calls with a path as their first argument, and those with a folder before it.
  int folder = AT_FDCWD;
  unsigned long address = args[0];
  switch (request->data.nr) {
    case ISOPOD_NR_PLAN:
      return give_plan(request);
    case SYS_clone3:
    case SYS_execveat:
    case SYS_statx:
      return -ENOSYS;
    case SYS_mmap:
      if (request->data.instruction_pointer >> 20 == ISOPOD_LOADER_BASE >> 20) {
        fprintf(stderr, "supervisor: the loader's mmap trapped at %llx\n", request->data.instruction_pointer);
        _exit(99);
      }
      return CONTINUE;
    case SYS_getcwd:
      if (getcwd(path, sizeof path) == NULL) return -errno;
      if (strlen(path) >= args[1]) return -ERANGE;
      return write_guest(tid, args[0], path, strlen(path) + 1) < 0 ? -EFAULT : (long)strlen(path) + 1;
    case SYS_openat:
    case SYS_newfstatat:
    case SYS_faccessat:
    case SYS_faccessat2:
    case SYS_readlinkat:
      folder = (int)args[0];
      address = args[1];
      break;
    case SYS_execve:
    case SYS_open:
    case SYS_stat:
    case SYS_lstat:
    case SYS_access:
    case SYS_readlink:
    case SYS_statfs:
    case SYS_unlink:
    case SYS_getxattr:
    case SYS_lgetxattr:
      break;
    default:
      return CONTINUE;
  }
  if (!host_path(tid, folder, address, path, sizeof path)) return -EFAULT;
  switch (request->data.nr) {
    case SYS_execve: {
      long result = begin_exec(tid, path);
      return result > 0 ? CONTINUE : result;
    }
    case SYS_open:
      return open_for(request, path, (int)args[1], (mode_t)args[2]);
    case SYS_openat:
      return open_for(request, path, (int)args[2], (mode_t)args[3]);
    case SYS_stat:
    case SYS_lstat:
      return stat_for(tid, path, args[1], request->data.nr == SYS_stat);
    case SYS_newfstatat:
      return stat_for(tid, path, args[2], (args[3] & AT_SYMLINK_NOFOLLOW) == 0);
    case SYS_access:
      return access(path, (int)args[1]) == 0 ? 0 : -errno;
    case SYS_faccessat:
    case SYS_faccessat2:
      return access(path, (int)args[2]) == 0 ? 0 : -errno;
    case SYS_readlink:
      return readlink_for(tid, path, args[1], args[2]);
    case SYS_readlinkat:
      return readlink_for(tid, path, args[2], args[3]);
    default:
      return -EOPNOTSUPP;
  }
}

// --- The filter and the loop
// ------------------------------------------------------------------------------------------------------

// What Isopod's filter lets through that matters to the loader; all else traps.
static int install_filter(void) {
  static const unsigned kNative[] = {SYS_brk,
                                     SYS_munmap,
                                     SYS_mprotect,
                                     SYS_mremap,
                                     SYS_madvise,
                                     SYS_futex,
                                     SYS_rt_sigaction,
                                     SYS_rt_sigprocmask,
                                     SYS_rt_sigreturn,
                                     SYS_sigaltstack,
                                     SYS_arch_prctl,
                                     SYS_sched_yield,
                                     SYS_set_robust_list,
                                     SYS_set_tid_address,
                                     SYS_rseq,
                                     SYS_restart_syscall,
                                     SYS_getpid,
                                     SYS_gettid,
                                     SYS_getrandom,
                                     SYS_sendmsg};
  enum { NATIVE = sizeof kNative / sizeof *kNative };
  struct sock_filter code[64];
  unsigned short n = 0;
#define EMIT(...) code[n++] = (struct sock_filter)__VA_ARGS__
#define LOAD(field, offset) EMIT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field) + (offset)))
#define RETURN(action) EMIT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_##action))
  LOAD(nr, 0);
  for (int i = 0; i < NATIVE; i++) {
    EMIT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kNative[i], 0, 1));
    RETURN(ALLOW);
  }
  EMIT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 1, 0));
  RETURN(USER_NOTIF);
  LOAD(args[3], 0);
  EMIT(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, MAP_ANONYMOUS, 0, 1));
  RETURN(ALLOW);
  EMIT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MAP_PRIVATE | MAP_FIXED, 1, 0));
  RETURN(USER_NOTIF);
  LOAD(instruction_pointer, 0);
  EMIT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)ISOPOD_GATE_IP, 1, 0));
  RETURN(USER_NOTIF);
  LOAD(instruction_pointer, 4);
  EMIT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)(ISOPOD_GATE_IP >> 32), 1, 0));
  RETURN(USER_NOTIF);
  RETURN(ALLOW);
  struct sock_fprog program = {n, code};
  return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                      SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &program);
}

static void send_descriptor(int socket, int fd) {
  char byte = 0;
  struct iovec data = {&byte, 1};
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
  } control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
  memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
  struct msghdr message = {
      .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.space};
  if (sendmsg(socket, &message, 0) != 1) fail("sendmsg");
}

static int receive_descriptor(int socket) {
  char byte;
  struct iovec data = {&byte, 1};
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
  } control;
  struct msghdr message = {
      .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.space};
  if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1) fail("recvmsg");
  int fd;
  memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
  return fd;
}

static void serve(void) {
  for (;;) {
    struct pollfd poll_fd = {listener, POLLIN, 0};
    if (poll(&poll_fd, 1, -1) < 0) fail("poll");
    if ((poll_fd.revents & POLLIN) == 0) return;  // no guest is left
    struct seccomp_notif request = {0};
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request) != 0) {
      if (errno == ENOENT || errno == EINTR) continue;
      fail("RECV");
    }
    end_exec(&request);
    long result = call(&request);
    struct seccomp_notif_resp response = {.id = request.id};
    if (result == CONTINUE) {
      response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    } else if (result < 0) {
      response.error = (int)result;
    } else {
      response.val = result;
    }
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response) != 0 && errno != ENOENT) fail("SEND");
  }
}

int main(int argc, char** argv) {
  for (int option; (option = getopt(argc, argv, "+fsv:x:u:")) != -1;) {
    if (option == 'f') options.is_pie_fixed = true;
    if (option == 's') options.is_secure = true;
    if (option == 'v') options.version = strtoul(optarg, NULL, 0);
    if (option == 'x') options.execfn = optarg;
    if (option == 'u') options.uid = strtoul(optarg, NULL, 0);
    if (option == '?') return 99;
  }
  if (argc - optind < 2) return 99;
  srandom((unsigned)getpid());

  static char root[] = "/tmp/isopod-loader-test-XXXXXX";
  if (mkdtemp(root) == NULL) fail("mkdtemp");
  native_root = root;
  int from = open(argv[optind], O_RDONLY | O_CLOEXEC);
  if (from < 0) fail(argv[optind]);
  if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) fail("unshare");
  if (mount("test", root, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755") != 0) fail("mount");
  char path[64];
  snprintf(path, sizeof path, "%s/x", root);
  int to = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0555);
  char buffer[65536];
  ssize_t length = read(from, buffer, sizeof buffer);
  if (to < 0 || length <= 0 || write(to, buffer, (size_t)length) != length) fail("copy the loader");
  close(from);
  close(to);

  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) fail("socketpair");
  pid_t child = fork();
  if (child < 0) fail("fork");
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (chroot(root) != 0 || chdir("/") != 0) fail("chroot");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail("no_new_privs");
    int fd = install_filter();
    if (fd < 0) fail("filter");
    send_descriptor(sockets[1], fd);
    // The listener must not stay with the guest: it would never end.
    syscall(SYS_close, fd);
    execve(argv[optind + 1], argv + optind + 1, environ);
    fprintf(stderr, "execve: %s\n", strerror(errno));
    _exit(127);
  }
  listener = receive_descriptor(sockets[0]);
  serve();
  int status;
  if (waitpid(child, &status, 0) != child) fail("waitpid");
  umount2(root, MNT_DETACH);
  rmdir(root);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
