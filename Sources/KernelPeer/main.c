#include "peer.h"

#include <string.h>

int main(int argc, char **argv) {
  const char *command = argc > 1 ? argv[1] : "";
  argc -= 2, argv += 2;
  if (strcmp(command, "pattern") == 0) return run_pattern(argc, argv);
  if (strcmp(command, "check") == 0) return run_check(argc, argv);
  if (strcmp(command, "relay") == 0) return run_relay(argc, argv);
  bool is_server = strcmp(command, "server") == 0;
  if (!is_server && strcmp(command, "client") != 0) {
    fprintf(stderr, "usage: mptcp-peer client|server|pattern|check|relay ...\n");
    return exit_usage;
  }
  struct options options;
  int status = parse_options(argc, argv, is_server, &options);
  if (status != 0) return status;
  return is_server ? run_server(&options) : run_client(&options);
}
