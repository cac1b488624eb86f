#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// The signals that people and shells end a command with, and the news of children.
static sigset_t awaited_signals(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGHUP);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGQUIT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGCHLD);
  return set;
}

void clinux_signals_block(void) {
  sigset_t set = awaited_signals();
  sigprocmask(SIG_BLOCK, &set, NULL);
}

int clinux_signal_wait(int64_t nanoseconds, bool *is_for_group) {
  sigset_t set = awaited_signals();
  struct timespec timeout = {nanoseconds / 1000000000, nanoseconds % 1000000000};
  siginfo_t information;
  int number = sigtimedwait(&set, &information, &timeout);
  if (number < 0) return errno == EAGAIN || errno == EINTR ? 0 : -errno;
  // A terminal's signals come from the kernel, and the whole foreground group has them.
  *is_for_group = information.si_code == SI_KERNEL;
  return number;
}

int clinux_reap(int *status) {
  int raw;
  pid_t child = waitpid(-1, &raw, WNOHANG);
  if (child <= 0) return 0;
  *status = WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
  return child;
}

// One child in new namespaces. As `fork`, since the flags have no room for a stack.
static pid_t clone_process(unsigned long flags) { return (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0); }

static void fail(int pipe, int error) {
  (void)clinux_write(pipe, &error, sizeof error);
  _exit(127);
}

static void begin_inside(int lifeline, int report, bool in_user_namespace, unsigned user, unsigned group) {
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  // The parent may be gone already, and then no signal comes.
  struct pollfd parent = {.fd = lifeline, .events = POLLIN};
  if (poll(&parent, 1, 0) != 0) _exit(127);
  if (in_user_namespace) {
    int result = clinux_map_root(user, group);
    if (result < 0) fail(report, -result);
  }
  // Where /proc is partly hidden, as in containers, a new one is refused; the old one does, with other process numbers.
  if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
    (void)mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
}

int clinux_run_in_namespaces(const char *path, char *const argv[], char *const envp[]) {
  int lifeline[2], report[2];
  if (pipe2(lifeline, O_CLOEXEC) < 0 || pipe2(report, O_CLOEXEC) < 0) return -errno;
  sigset_t before;
  sigprocmask(SIG_SETMASK, NULL, &before);
  clinux_signals_block();
  unsigned user = geteuid(), group = getegid();
  unsigned long flags = CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWNS;
  // Real root keeps its rights on files, which it would lose in a user namespace.
  bool in_user_namespace = false;
  pid_t child = clone_process(flags);
  if (child < 0 && errno == EPERM) {
    in_user_namespace = true;
    child = clone_process(flags | CLONE_NEWUSER);
  }
  if (child == 0) {
    close(lifeline[1]);
    begin_inside(lifeline[0], report[1], in_user_namespace, user, group);
    sigprocmask(SIG_SETMASK, &before, NULL);
    execve(path, argv, envp);
    fail(report[1], errno);
  }
  int error = child < 0 ? errno : 0;
  close(report[1]);
  close(lifeline[0]);
  if (error == 0 && clinux_read(report[0], &error, sizeof error) != sizeof error) error = 0;
  close(report[0]);
  int status = 0;
  bool is_for_group;
  while (child > 0) {
    int number = clinux_signal_wait(3600000000000, &is_for_group);
    if (number == SIGCHLD) {
      // A shell that this program took the place of may have left children here.
      pid_t ended;
      while ((ended = clinux_reap(&status)) > 0 && ended != child) {}
      if (ended == child) break;
    } else if (number > 0 && !is_for_group) {
      kill(child, number);
    }
  }
  close(lifeline[1]);
  sigprocmask(SIG_SETMASK, &before, NULL);
  return error ? -error : status;
}

int clinux_spawn(
    char *const argv[], char *const envp[], int network, bool own_group, int input, int output, int errors) {
  int report[2];
  if (pipe2(report, O_CLOEXEC) < 0) return -errno;
  pid_t child = fork();
  if (child == 0) {
    // Only calls that are safe between fork and exec.
    if (network >= 0 && setns(network, CLONE_NEWNET) < 0) fail(report[1], errno);
    if (own_group && setpgid(0, 0) < 0) fail(report[1], errno);
    int given[3] = {input, output, errors};
    for (int number = 0; number < 3; number++)
      if (given[number] >= 0 && dup2(given[number], number) < 0) fail(report[1], errno);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execvpe(argv[0], argv, envp);
    fail(report[1], errno);
  }
  int error = child < 0 ? errno : 0;
  close(report[1]);
  if (error == 0 && clinux_read(report[0], &error, sizeof error) == sizeof error) waitpid(child, NULL, 0);
  close(report[0]);
  return error ? -error : child;
}

bool clinux_is_foreground(void) {
  int terminal = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);
  if (terminal < 0) return false;
  bool is_foreground = tcgetpgrp(terminal) == getpgrp();
  close(terminal);
  return is_foreground;
}

bool clinux_urgent_thread(bool may_preempt) {
  struct sched_param parameters = {.sched_priority = 1};
  if (may_preempt && sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &parameters) == 0) return true;
  return setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), -15) == 0;
}

int clinux_run_delay_open(void) {
  int fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

int64_t clinux_run_delay(int fd) {
  char text[96];
  ssize_t length = pread(fd, text, sizeof text - 1, 0);
  if (length <= 0) return 0;
  text[length] = 0;
  const char *second = strchr(text, ' ');
  return second ? strtoll(second + 1, NULL, 10) : 0;
}
