// pthread_cancel(3) of a thread in a blocked read(2): its signal counts only with the process's own si_pid.
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static int ends[2];

static void* read_forever(void* unused) {
  char byte;
  read(ends[0], &byte, 1);
  return NULL;
}

int main(void) {
  pipe(ends);
  for (int i = 0; i < 50; i++) {
    pthread_t thread;
    void* result;
    pthread_create(&thread, NULL, read_forever, NULL);
    usleep(i * 100);
    pthread_cancel(thread);
    pthread_join(thread, &result);
    if (result != PTHREAD_CANCELED) return 1;
  }
  puts("cancelled");
  return 0;
}
