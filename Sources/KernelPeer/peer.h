// mptcp-peer: the kernel's side of the interop tests and benchmarks.
//
// One epoll loop drives any number of connections, as client or as server, over the kernel's Multipath TCP or plain
// TCP. What it sends is a pattern that a seed and an offset determine, so that the receiver can check every byte
// without a copy of the data.
#ifndef MPTCP_PEER_H
#define MPTCP_PEER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

enum { exit_verified = 0, exit_failed = 1, exit_usage = 2, exit_deadline = 124 };

struct endpoint {
  struct sockaddr_storage storage;
  socklen_t length;
};

enum { max_endpoints = 64 };

struct options {
  bool plain_tcp;
  bool echo;              // return what arrives; the pattern is not looked at
  bool raw;               // send the same bytes again and again and check nothing: for benchmarks
  bool no_delay;          // TCP_NODELAY
  bool fast_open;         // server: TCP_FASTOPEN; client: the first data on the SYN once there is a cookie
  bool send_after_eof;    // half-close: send only once the peer has finished
  bool keep_writing_open; // never call shutdown(SHUT_WR): close ends both directions
  bool expect_reset;      // the connection must end by a reset
  bool each;              // a line for each connection, even if there are many
  bool own_seeds;         // each of many connections has a pattern of its own: against an echo only
  struct endpoint endpoints[max_endpoints]; // listening addresses, or the servers in turn
  int endpoint_count;
  struct endpoint source;
  bool has_source;
  const char *congestion;
  int64_t send_bytes;    // -1: until the peer closes or the deadline passes
  int64_t receive_bytes; // -1: any number
  uint64_t send_seed, receive_seed;
  int64_t connections; // client: how many in all; server: exit after so many, 0: never
  int64_t in_flight;
  int64_t report_every; // a progress line each time so many bytes have arrived; 0: none
  int64_t abort_after; // SO_LINGER 0 and close after so many bytes in both directions together; -1: never
  size_t write_size, read_size;
  int64_t read_delay_us, read_pause_us, write_pause_us, close_delay_us;
  int send_buffer, receive_buffer;
  double deadline_seconds;
};

// pattern.c
void pattern_fill(void *buffer, size_t length, uint64_t seed, uint64_t offset);
// Returns the index of the first byte that differs, or `length`.
size_t pattern_check(const void *buffer, size_t length, uint64_t seed, uint64_t offset);
int run_pattern(int argc, char **argv);
int run_check(int argc, char **argv);

// options.c
bool parse_endpoint(const char *text, struct endpoint *endpoint);
bool parse_count(const char *text, int64_t *value);
int parse_options(int argc, char **argv, bool is_server, struct options *options);

// sockets.c
int open_socket(const struct options *options, int family, bool is_server);
void describe_endpoint(const struct sockaddr *address, char *text, size_t size);
void print_socket_facts(FILE *output, int fd);
bool is_multipath(int fd);
double now_seconds(void);

// connection.c: one connection, which does not wait and knows no other.
struct connection {
  int fd;
  bool connecting, reading_ended, writing_ended, aborted;
  uint32_t interest; // the epoll events asked for
  int64_t number, sent, received, first_difference, gap_at;
  uint64_t send_seed, receive_seed;
  double opened, established, last_arrival, longest_gap, finished_at;
  double read_resumes, write_resumes; // a pause holds until then
  unsigned char *echo;
  size_t echo_start, echo_count;
  int error;
  char *facts; // the richest description the kernel gave of it so far
  int fact_subflows;
  struct connection *previous, *next;
};

void connection_step(struct connection *connection, const struct options *options, double now);
bool connection_finished(const struct connection *connection, const struct options *options);
bool connection_succeeded(const struct connection *connection, const struct options *options);
uint32_t connection_interest(const struct connection *connection, const struct options *options, double now);
void connection_report(FILE *output, const struct connection *connection, const struct options *options, bool multipath);

// loop.c
int run_client(const struct options *options);
int run_server(const struct options *options);

// relay.c
int run_relay(int argc, char **argv);

#endif
