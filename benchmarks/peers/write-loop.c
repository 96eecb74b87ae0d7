/*
 * The floor of a fan-out: one process that writes the same bytes to many sockets, and does nothing else.
 *
 * write-loop SOCKETS BYTES ROUNDS prints the microseconds of CPU that one write takes (median of the rounds), and the
 * milliseconds until the last reader has everything. Its child opens the sockets and reads.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static double cpu_microseconds(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

static double now_milliseconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e3 + time.tv_nsec / 1e6;
}

static int by_size(const void *left, const void *right) {
  double difference = *(const double *)left - *(const double *)right;
  return difference < 0 ? -1 : difference > 0;
}

static double median(double *values, int count) {
  qsort(values, count, sizeof *values, by_size);
  return values[count / 2];
}

/* Opens the sockets, and writes one byte to the parent's pipe whenever a round has arrived in whole. */
static void read_all(struct sockaddr_in address, int sockets, long bytes, int told) {
  int poll = epoll_create1(0);
  char buffer[65536];
  int one = 1;
  for (int index = 0; index < sockets; index++) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    /* One address has 28,000 ports to connect from; the loopback network has many addresses. */
    if (index >= 20000) {
      struct sockaddr_in own = {.sin_family = AF_INET};
      own.sin_addr.s_addr = htonl(INADDR_LOOPBACK + index / 20000);
      setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
      if (bind(fd, (struct sockaddr *)&own, sizeof own) < 0) fail("bind");
    }
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) fail("connect");
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
  }
  for (long due = bytes * sockets, arrived = 0;;) {
    struct epoll_event events[512];
    int ready = epoll_wait(poll, events, 512, -1);
    for (int index = 0; index < ready; index++) {
      ssize_t got = read(events[index].data.fd, buffer, sizeof buffer);
      if (got <= 0) exit(0);
      arrived += got;
    }
    if (arrived < due) continue;
    arrived -= due;
    if (write(told, "", 1) != 1) exit(0);
  }
}

int main(int count, char **arguments) {
  if (count != 4) return 2;
  int sockets = atoi(arguments[1]), rounds = atoi(arguments[3]);
  long bytes = atol(arguments[2]);
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);

  struct sockaddr_in address = {.sin_family = AF_INET};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM, 0), told[2], one = 1;
  if (bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 4096) < 0) fail("listen");
  getsockname(listener, (struct sockaddr *)&address, &size);
  if (pipe(told) < 0) fail("pipe");
  pid_t reader = fork();
  if (reader == 0) read_all(address, sockets, bytes, told[1]);

  int *fds = malloc(sizeof(int) * sockets);
  for (int index = 0; index < sockets; index++) {
    if ((fds[index] = accept(listener, NULL, NULL)) < 0) fail("accept");
    setsockopt(fds[index], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  }
  char *message = malloc(bytes), byte;
  memset(message, 'x', bytes);
  double *cpu = malloc(sizeof(double) * rounds), *last = malloc(sizeof(double) * rounds);
  /* Two rounds warm up. */
  for (int round = -2; round < rounds; round++) {
    usleep(200000);
    double cpu_before = cpu_microseconds(), from = now_milliseconds();
    for (int index = 0; index < sockets; index++)
      if (write(fds[index], message, bytes) != bytes) fail("write");
    double used = cpu_microseconds() - cpu_before;
    if (read(told[0], &byte, 1) != 1) fail("read");
    if (round < 0) continue;
    cpu[round] = used / sockets;
    last[round] = now_milliseconds() - from;
  }
  printf("%.3f %.1f\n", median(cpu, rounds), median(last, rounds));
  kill(reader, SIGKILL);
  waitpid(reader, NULL, 0);
  return 0;
}
