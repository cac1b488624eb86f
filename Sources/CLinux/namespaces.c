#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int clinux_unshare_network(void) { return unshare(CLONE_NEWNET) < 0 ? -errno : 0; }

int clinux_enter_network(int fd) { return setns(fd, CLONE_NEWNET) < 0 ? -errno : 0; }

int clinux_current_network(void) {
  int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

static int write_file(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -errno;
  size_t length = strlen(text);
  ssize_t written = write(fd, text, length);
  int error = written < 0 ? errno : EIO;
  close(fd);
  return written == (ssize_t)length ? 0 : -error;
}

// Only calls that are safe between fork and exec.
int clinux_map_root(unsigned user, unsigned group) {
  char user_map[32], group_map[32];
  snprintf(user_map, sizeof user_map, "0 %u 1", user);
  snprintf(group_map, sizeof group_map, "0 %u 1", group);
  int result = write_file("/proc/self/setgroups", "deny");
  // Kernels from before 3.19 have no such file and need no denial.
  if (result < 0 && result != -ENOENT) return result;
  result = write_file("/proc/self/uid_map", user_map);
  if (result < 0) return result;
  return write_file("/proc/self/gid_map", group_map);
}

// Only calls that are safe between fork and exec.
static int enter_own_namespace(void) {
  // Real root keeps its rights on files, which it would lose in a user namespace.
  if (unshare(CLONE_NEWNET) == 0) return 0;
  unsigned user = geteuid(), group = getegid();
  if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) return -errno;
  return clinux_map_root(user, group);
}

int clinux_exec_in_namespace(const char *path, char *const argv[], char *const envp[]) {
  int result = enter_own_namespace();
  if (result < 0) return result;
  execve(path, argv, envp);
  return -errno;
}

bool clinux_has_capability(int number) {
  char text[4096];
  int fd = open("/proc/thread-self/status", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t length = clinux_read(fd, text, sizeof text - 1);
  close(fd);
  if (length < 0) return false;
  text[length] = 0;
  const char *line = strstr(text, "CapEff:");
  return line && (strtoull(line + 7, NULL, 16) >> number & 1);
}
