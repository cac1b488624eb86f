#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

// 192.0.2.1:80, [2001:db8::1]:80; the port may be left out (0).
bool parse_endpoint(const char *text, struct endpoint *endpoint) {
  char host[INET6_ADDRSTRLEN + 1] = "";
  const char *port = NULL;
  memset(endpoint, 0, sizeof *endpoint);
  const char *end;
  if (text[0] == '[') {
    text++;
    end = strchr(text, ']');
    if (end == NULL) return false;
    if (end[1] == ':') port = end + 2;
  } else {
    end = strchr(text, ':');
    if (end != NULL && strchr(end + 1, ':') == NULL)
      port = end + 1;
    else
      end = text + strlen(text);
  }
  if ((size_t)(end - text) >= sizeof host) return false;
  memcpy(host, text, (size_t)(end - text));
  int64_t number = 0;
  if (port != NULL && (!parse_count(port, &number) || number > 65535)) return false;
  struct sockaddr_in *v4 = (struct sockaddr_in *)&endpoint->storage;
  struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&endpoint->storage;
  if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons((uint16_t)number);
    endpoint->length = sizeof *v4;
    return true;
  }
  if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((uint16_t)number);
    endpoint->length = sizeof *v6;
    return true;
  }
  return false;
}

// A decimal count, with k, m or g for powers of 1,024.
bool parse_count(const char *text, int64_t *value) {
  char *end;
  errno = 0;
  long long number = strtoll(text, &end, 10);
  if (end == text || errno != 0 || number < 0) return false;
  int shift = 0;
  if (*end == 'k' || *end == 'K') shift = 10, end++;
  else if (*end == 'm' || *end == 'M') shift = 20, end++;
  else if (*end == 'g' || *end == 'G') shift = 30, end++;
  if (*end != 0 || number > INT64_MAX >> shift) return false;
  *value = (int64_t)number << shift;
  return true;
}

static const char help[] =
  "usage: mptcp-peer client [options] ADDRESS:PORT...   (several servers are used in turn)\n"
  "       mptcp-peer server [options] ADDRESS:PORT...\n"
  "       mptcp-peer pattern BYTES [SEED] | mptcp-peer check BYTES [SEED] | mptcp-peer relay TUN[@NETNS] TUN[@NETNS]...\n"
  "  --send BYTES  --receive BYTES  --send-seed N  --receive-seed N   the pattern each way (default seeds: client 1, server 2)\n"
  "  --echo  --raw  --tcp  --no-delay  --fast-open  --send-after-eof  --keep-writing-open  --expect-reset  --each\n"
  "  --connections N  --in-flight N  --bytes BYTES (client: so many each way, against --echo)\n"
  "  --write-size BYTES  --read-size BYTES  --read-delay-us N  --read-pause-us N  --write-pause-us N  --close-delay-us N\n"
  "  --abort-after BYTES  --report-every BYTES  --source ADDRESS[:PORT]  --congestion NAME  --send-buffer BYTES  --receive-buffer BYTES\n"
  "  --deadline SECONDS\n";

static int refuse(const char *option, const char *problem) {
  fprintf(stderr, "mptcp-peer: %s: %s\n%s", option, problem, help);
  return exit_usage;
}

int parse_options(int argc, char **argv, bool is_server, struct options *options) {
  *options = (struct options){
    .send_seed = is_server ? 2 : 1,
    .receive_seed = is_server ? 1 : 2,
    .receive_bytes = -1,
    .connections = is_server ? 0 : 1,
    .in_flight = 1,
    .abort_after = -1,
    .write_size = 1 << 16,
    .read_size = 1 << 16,
    .deadline_seconds = 600,
  };
  const struct { const char *name; bool *value; } switches[] = {
    {"--tcp", &options->plain_tcp},
    {"--echo", &options->echo},
    {"--raw", &options->raw},
    {"--no-delay", &options->no_delay},
    {"--fast-open", &options->fast_open},
    {"--send-after-eof", &options->send_after_eof},
    {"--keep-writing-open", &options->keep_writing_open},
    {"--expect-reset", &options->expect_reset},
    {"--each", &options->each},
  };
  int64_t bytes = -1, write_size = 1 << 16, read_size = 1 << 16, send_seed = -1, receive_seed = -1, deadline = 600,
          send_buffer = 0, receive_buffer = 0;
  const struct { const char *name; int64_t *value; } counts[] = {
    {"--send", &options->send_bytes},
    {"--receive", &options->receive_bytes},
    {"--send-seed", &send_seed},
    {"--receive-seed", &receive_seed},
    {"--connections", &options->connections},
    {"--in-flight", &options->in_flight},
    {"--bytes", &bytes},
    {"--write-size", &write_size},
    {"--read-size", &read_size},
    {"--read-delay-us", &options->read_delay_us},
    {"--read-pause-us", &options->read_pause_us},
    {"--write-pause-us", &options->write_pause_us},
    {"--close-delay-us", &options->close_delay_us},
    {"--abort-after", &options->abort_after},
    {"--report-every", &options->report_every},
    {"--send-buffer", &send_buffer},
    {"--receive-buffer", &receive_buffer},
    {"--deadline", &deadline},
  };
  for (int i = 0; i < argc; i++) {
    const char *name = argv[i];
    bool known = false;
    if (name[0] != '-') {
      if (options->endpoint_count == max_endpoints) return refuse(name, "more than 64 addresses");
      if (!parse_endpoint(name, &options->endpoints[options->endpoint_count++])) return refuse(name, "no ADDRESS:PORT");
      continue;
    }
    for (size_t s = 0; s < sizeof switches / sizeof *switches; s++)
      if (strcmp(name, switches[s].name) == 0) *switches[s].value = known = true;
    if (known) continue;
    if (i + 1 == argc) return refuse(name, "unknown, or a value is missing");
    const char *value = argv[++i];
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
      if (strcmp(name, counts[c].name) == 0) {
        if (!parse_count(value, counts[c].value)) return refuse(name, "no count");
        known = true;
      }
    if (known) continue;
    if (strcmp(name, "--congestion") == 0)
      options->congestion = value;
    else if (strcmp(name, "--source") == 0) {
      if (!parse_endpoint(value, &options->source)) return refuse(name, "no ADDRESS[:PORT]");
      options->has_source = true;
    } else
      return refuse(name, "unknown");
  }
  if (options->endpoint_count == 0) return refuse("ADDRESS:PORT", "missing");
  if (write_size == 0 || read_size == 0 || write_size > 1 << 20 || read_size > 1 << 20)
    return refuse("--write-size, --read-size", "1 to 1m");
  if (options->in_flight == 0) return refuse("--in-flight", "at least 1");
  if (bytes >= 0) {
    options->send_bytes = options->receive_bytes = bytes;
    options->receive_seed = options->send_seed;
    options->own_seeds = true;
  }
  if (send_seed >= 0) options->send_seed = (uint64_t)send_seed;
  if (receive_seed >= 0) options->receive_seed = (uint64_t)receive_seed;
  options->write_size = (size_t)write_size;
  options->read_size = (size_t)read_size;
  options->send_buffer = (int)send_buffer;
  options->receive_buffer = (int)receive_buffer;
  options->deadline_seconds = (double)deadline;
  return 0;
}
