#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

_Static_assert(CLINUX_READABLE == EPOLLIN, "epoll");
_Static_assert(CLINUX_WRITABLE == EPOLLOUT, "epoll");
_Static_assert(CLINUX_ERROR == EPOLLERR, "epoll");
_Static_assert(CLINUX_HANGUP == EPOLLHUP, "epoll");

int clinux_memory_file(const char *name) {
  int fd = memfd_create(name, MFD_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

int clinux_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC) < 0 ? -errno : 0; }

int clinux_poll_create(void) {
  int fd = epoll_create1(EPOLL_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

static int control(int poll, int operation, int fd, uint32_t events, uint64_t tag) {
  struct epoll_event event = {.events = events, .data.u64 = tag};
  return epoll_ctl(poll, operation, fd, &event) < 0 ? -errno : 0;
}

int clinux_poll_add(int poll, int fd, uint32_t events, uint64_t tag) {
  return control(poll, EPOLL_CTL_ADD, fd, events, tag);
}

int clinux_poll_modify(int poll, int fd, uint32_t events, uint64_t tag) {
  return control(poll, EPOLL_CTL_MOD, fd, events, tag);
}

int clinux_poll_remove(int poll, int fd) { return control(poll, EPOLL_CTL_DEL, fd, 0, 0); }

// epoll_pwait2 has had one number on all architectures since Linux 5.11; older C libraries lack the wrapper.
#define SYSTEM_CALL_EPOLL_PWAIT2 441

static int wait_precisely(int poll, struct epoll_event *events, int capacity, int64_t nanoseconds) {
  if (nanoseconds <= 0) return epoll_wait(poll, events, capacity, nanoseconds < 0 ? -1 : 0);
  struct timespec timeout = {nanoseconds / 1000000000, nanoseconds % 1000000000};
  int count = (int)syscall(SYSTEM_CALL_EPOLL_PWAIT2, poll, events, capacity, &timeout, NULL, 0);
  // Sandboxes answer EPERM for system calls that they do not know.
  if (count >= 0 || (errno != ENOSYS && errno != EPERM)) return count;
  // An epoll descriptor is itself readable when something is ready, and ppoll counts in nanoseconds too.
  struct pollfd entry = {.fd = poll, .events = POLLIN};
  if (ppoll(&entry, 1, &timeout, NULL) < 0) return -1;
  return epoll_wait(poll, events, capacity, 0);
}

int clinux_poll_wait(int poll, struct clinux_ready *ready, int capacity, int64_t nanoseconds) {
  struct epoll_event events[64];
  if (capacity > 64) capacity = 64;
  int count = wait_precisely(poll, events, capacity, nanoseconds);
  if (count < 0) return errno == EINTR ? 0 : -errno;
  for (int i = 0; i < count; i++) ready[i] = (struct clinux_ready){events[i].data.u64, events[i].events};
  return count;
}

int clinux_event_create(void) {
  int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return fd < 0 ? -errno : fd;
}

void clinux_event_signal(int fd) {
  // Fails only when the counter is full, and then the reader is about to wake anyway.
  uint64_t one = 1;
  (void)clinux_write(fd, &one, sizeof one);
}

void clinux_event_clear(int fd) {
  uint64_t count;
  (void)clinux_read(fd, &count, sizeof count);
}

int64_t clinux_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void clinux_precise_sleep(void) { prctl(PR_SET_TIMERSLACK, 1000UL, 0, 0, 0); }

void clinux_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }

// linux/netlink.h
struct netlink_address {
  uint16_t family;
  uint16_t padding;
  uint32_t port;
  uint32_t groups;
};
_Static_assert(sizeof(struct netlink_address) == 12, "sockaddr_nl");

int clinux_netlink_open(int protocol, uint32_t groups, bool blocking) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | (blocking ? 0 : SOCK_NONBLOCK), protocol);
  if (fd < 0) return -errno;
  struct netlink_address address = {.family = AF_NETLINK, .groups = groups};
  if (bind(fd, (const struct sockaddr *)&address, sizeof address) < 0) {
    int error = errno;
    close(fd);
    return -error;
  }
  return fd;
}
