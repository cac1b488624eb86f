#include "peer.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static unsigned char scratch[1 << 20];

enum { echo_capacity = 1 << 16 };

// Whether a line with the kernel's description is wanted for each connection.
static bool wants_facts(const struct options *options) { return options->each || options->connections <= 1; }

// A connection that has ended has no subflows left to ask about, so the kernel is asked on the way.
static void take_facts(struct connection *connection, const struct options *options) {
  if (!wants_facts(options)) return;
  char *text = NULL;
  size_t size = 0;
  FILE *memory = open_memstream(&text, &size);
  if (memory == NULL) return;
  print_socket_facts(memory, connection->fd);
  fclose(memory);
  int subflows = 0;
  for (char *at = text; (at = strstr(at, "\"sentSegments\"")) != NULL; at++) subflows++;
  if (connection->facts == NULL || subflows >= connection->fact_subflows) {
    free(connection->facts);
    connection->facts = text;
    connection->fact_subflows = subflows;
  } else
    free(text);
}

static void fail(struct connection *connection, int error) {
  connection->error = error;
  connection->reading_ended = connection->writing_ended = true;
}

static void note_arrival(struct connection *connection, const struct options *options, size_t count) {
  double now = now_seconds();
  if (connection->last_arrival > 0 && now - connection->last_arrival > connection->longest_gap) {
    connection->longest_gap = now - connection->last_arrival;
    connection->gap_at = connection->received;
  }
  connection->last_arrival = now;
  int64_t before = connection->received;
  connection->received += (int64_t)count;
  if (options->report_every > 0 && before / options->report_every != connection->received / options->report_every) {
    printf("{\"event\":\"progress\",\"connection\":%lld,\"received\":%lld,\"seconds\":%.6f}\n",
           (long long)connection->number, (long long)connection->received, now - connection->established);
    fflush(stdout);
  }
}

static bool read_some(struct connection *connection, const struct options *options, double now) {
  if (connection->reading_ended || now < connection->read_resumes) return false;
  unsigned char *buffer = scratch;
  size_t room = options->read_size;
  if (options->echo) {
    if (connection->echo_count > 0) return false;
    if (connection->echo == NULL && (connection->echo = malloc(echo_capacity)) == NULL) return false;
    buffer = connection->echo;
    if (room > echo_capacity) room = echo_capacity;
  }
  ssize_t n = read(connection->fd, buffer, room);
  if (n < 0) {
    if (errno == EAGAIN || errno == EINTR) return false;
    fail(connection, errno);
    return true;
  }
  if (n == 0) {
    connection->reading_ended = true;
    take_facts(connection, options);
    return true;
  }
  if (options->echo) {
    connection->echo_start = 0;
    connection->echo_count = (size_t)n;
  } else if (!options->raw && connection->first_difference < 0) {
    size_t same = pattern_check(buffer, (size_t)n, connection->receive_seed, (uint64_t)connection->received);
    if (same < (size_t)n) connection->first_difference = connection->received + (int64_t)same;
  }
  note_arrival(connection, options, (size_t)n);
  if (options->read_pause_us > 0) connection->read_resumes = now + (double)options->read_pause_us / 1e6;
  return true;
}

// Bytes that wait to be written now; -1: no more will come.
static int64_t writable_count(const struct connection *connection, const struct options *options) {
  if (options->echo) {
    if (connection->echo_count > 0) return (int64_t)connection->echo_count;
    return connection->reading_ended ? -1 : 0;
  }
  if (options->send_bytes < 0) return INT64_MAX;
  // A mere receiver keeps its direction open to the end: the kernel admits no further subflow once either side has
  // sent a DATA_FIN.
  if (options->send_bytes == 0) return connection->reading_ended ? -1 : 0;
  if (connection->sent >= options->send_bytes) return -1;
  if (options->send_after_eof && !connection->reading_ended) return 0;
  return options->send_bytes - connection->sent;
}

// Whether the SYN, which may have taken data along, has no answer yet: shutdown would take it all back.
static bool is_opening(const struct connection *connection) {
  struct sockaddr_storage address;
  socklen_t length = sizeof address;
  return getpeername(connection->fd, (struct sockaddr *)&address, &length) < 0 && errno == ENOTCONN;
}

static bool write_some(struct connection *connection, const struct options *options, double now) {
  if (connection->writing_ended || now < connection->write_resumes) return false;
  int64_t waiting = writable_count(connection, options);
  if (waiting == 0) return false;
  if (waiting < 0) {
    if (options->fast_open && !connection->reading_ended && is_opening(connection)) return false;
    take_facts(connection, options);
    if (!options->keep_writing_open && shutdown(connection->fd, SHUT_WR) < 0 && errno != ENOTCONN)
      fail(connection, errno);
    connection->writing_ended = true;
    return true;
  }
  size_t count = waiting < (int64_t)options->write_size ? (size_t)waiting : options->write_size;
  const unsigned char *from = scratch;
  if (options->echo)
    from = connection->echo + connection->echo_start;
  else if (!options->raw)
    pattern_fill(scratch, count, connection->send_seed, (uint64_t)connection->sent);
  ssize_t n = send(connection->fd, from, count, MSG_NOSIGNAL);
  if (n < 0) {
    if (errno == EAGAIN || errno == EINTR) return false;
    fail(connection, errno);
    return true;
  }
  connection->sent += n;
  if (options->echo) {
    connection->echo_start += (size_t)n;
    connection->echo_count -= (size_t)n;
  }
  if (options->write_pause_us > 0) connection->write_resumes = now + (double)options->write_pause_us / 1e6;
  return true;
}

static bool abort_if_due(struct connection *connection, const struct options *options) {
  if (options->abort_after < 0 || connection->sent + connection->received < options->abort_after) return false;
  take_facts(connection, options);
  struct linger now = {.l_onoff = 1, .l_linger = 0};
  setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  connection->aborted = connection->reading_ended = connection->writing_ended = true;
  return true;
}

// Does what can be done without waiting, both directions in turn so that neither starves the other.
void connection_step(struct connection *connection, const struct options *options, double now) {
  if (connection->connecting) {
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) {
      fail(connection, error);
      return;
    }
    connection->connecting = false;
    connection->established = now;
    if (options->read_delay_us > 0) connection->read_resumes = now + (double)options->read_delay_us / 1e6;
  }
  // A bounded number of rounds: other connections get their turn, and pauses are looked at anew.
  for (int round = 0; round < 16; round++) {
    bool wrote = write_some(connection, options, now);
    bool read = read_some(connection, options, now);
    if (abort_if_due(connection, options) || (!wrote && !read)) break;
  }
}

bool connection_finished(const struct connection *connection, const struct options *options) {
  if (connection->error != 0 || connection->aborted) return true;
  if (!connection->writing_ended) return false;
  if (connection->reading_ended) return true;
  return options->keep_writing_open && options->receive_bytes >= 0 && connection->received >= options->receive_bytes;
}

bool connection_succeeded(const struct connection *connection, const struct options *options) {
  if (connection->first_difference >= 0) return false;
  if (options->expect_reset) return connection->error == ECONNRESET || connection->error == EPIPE;
  if (connection->error != 0) return false;
  if (connection->aborted) return true;
  return options->receive_bytes < 0 || connection->received == options->receive_bytes;
}

uint32_t connection_interest(const struct connection *connection, const struct options *options, double now) {
  if (connection->connecting) return EPOLLOUT;
  uint32_t events = 0;
  bool may_read = !options->echo || connection->echo_count == 0;
  if (!connection->reading_ended && may_read && now >= connection->read_resumes) events |= EPOLLIN;
  if (!connection->writing_ended && now >= connection->write_resumes && writable_count(connection, options) != 0)
    events |= EPOLLOUT;
  return events;
}

void connection_report(FILE *output, const struct connection *connection, const struct options *options, bool multipath) {
  double seconds = connection->finished_at - connection->opened;
  fprintf(output,
          "{\"event\":\"connection\",\"number\":%lld,\"sent\":%lld,\"received\":%lld,\"seconds\":%.6f,"
          "\"succeeded\":%s,\"firstDifference\":%lld,\"longestGap\":%.6f,\"longestGapAt\":%lld,\"error\":",
          (long long)connection->number, (long long)connection->sent, (long long)connection->received, seconds,
          connection_succeeded(connection, options) ? "true" : "false", (long long)connection->first_difference,
          connection->longest_gap, (long long)connection->gap_at);
  if (connection->error == 0)
    fprintf(output, "null");
  else
    fprintf(output, "\"%s\"", strerror(connection->error));
  if (connection->facts != NULL) fputs(connection->facts, output);
  fprintf(output, ",\"multipathAtEnd\":%s}\n", multipath ? "true" : "false");
}
