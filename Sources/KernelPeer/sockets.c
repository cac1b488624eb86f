#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// Numbers and layouts of the kernel's socket API. They are spelt out because distributions ship headers that are
// older than the kernels they run.
enum { protocol_mptcp = 262, level_mptcp = 284, option_info = 1, option_tcp_info = 2, option_addresses = 3 };

struct multipath_information {
  uint8_t subflows, signals, accepted, subflows_max, signals_max, accepted_max;
  uint32_t flags, token;
  uint64_t write_sequence, send_unacknowledged, receive_next;
  uint8_t local_addresses_used, local_addresses_max, checksum_enabled;
  uint32_t retransmits;
  uint64_t bytes_retransmitted, bytes_sent, bytes_received, bytes_acknowledged;
  uint8_t subflows_total, reserved[3];
  uint32_t last_data_sent, last_data_received, last_ack_received;
};

struct subflow_header {
  uint32_t header_size, count, kernel_size, user_size;
} __attribute__((aligned(8)));

struct subflow_addresses {
  struct sockaddr_storage local, remote;
};

enum { max_subflows = 16 };

double now_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int open_socket(const struct options *options, int family, bool is_server) {
  int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, options->plain_tcp ? IPPROTO_TCP : protocol_mptcp);
  if (fd < 0) {
    fprintf(stderr, "mptcp-peer: socket: %s%s\n", strerror(errno),
            options->plain_tcp ? "" : " (a kernel with Multipath TCP, and net.mptcp.enabled=1, or --tcp)");
    return -1;
  }
  int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (options->congestion != NULL &&
      setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, options->congestion, (socklen_t)strlen(options->congestion)) < 0)
    fprintf(stderr, "mptcp-peer: --congestion %s: %s\n", options->congestion, strerror(errno));
  if (options->no_delay) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const int queue = 256;
  if (options->fast_open &&
      setsockopt(fd, IPPROTO_TCP, is_server ? TCP_FASTOPEN : TCP_FASTOPEN_CONNECT, is_server ? &queue : &on, sizeof on) < 0)
    fprintf(stderr, "mptcp-peer: --fast-open: %s\n", strerror(errno));
  if (options->send_buffer > 0) setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &options->send_buffer, sizeof(int));
  if (options->receive_buffer > 0) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &options->receive_buffer, sizeof(int));
  return fd;
}

void describe_endpoint(const struct sockaddr *address, char *text, size_t size) {
  char host[INET6_ADDRSTRLEN] = "?";
  if (address->sa_family == AF_INET) {
    const struct sockaddr_in *v4 = (const void *)address;
    inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
    snprintf(text, size, "%s:%u", host, ntohs(v4->sin_port));
  } else if (address->sa_family == AF_INET6) {
    const struct sockaddr_in6 *v6 = (const void *)address;
    inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
    snprintf(text, size, "[%s]:%u", host, ntohs(v6->sin6_port));
  } else
    snprintf(text, size, "?");
}

static bool information(int fd, struct multipath_information *info) {
  socklen_t length = sizeof *info;
  memset(info, 0, sizeof *info);
  return getsockopt(fd, level_mptcp, option_info, info, &length) == 0;
}

// The kernel's flag for a connection that is plain TCP now: bit 0.
bool is_multipath(int fd) {
  struct multipath_information info;
  return information(fd, &info) && (info.flags & 1) == 0;
}

static void print_tcp(FILE *output, const struct tcp_info *tcp) {
  fprintf(output,
          "\"bytesSent\":%llu,\"bytesReceived\":%llu,\"retransmittedSegments\":%u,\"sentSegments\":%u,"
          "\"receivedSegments\":%u,\"duplicates\":%u,\"rttMicroseconds\":%u",
          (unsigned long long)tcp->tcpi_bytes_sent, (unsigned long long)tcp->tcpi_bytes_received,
          tcp->tcpi_total_retrans, tcp->tcpi_segs_out, tcp->tcpi_segs_in, tcp->tcpi_dsack_dups, tcp->tcpi_rtt);
}

static void print_subflows(FILE *output, int fd) {
  struct { struct subflow_header header; struct tcp_info tcp[max_subflows]; } tcp = {
    .header = {.header_size = sizeof tcp.header, .user_size = sizeof(struct tcp_info)}};
  struct { struct subflow_header header; struct subflow_addresses addresses[max_subflows]; } addresses = {
    .header = {.header_size = sizeof addresses.header, .user_size = sizeof(struct subflow_addresses)}};
  socklen_t length = sizeof tcp, address_length = sizeof addresses;
  if (getsockopt(fd, level_mptcp, option_tcp_info, &tcp, &length) < 0 ||
      getsockopt(fd, level_mptcp, option_addresses, &addresses, &address_length) < 0)
    return;
  fprintf(output, ",\"subflows\":[");
  for (uint32_t i = 0; i < tcp.header.count && i < addresses.header.count && i < max_subflows; i++) {
    char local[64], remote[64];
    describe_endpoint((struct sockaddr *)&addresses.addresses[i].local, local, sizeof local);
    describe_endpoint((struct sockaddr *)&addresses.addresses[i].remote, remote, sizeof remote);
    fprintf(output, "%s{\"local\":\"%s\",\"remote\":\"%s\",", i == 0 ? "" : ",", local, remote);
    print_tcp(output, &tcp.tcp[i]);
    fprintf(output, "}");
  }
  fprintf(output, "]");
}

// What the kernel says of the connection, as members of a JSON object.
void print_socket_facts(FILE *output, int fd) {
  struct sockaddr_storage address;
  char text[64];
  socklen_t length = sizeof address;
  if (getsockname(fd, (struct sockaddr *)&address, &length) == 0) {
    describe_endpoint((struct sockaddr *)&address, text, sizeof text);
    fprintf(output, ",\"local\":\"%s\"", text);
  }
  length = sizeof address;
  if (getpeername(fd, (struct sockaddr *)&address, &length) == 0) {
    describe_endpoint((struct sockaddr *)&address, text, sizeof text);
    fprintf(output, ",\"remote\":\"%s\"", text);
  }
  char congestion[32] = "";
  length = sizeof congestion - 1;
  if (getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion, &length) == 0)
    fprintf(output, ",\"congestion\":\"%s\"", congestion);
  struct multipath_information info;
  if (information(fd, &info)) {
    fprintf(output,
            ",\"multipath\":%s,\"fallback\":%s,\"token\":\"%08x\",\"extraSubflows\":%u,\"subflowsTotal\":%u,"
            "\"checksum\":%s,\"dataRetransmits\":%u,\"bytesRetransmitted\":%llu",
            (info.flags & 1) == 0 ? "true" : "false", (info.flags & 1) != 0 ? "true" : "false", ntohl(info.token),
            info.subflows, info.subflows_total, info.checksum_enabled ? "true" : "false", info.retransmits,
            (unsigned long long)info.bytes_retransmitted);
    print_subflows(output, fd);
  } else {
    struct tcp_info tcp = {0};
    length = sizeof tcp;
    fprintf(output, ",\"multipath\":false,\"fallback\":false");
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &tcp, &length) == 0) {
      fprintf(output, ",\"subflows\":[{");
      print_tcp(output, &tcp);
      fprintf(output, "}]");
    }
  }
}
