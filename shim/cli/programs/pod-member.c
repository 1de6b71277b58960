// One of two containers of a pod, for pod.test.ts: `first DIR` holds what `second DIR` then finds, each in a container of its own, DIR being a volume of both.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { kKey = 4711, kPort = 4712, kMapBytes = 4096 };

static char path_text[4096];

static const char* in(const char* folder, const char* name) {
  snprintf(path_text, sizeof path_text, "%s/%s", folder, name);
  return path_text;
}

static int check(int result, const char* what) {
  if (result >= 0) return result;
  printf("%s: %s\n", what, strerror(errno));
  fflush(stdout);
  exit(1);
}

static struct sockaddr_un name_of(const char* text, socklen_t* length) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  // '@' stands for the NUL of an abstract name.
  strcpy(address.sun_path, text);
  *length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(text));
  if (text[0] == '@') address.sun_path[0] = '\0';
  return address;
}

static int listen_at(const char* text) {
  socklen_t length;
  struct sockaddr_un address = name_of(text, &length);
  int fd = check(socket(AF_UNIX, SOCK_STREAM, 0), "socket");
  check(bind(fd, (struct sockaddr*)&address, length), text);
  check(listen(fd, 1), "listen");
  return fd;
}

static void greet(int listener) {
  int fd = check(accept(listener, NULL, NULL), "accept");
  check((int)write(fd, "hello", 5), "write");
  close(fd);
}

static void hear(const char* what, int fd) {
  char text[64];
  ssize_t length = read(fd, text, sizeof text);
  printf("%s: %.*s\n", what, (int)(length < 0 ? 0 : length), text);
  close(fd);
}

static void call_at(const char* what, const char* text) {
  socklen_t length;
  struct sockaddr_un address = name_of(text, &length);
  int fd = check(socket(AF_UNIX, SOCK_STREAM, 0), "socket");
  check(connect(fd, (struct sockaddr*)&address, length), what);
  hear(what, fd);
}

static const struct sockaddr_in kLocal = {.sin_family = AF_INET, .sin_port = 0x6812, .sin_addr = {0x0100007f}};

static char* map(const char* file) {
  int fd = check(open(file, O_RDWR | O_CREAT, 0666), "open to map");
  check(ftruncate(fd, kMapBytes), "ftruncate");
  char* memory = mmap(NULL, kMapBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) check(-1, "mmap");
  close(fd);
  return memory;
}

static void first(const char* folder) {
  int by_path = listen_at(in(folder, "sock"));
  int by_name = listen_at("@pod-member");
  int by_port = check(socket(AF_INET, SOCK_STREAM, 0), "socket");
  int one = 1;
  setsockopt(by_port, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  check(bind(by_port, (const struct sockaddr*)&kLocal, sizeof kLocal), "bind");
  check(listen(by_port, 1), "listen");
  check(mkfifo(in(folder, "fifo"), 0666), "mkfifo");
  char* memory = map(in(folder, "map"));
  strcpy(memory, "from the first");
  int records = check(open(in(folder, "records"), O_RDWR | O_CREAT, 0666), "open");
  struct flock lock = {.l_type = F_WRLCK, .l_start = 10, .l_len = 5};
  check(fcntl(records, F_SETLK, &lock), "F_SETLK");
  int whole = check(open(in(folder, "whole"), O_RDWR | O_CREAT, 0666), "open");
  check(flock(whole, LOCK_EX), "flock");
  int events = check(inotify_init(), "inotify_init");
  check(inotify_add_watch(events, folder, IN_CREATE | IN_MOVED_TO), "inotify_add_watch");
  int segment = check(shmget(kKey, kMapBytes, IPC_CREAT | 0666), "shmget");
  strcpy(shmat(segment, NULL, 0), "shared memory");
  int semaphores = check(semget(kKey, 1, IPC_CREAT | 0666), "semget");
  mqd_t queue = mq_open("/pod-member", O_CREAT | O_RDONLY, 0666, NULL);
  check((int)queue, "mq_open");
  printf("ready\n");
  fflush(stdout);

  greet(by_path);
  greet(by_name);
  greet(by_port);
  hear("fifo", check(open(in(folder, "fifo"), O_RDONLY), "open the fifo"));
  char event[4096];
  ssize_t length = read(events, event, sizeof event);
  for (ssize_t at = 0; at < length;) {
    const struct inotify_event* one_event = (const void*)(event + at);
    printf("event: %x %s\n", one_event->mask, one_event->name);
    at += (ssize_t)sizeof *one_event + one_event->len;
  }
  // The second waits for this lock.
  check(flock(whole, LOCK_UN), "unlock");
  struct sembuf wait = {.sem_op = -1};
  check(semop(semaphores, &wait, 1), "semop");
  char message[8192] = "";
  check((int)mq_receive(queue, message, sizeof message, NULL), "mq_receive");
  printf("queue: %s\nmap: %s\n", message, memory);
  shmctl(segment, IPC_RMID, NULL);
  semctl(semaphores, 0, IPC_RMID);
  mq_unlink("/pod-member");
}

static void second(const char* folder) {
  call_at("sock", in(folder, "sock"));
  call_at("abstract", "@pod-member");
  int fd = check(socket(AF_INET, SOCK_STREAM, 0), "socket");
  check(connect(fd, (const struct sockaddr*)&kLocal, sizeof kLocal), "connect to localhost");
  hear("localhost", fd);
  char* memory = map(in(folder, "map"));
  printf("map: %s\n", memory);
  strcpy(memory, "from the second");
  int records = check(open(in(folder, "records"), O_RDWR), "open");
  struct flock lock = {.l_type = F_WRLCK, .l_start = 12, .l_len = 1};
  printf("F_SETLK: %s\n", fcntl(records, F_SETLK, &lock) < 0 ? strerror(errno) : "taken");
  check(fcntl(records, F_GETLK, &lock), "F_GETLK");
  printf("F_GETLK: %d %ld %ld\n", lock.l_type, (long)lock.l_start, (long)lock.l_len);
  int whole = check(open(in(folder, "whole"), O_RDWR), "open");
  printf("flock: %s\n", flock(whole, LOCK_EX | LOCK_NB) < 0 ? strerror(errno) : "taken");
  fd = check(open(in(folder, "fifo"), O_WRONLY), "open the fifo");
  check((int)write(fd, "through the fifo", 16), "write");
  close(fd);
  close(check(open(in(folder, "new"), O_WRONLY | O_CREAT, 0666), "create"));
  check(flock(whole, LOCK_EX), "flock");
  printf("flock: taken\n");
  int segment = check(shmget(kKey, kMapBytes, 0), "shmget");
  printf("shm: %s\n", (const char*)shmat(segment, NULL, SHM_RDONLY));
  mqd_t queue = mq_open("/pod-member", O_WRONLY);
  check((int)queue, "mq_open");
  check(mq_send(queue, "a message", 10, 0), "mq_send");
  int semaphores = check(semget(kKey, 1, 0), "semget");
  struct sembuf post = {.sem_op = 1};
  check(semop(semaphores, &post, 1), "semop");
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  if (strcmp(argv[1], "first") == 0) first(argv[2]);
  else second(argv[2]);
  return 0;
}
