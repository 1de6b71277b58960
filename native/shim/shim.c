// `containerd-shim-isopod-v1`: what containerd starts for a task (runtime v2 of containerd). `start` has to answer
// before containerd goes on, so that it starts no Node: it binds the shim's socket, leaves a Node process with it
// behind (and a sandbox process beside that), and prints the address. A container of a pod whose shim lives gets that
// one's. `delete` comes after every task, mostly when there is nothing left to do.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "../front/early.h"
#include "bootstrap.h"

enum { kListenFd = 3, kConfigBytes = 8 << 20, kNameBytes = 256, kMaxOomScore = 1000 };

static const char kDefaultAddress[] = "/run/containerd/containerd.sock";
static const char kDefaultSockets[] = "/run/containerd/s";
static const char kStates[] = "/run/containerd/isopod";

// The command line, as Go's flag package takes it.
static struct {
  const char* namespace;
  const char* id;
  const char* address;
  const char* bundle;
  const char* action;
} options = {.namespace = "", .id = "", .address = "", .bundle = "", .action = ""};

static const char* log_level = "info";
// What came on standard input, if containerd is one that says it all there.
static struct bootstrap params;
static bool has_params;
static char state[PATH_MAX];
static char netns[PATH_MAX];
static char socket_path[sizeof(((struct sockaddr_un*)0)->sun_path)];

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("containerd-shim-isopod: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  exit(1);
}

static void parse(int argc, char** argv) {
  const struct {
    const char* name;
    const char** value;
  } kFlags[] = {{"namespace", &options.namespace},
                {"id", &options.id},
                {"address", &options.address},
                {"bundle", &options.bundle}};
  for (int i = 1; i < argc; i++) {
    const char* text = argv[i];
    if (text[0] != '-') {
      options.action = text;
      continue;
    }
    text += text[1] == '-' ? 2 : 1;
    size_t length = strcspn(text, "=");
    if (length == 1 && text[0] == 'v') {
      puts("containerd-shim-isopod: " ISOPOD_VERSION);
      exit(0);
    }
    if (length == 5 && strncmp(text, "debug", length) == 0) {
      log_level = "debug";
      continue;
    }
    if (length == 4 && strncmp(text, "info", length) == 0) {
      options.action = "info";
      continue;
    }
    const char* value = text[length] == '=' ? text + length + 1 : i + 1 < argc ? argv[++i] : "";
    for (size_t flag = 0; flag < sizeof kFlags / sizeof kFlags[0]; flag++) {
      if (strlen(kFlags[flag].name) == length && strncmp(kFlags[flag].name, text, length) == 0)
        *kFlags[flag].value = value;
    }
  }
}

// containerd 2.3 and later has the command line for older shims only.
static void take_params(void) {
  has_params = read_bootstrap(0, &params);
  if (!has_params) return;
  if (params.instance_id[0] != '\0') options.id = params.instance_id;
  if (params.namespace[0] != '\0') options.namespace = params.namespace;
  if (params.grpc_address[0] != '\0') options.address = params.grpc_address;
}

static void check_options(void) {
  if (options.id[0] == '\0' || strchr(options.id, '/') != NULL)
    fail("want -id with a container's id, got \"%s\"", options.id);
  if (options.namespace[0] == '\0' || strchr(options.namespace, '/') != NULL)
    fail("want -namespace with a namespace of containerd, got \"%s\"", options.namespace);
}

// Two containerds on one host have namespaces and ids of their own: all but the usual one have their address's hash
// (FNV-1a) beside the namespace.
static void name_scope(char* scope, size_t size) {
  if (options.address[0] == '\0' || strcmp(options.address, kDefaultAddress) == 0) {
    snprintf(scope, size, "%s", options.namespace);
    return;
  }
  uint32_t hash = 2166136261u;
  for (const char* c = options.address; *c != '\0'; c++) hash = (hash ^ (uint8_t)*c) * 16777619u;
  snprintf(scope, size, "%s-%08x", options.namespace, hash);
}

// The kind of sandbox, by the name that this program is called by.
static const char* handler = "isopod";

// The string that the annotation `name` has in config.json's text; false without one. A quote inside a JSON string has
// a backslash before it, so that `"name"` is never found in the midst of one.
static bool annotation(const char* text, const char* name, char* value, size_t size) {
  char quoted[kNameBytes];
  snprintf(quoted, sizeof quoted, "\"%s\"", name);
  const char* at = strstr(text, quoted);
  if (at == NULL) return false;
  at += strlen(quoted);
  at += strspn(at, " \t\r\n");
  if (*at++ != ':') return false;
  at += strspn(at, " \t\r\n");
  if (*at++ != '"') return false;
  size_t length = strcspn(at, "\"\\");
  if (at[length] != '"' || length == 0 || length >= size || memchr(at, '/', length) != NULL) return false;
  memcpy(value, at, length);
  value[length] = '\0';
  return true;
}

// The path of the network namespace in config.json's text, as Go's JSON has it; "" where there is none, or it is not
// understood: Node reads it, too, and doesn't take a sandbox process that was started in another one.
static void find_netns(const char* text) {
  static const char kBefore[] = "{\"type\":\"network\",\"path\":\"";
  const char* at = strstr(text, kBefore);
  if (at == NULL) return;
  at += sizeof kBefore - 1;
  size_t length = strcspn(at, "\"\\");
  if (at[length] != '"' || length >= sizeof netns) return;
  memcpy(netns, at, length);
  netns[length] = '\0';
}

// The id that the containers which share a shim have in common: their pod's.
static void find_group(char* group, size_t size) {
  snprintf(group, size, "%s", options.id);
  int fd = open("config.json", O_RDONLY | O_CLOEXEC);
  // A sandbox that containerd makes by the sandbox service has none.
  if (fd < 0 && errno == ENOENT && has_params) return;
  if (fd < 0) fail("open config.json of the bundle: %s", strerror(errno));
  char* text = malloc(kConfigBytes);
  if (text == NULL) fail("take memory: %s", strerror(errno));
  size_t length = 0;
  for (ssize_t count; length < kConfigBytes - 1; length += (size_t)count) {
    count = read(fd, text + length, kConfigBytes - 1 - length);
    if (count <= 0) break;
  }
  close(fd);
  text[length] = '\0';
  if (!annotation(text, "io.containerd.runc.v2.group", group, size))
    annotation(text, "io.kubernetes.cri.sandbox-id", group, size);
  find_netns(text);
  free(text);
}

static const char* sockets_folder(void) { return params.socket_dir[0] == '/' ? params.socket_dir : kDefaultSockets; }

static void name_socket(const char* scope, const char* group) {
  int length = snprintf(socket_path, sizeof socket_path, "%s/isopod-%s-%s", sockets_folder(), scope, group);
  if (length >= (int)sizeof socket_path)
    fail("the folder %s, the namespace %s and the id %s are too long for a socket's path", sockets_folder(), scope,
         group);
}

static bool is_living(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  memcpy(address.sun_path, socket_path, sizeof socket_path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  bool is_connected = connect(fd, (struct sockaddr*)&address, sizeof address) == 0;
  close(fd);
  return is_connected;
}

// Where containerd finds the shim again when it was restarted.
static void write_address(void) {
  int fd = open(".address", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0 || dprintf(fd, "unix://%s", socket_path) < 0 || fsync(fd) != 0)
    fail("write the bundle's address: %s", strerror(errno));
  close(fd);
  if (rename(".address", "address") != 0) fail("write the bundle's address: %s", strerror(errno));
}

__attribute__((noreturn)) static void execute_node(const char* action, const char* bundle) {
  static char script[PATH_MAX + 32];
  static char events[PATH_MAX];
  const char* given = params.ttrpc_address[0] != '\0' ? params.ttrpc_address : getenv("TTRPC_ADDRESS");
  if (given != NULL)
    snprintf(events, sizeof events, "%s", given);
  else
    snprintf(events, sizeof events, "%s.ttrpc", options.address[0] == '\0' ? kDefaultAddress : options.address);
  snprintf(script, sizeof script, "%s/dist/shim-start.cjs", package_root);
  char* args[] = {"node",
                  "--no-warnings",
                  "--max-semi-space-size=1",
                  "--initial-old-space-size=16",
                  script,
                  "--namespace",
                  (char*)options.namespace,
                  "--id",
                  (char*)options.id,
                  "--handler",
                  (char*)handler,
                  "--state",
                  state,
                  "--socket",
                  socket_path,
                  "--events",
                  events,
                  "--level",
                  (char*)log_level,
                  "--bundle",
                  (char*)bundle,
                  (char*)action,
                  NULL};
  execv(node_path, args);
  fail("run %s: %s", node_path, strerror(errno));
}

// As containerd's own shims: what has a shim dies after it when memory is short, but containerd dies last.
static void raise_oom_score(void) {
  static const char kFile[] = "/proc/self/oom_score_adj";
  FILE* file = fopen(kFile, "r");
  int score = 0;
  bool is_read = file != NULL && fscanf(file, "%d", &score) == 1;
  if (file != NULL) fclose(file);
  if (!is_read || score >= kMaxOomScore) return;
  file = fopen(kFile, "w");
  if (file == NULL) return;
  fprintf(file, "%d", score + 1);
  fclose(file);
}

// The shim itself: it holds nothing of what containerd reads the answer from.
__attribute__((noreturn)) static void serve(int listener, const char* bundle) {
  setsid();
  int null = open("/dev/null", O_RDWR);
  for (int fd = 0; fd < 3; fd++) dup2(null, fd);
  if (listener != kListenFd) dup2(listener, kListenFd);
  fcntl(kListenFd, F_SETFD, 0);
  raise_oom_score();
  if (geteuid() == 0 && strcmp(handler, "isopod") == 0) start_early(state, netns[0] == '\0' ? NULL : netns);
  execute_node("serve", bundle);
}

static void start(const char* scope) {
  char group[kNameBytes];
  char bundle[PATH_MAX];
  if (getcwd(bundle, sizeof bundle) == NULL) fail("find the bundle: %s", strerror(errno));
  find_group(group, sizeof group);
  name_socket(scope, group);
  if (!is_living()) {
    mkdir(sockets_folder(), 0711);
    unlink(socket_path);
    int listener = listen_at(socket_path);
    if (listener < 0) fail("listen on %s: %s", socket_path, strerror(errno));
    pid_t pid = fork();
    if (pid < 0) fail("fork: %s", strerror(errno));
    if (pid == 0) serve(listener, bundle);
  }
  write_address();
  if (!has_params)
    printf("unix://%s", socket_path);
  else if (!write_bootstrap_result(1, socket_path))
    fail("answer with the address %s: %s", socket_path, strerror(errno));
}

// DeleteResponse of containerd's task service: how a task ended whose shim can't tell any more.
static void print_killed(void) {
  uint8_t message[16] = {0x10, 0x89, 0x01, 0x1a, 6, 0x08};
  uint64_t seconds = (uint64_t)time(NULL);
  size_t length = 6;
  for (; seconds >= 0x80; seconds >>= 7) message[length++] = (uint8_t)(seconds | 0x80);
  message[length++] = (uint8_t)seconds;
  message[4] = (uint8_t)(length - 5);
  if (write(1, message, length) != (ssize_t)length) fail("answer: %s", strerror(errno));
}

// The socket of the shim that a bundle's task had, as `write_address` left it: containerd chooses the folder, and
// doesn't say it again. One that never came so far may have left the one of its own name.
static void find_socket(const char* scope) {
  static const char kScheme[] = "unix://";
  char path[PATH_MAX + 64];
  char text[sizeof kScheme + sizeof socket_path];
  snprintf(path, sizeof path, "%s/address", options.bundle);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  if (fd >= 0) close(fd);
  text[length < 0 ? 0 : length] = '\0';
  const char* socket = text + strlen(kScheme);
  if (strncmp(text, kScheme, strlen(kScheme)) == 0 && socket[0] == '/' && strlen(socket) < sizeof socket_path)
    memcpy(socket_path, socket, strlen(socket) + 1);
  else
    name_socket(scope, options.id);
}

static void delete (const char* scope) {
  char path[PATH_MAX + 64];
  find_socket(scope);
  if (!is_living()) unlink(socket_path);
  snprintf(path, sizeof path, "%s/%s", state, options.id);
  if (access(path, F_OK) == 0) execute_node("delete", options.bundle);
  static const char* const kMounts[] = {"rootfs", "pod/shm"};
  for (int i = 0; i < 2; i++) {
    snprintf(path, sizeof path, "%s/%s", options.bundle, kMounts[i]);
    while (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0) continue;
  }
  print_killed();
}

int main(int argc, char** argv) {
  // By another name it would be taken for another handler, and a pod for what it is not.
  const char* name = strrchr(argv[0], '/') == NULL ? argv[0] : strrchr(argv[0], '/') + 1;
  if (strcmp(name, "containerd-shim-isopod-vm-v1") == 0)
    handler = "isopod-vm";
  else if (strcmp(name, "containerd-shim-isopod-v1") != 0)
    fail("there is no handler %s", name);
  parse(argc, argv);
  bool is_start = strcmp(options.action, "start") == 0;
  bool is_info = strcmp(options.action, "info") == 0;
  if (is_start) take_params();
  if (!is_info) check_options();
  find_package();
  unsetenv("ISOPOD_EARLY");
  // As in the front: no shim speaks TLS.
  unsetenv("NODE_EXTRA_CA_CERTS");
  if (!read_list()) fail("Isopod is not built in %s: run npm run build there", package_root);
  if (is_info) execute_node("info", "");
  char scope[kNameBytes];
  name_scope(scope, sizeof scope);
  mkdir("/run/containerd", 0711);
  mkdir(kStates, 0711);
  snprintf(state, sizeof state, "%s/%s", kStates, scope);
  if (is_start)
    start(scope);
  else if (strcmp(options.action, "delete") == 0)
    delete (scope);
  else
    fail("want start, delete or -info, got \"%s\"", options.action);
  return 0;
}
