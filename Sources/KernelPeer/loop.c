#include "peer.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

struct loop {
  const struct options *options;
  bool is_server;
  int epoll;
  int listeners[max_endpoints];
  struct connection *live;
  int64_t opened, finished, failed, multipath, sent, received, live_count;
  double started, first_finished, longest_gap;
};

static volatile sig_atomic_t stopping;

static void stop(int signal) {
  (void)signal;
  stopping = 1;
}

static struct connection *add(struct loop *loop, int fd, bool connecting) {
  struct connection *connection = calloc(1, sizeof *connection);
  if (connection == NULL) return NULL;
  connection->fd = fd;
  connection->connecting = connecting;
  connection->number = loop->opened++;
  connection->first_difference = -1;
  connection->send_seed = loop->options->send_seed;
  connection->receive_seed = loop->options->receive_seed;
  if (loop->options->own_seeds && loop->options->connections > 1) {
    connection->send_seed += (uint64_t)connection->number;
    connection->receive_seed += (uint64_t)connection->number;
  }
  connection->opened = connection->established = now_seconds();
  if (!connecting && loop->options->read_delay_us > 0)
    connection->read_resumes = connection->opened + (double)loop->options->read_delay_us / 1e6;
  connection->next = loop->live;
  if (loop->live != NULL) loop->live->previous = connection;
  loop->live = connection;
  loop->live_count++;
  return connection;
}

static void set_interest(struct loop *loop, struct connection *connection, uint32_t interest) {
  if (interest == connection->interest) return;
  struct epoll_event event = {.events = interest, .data.ptr = connection};
  // With no interest at all the descriptor leaves the set, since hang-ups are reported unasked.
  int operation = connection->interest == 0 ? EPOLL_CTL_ADD : interest == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
  epoll_ctl(loop->epoll, operation, connection->fd, &event);
  connection->interest = interest;
}

static void watch(struct loop *loop, struct connection *connection, double now) {
  set_interest(loop, connection, connection_interest(connection, loop->options, now));
}

static void finish(struct loop *loop, struct connection *connection, double now) {
  const struct options *options = loop->options;
  if (options->close_delay_us > 0 && connection->error == 0) {
    if (connection->finished_at == 0) {
      connection->finished_at = now;
      set_interest(loop, connection, 0);
      return;
    }
    if (now < connection->finished_at + (double)options->close_delay_us / 1e6) return;
  } else
    connection->finished_at = now_seconds();
  bool multipath = is_multipath(connection->fd);
  close(connection->fd);
  loop->finished++;
  loop->live_count--;
  if (multipath) loop->multipath++;
  if (!connection_succeeded(connection, options)) {
    loop->failed++;
    if (loop->failed <= 5)
      fprintf(stderr, "mptcp-peer: connection %lld failed: sent %lld, received %lld, first difference %lld, %s\n",
              (long long)connection->number, (long long)connection->sent, (long long)connection->received,
              (long long)connection->first_difference, strerror(connection->error));
  }
  loop->sent += connection->sent;
  loop->received += connection->received;
  if (connection->longest_gap > loop->longest_gap) loop->longest_gap = connection->longest_gap;
  if (options->each || options->connections <= 1) {
    connection_report(stdout, connection, options, multipath);
    fflush(stdout);
  }
  if (connection->next != NULL) connection->next->previous = connection->previous;
  if (connection->previous != NULL) connection->previous->next = connection->next;
  if (loop->live == connection) loop->live = connection->next;
  free(connection->facts);
  free(connection->echo);
  free(connection);
}

static void step(struct loop *loop, struct connection *connection, double now) {
  connection_step(connection, loop->options, now);
  if (connection_finished(connection, loop->options)) {
    finish(loop, connection, now);
    return;
  }
  watch(loop, connection, now);
}

static bool open_connection(struct loop *loop) {
  const struct options *options = loop->options;
  const struct endpoint *to = &options->endpoints[loop->opened % options->endpoint_count];
  int fd = open_socket(options, to->storage.ss_family, false);
  if (fd < 0) return false;
  const int on = 1;
  if (options->has_source) {
    // Several servers may share a local port: the kernel chooses it when connecting.
    setsockopt(fd, IPPROTO_IP, 24 /* IP_BIND_ADDRESS_NO_PORT */, &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)&options->source.storage, options->source.length) < 0) {
      fprintf(stderr, "mptcp-peer: --source: %s\n", strerror(errno));
      close(fd);
      return false;
    }
  }
  int error = connect(fd, (const struct sockaddr *)&to->storage, to->length) < 0 ? errno : 0;
  struct connection *connection = add(loop, fd, true);
  if (connection == NULL) return false;
  if (error != 0 && error != EINPROGRESS) {
    connection->error = error;
    finish(loop, connection, now_seconds());
    return true;
  }
  watch(loop, connection, now_seconds());
  return true;
}

static void accept_all(struct loop *loop, int listener) {
  for (;;) {
    if (loop->options->connections > 0 && loop->opened >= loop->options->connections) {
      epoll_ctl(loop->epoll, EPOLL_CTL_DEL, listener, NULL);
      return;
    }
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    struct connection *connection = add(loop, fd, false);
    if (connection == NULL) {
      close(fd);
      return;
    }
    step(loop, connection, now_seconds());
  }
}

static bool open_listeners(struct loop *loop) {
  const struct options *options = loop->options;
  for (int i = 0; i < options->endpoint_count; i++) {
    const struct endpoint *at = &options->endpoints[i];
    int fd = open_socket(options, at->storage.ss_family, true), on = 1;
    if (fd < 0) return false;
    if (at->storage.ss_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)&at->storage, at->length) < 0 || listen(fd, 4096) < 0) {
      fprintf(stderr, "mptcp-peer: listening: %s\n", strerror(errno));
      return false;
    }
    loop->listeners[i] = fd;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &loop->listeners[i]};
    epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event);
  }
  printf("{\"event\":\"listening\"}\n");
  fflush(stdout);
  return true;
}

static bool is_listener(const struct loop *loop, const void *pointer) {
  return pointer >= (const void *)loop->listeners && pointer < (const void *)(loop->listeners + max_endpoints);
}

// Wakes what a pause held back, and returns how long epoll may wait, in milliseconds.
static int resume_paused(struct loop *loop) {
  const struct options *options = loop->options;
  if (options->read_pause_us == 0 && options->write_pause_us == 0 && options->read_delay_us == 0 &&
      options->close_delay_us == 0)
    return 100;
  double now = now_seconds();
  for (struct connection *connection = loop->live, *next; connection != NULL; connection = next) {
    next = connection->next;
    if (connection->finished_at > 0)
      finish(loop, connection, now);
    else if (connection_interest(connection, options, now) != connection->interest)
      watch(loop, connection, now);
  }
  return 1;
}

static void print_totals(const struct loop *loop, double seconds) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  printf("{\"event\":\"done\",\"connections\":%lld,\"failed\":%lld,\"unfinished\":%lld,\"seconds\":%.6f,"
         "\"connectionsPerSecond\":%.1f,\"sent\":%lld,\"received\":%lld,\"multipathConnections\":%lld,\"longestGap\":%.6f,"
         "\"userSeconds\":%.3f,\"systemSeconds\":%.3f}\n",
         (long long)loop->finished, (long long)loop->failed, (long long)loop->live_count, seconds,
         seconds > 0 ? (double)loop->finished / seconds : 0, (long long)loop->sent, (long long)loop->received,
         (long long)loop->multipath, loop->longest_gap, (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6,
         (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6);
  fflush(stdout);
}

static int run(struct loop *loop) {
  const struct options *options = loop->options;
  struct sigaction action = {.sa_handler = stop};
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  signal(SIGPIPE, SIG_IGN);
  loop->epoll = epoll_create1(EPOLL_CLOEXEC);
  loop->started = now_seconds();
  if (loop->is_server && !open_listeners(loop)) return exit_failed;
  double deadline = loop->started + options->deadline_seconds;
  bool late = false;
  while (!stopping && (options->connections == 0 || loop->finished < options->connections)) {
    while (!loop->is_server && loop->live_count < options->in_flight && loop->opened < options->connections)
      if (!open_connection(loop)) return exit_failed;
    int timeout = resume_paused(loop);
    struct epoll_event events[256];
    int count = epoll_wait(loop->epoll, events, 256, timeout);
    double now = now_seconds();
    if (now > deadline) {
      late = true;
      break;
    }
    for (int i = 0; i < count; i++) {
      if (is_listener(loop, events[i].data.ptr)) {
        if (loop->finished == 0 && loop->opened == 0) loop->started = now;
        accept_all(loop, *(int *)events[i].data.ptr);
      } else
        step(loop, events[i].data.ptr, now);
    }
  }
  print_totals(loop, now_seconds() - loop->started);
  if (late) {
    fprintf(stderr, "mptcp-peer: the deadline of %.0f s passed with %lld connections open\n", options->deadline_seconds,
            (long long)loop->live_count);
    for (struct connection *connection = loop->live; connection != NULL; connection = connection->next)
      fprintf(stderr, "mptcp-peer: connection %lld is open: sent %lld, received %lld, reading %s, writing %s\n",
              (long long)connection->number, (long long)connection->sent, (long long)connection->received,
              connection->reading_ended ? "ended" : "open", connection->writing_ended ? "ended" : "open");
    return exit_deadline;
  }
  return loop->failed == 0 ? exit_verified : exit_failed;
}

int run_client(const struct options *options) {
  struct loop loop = {.options = options};
  return run(&loop);
}

int run_server(const struct options *options) {
  struct loop loop = {.options = options, .is_server = true};
  return run(&loop);
}
