#include "peer.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// A word of the pattern: SplitMix64's finaliser over the seed and the word's index.
static inline uint64_t pattern_word(uint64_t seed, uint64_t index) {
  uint64_t z = (seed + 1) * 0xD1B54A32D192ED03u + (index + 1) * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

void pattern_fill(void *buffer, size_t length, uint64_t seed, uint64_t offset) {
  unsigned char *out = buffer;
  uint64_t index = offset / 8;
  size_t skip = offset % 8;
  while (length > 0) {
    uint64_t word = pattern_word(seed, index++);
    size_t count = 8 - skip < length ? 8 - skip : length;
    if (count == 8)
      memcpy(out, &word, 8);
    else
      memcpy(out, (unsigned char *)&word + skip, count);
    out += count;
    length -= count;
    skip = 0;
  }
}

size_t pattern_check(const void *buffer, size_t length, uint64_t seed, uint64_t offset) {
  const unsigned char *in = buffer;
  uint64_t index = offset / 8;
  size_t skip = offset % 8, done = 0;
  while (done < length) {
    uint64_t word = pattern_word(seed, index++);
    size_t count = 8 - skip < length - done ? 8 - skip : length - done;
    const unsigned char *expected = (unsigned char *)&word + skip;
    if (memcmp(in + done, expected, count) != 0) {
      while (in[done] == *expected) done++, expected++;
      return done;
    }
    done += count;
    skip = 0;
  }
  return length;
}

static int usage(const char *command) {
  fprintf(stderr, "usage: mptcp-peer %s BYTES [SEED]\n", command);
  return exit_usage;
}

static unsigned char scratch[1 << 16];

// Writes BYTES of the pattern to the standard output.
int run_pattern(int argc, char **argv) {
  int64_t bytes, seed = 1;
  if (argc < 1 || !parse_count(argv[0], &bytes) || (argc > 1 && !parse_count(argv[1], &seed))) return usage("pattern");
  for (int64_t sent = 0; sent < bytes;) {
    size_t count = sizeof scratch < (uint64_t)(bytes - sent) ? sizeof scratch : (size_t)(bytes - sent);
    pattern_fill(scratch, count, (uint64_t)seed, (uint64_t)sent);
    for (size_t done = 0; done < count;) {
      ssize_t n = write(STDOUT_FILENO, scratch + done, count - done);
      if (n < 0) {
        perror("mptcp-peer: writing the pattern");
        return exit_failed;
      }
      done += (size_t)n;
    }
    sent += (int64_t)count;
  }
  return exit_verified;
}

// Reads the standard input to its end and compares it with BYTES of the pattern.
int run_check(int argc, char **argv) {
  int64_t bytes, seed = 1, received = 0;
  if (argc < 1 || !parse_count(argv[0], &bytes) || (argc > 1 && !parse_count(argv[1], &seed))) return usage("check");
  double started = 0, last = 0, gap = 0;
  int64_t gap_at = 0, wrong = -1;
  for (;;) {
    ssize_t n = read(STDIN_FILENO, scratch, sizeof scratch);
    if (n < 0) {
      perror("mptcp-peer: reading the pattern");
      return exit_failed;
    }
    if (n == 0) break;
    double now = now_seconds();
    if (started == 0) started = last = now;
    if (now - last > gap) gap = now - last, gap_at = received;
    last = now;
    if (wrong < 0) {
      size_t same = pattern_check(scratch, (size_t)n, (uint64_t)seed, (uint64_t)received);
      if (same < (size_t)n) wrong = received + (int64_t)same;
    }
    received += n;
  }
  bool verified = wrong < 0 && received == bytes;
  printf("{\"event\":\"checked\",\"expected\":%lld,\"received\":%lld,\"verified\":%s,\"firstDifference\":%lld,"
         "\"seconds\":%.6f,\"longestGap\":%.6f,\"longestGapAt\":%lld}\n",
         (long long)bytes, (long long)received, verified ? "true" : "false", (long long)wrong, last - started, gap,
         (long long)gap_at);
  return verified ? exit_verified : exit_failed;
}
