#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

// Copies packets between pairs of TUN devices, super-segments and all: two kernels' Multipath TCP over this relay is
// what our own stack on TUN devices is compared with.

enum { max_devices = 32, packet_capacity = 10 + 65536 };

static volatile sig_atomic_t stopping;

static void stop(int signal) {
  (void)signal;
  stopping = 1;
}

// Makes a TUN device in this network namespace, or in the one that a file names (`tun0@/proc/1234/ns/net`).
static int open_tun(const char *text) {
  char name[IFNAMSIZ] = "";
  const char *at = strchr(text, '@');
  size_t length = at != NULL ? (size_t)(at - text) : strlen(text);
  if (length == 0 || length >= sizeof name) {
    fprintf(stderr, "mptcp-peer: %s: no device name of 1 to 15 letters\n", text);
    return -1;
  }
  memcpy(name, text, length);
  int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  if (at != NULL) {
    int namespace = open(at + 1, O_RDONLY | O_CLOEXEC);
    if (namespace < 0 || setns(namespace, CLONE_NEWNET) < 0) {
      fprintf(stderr, "mptcp-peer: %s: %s\n", at + 1, strerror(errno));
      return -1;
    }
    close(namespace);
  }
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
  memcpy(request.ifr_name, name, sizeof name);
  if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0) {
    fprintf(stderr, "mptcp-peer: /dev/net/tun, %s: %s\n", name, strerror(errno));
    return -1;
  }
  if (ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN) < 0)
    fprintf(stderr, "mptcp-peer: %s: no segmentation offload: %s\n", name, strerror(errno));
  if (at != NULL && setns(home, CLONE_NEWNET) < 0) return -1;
  close(home);
  return fd;
}

int run_relay(int argc, char **argv) {
  if (argc == 0 || argc % 2 != 0 || argc > max_devices) {
    fprintf(stderr, "usage: mptcp-peer relay TUN[@NETNS] TUN[@NETNS] ... (up to 16 pairs)\n");
    return exit_usage;
  }
  static unsigned char packet[packet_capacity];
  struct pollfd devices[max_devices];
  unsigned long long packets = 0, bytes = 0, dropped = 0;
  struct sigaction action = {.sa_handler = stop};
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  for (int i = 0; i < argc; i++) {
    devices[i] = (struct pollfd){.fd = open_tun(argv[i]), .events = POLLIN};
    if (devices[i].fd < 0) return exit_failed;
  }
  printf("{\"event\":\"ready\"}\n");
  fflush(stdout);
  while (!stopping) {
    if (poll(devices, (nfds_t)argc, 200) <= 0) continue;
    for (int i = 0; i < argc; i++) {
      if ((devices[i].revents & (POLLIN | POLLERR)) == 0) continue;
      for (int burst = 0; burst < 64; burst++) {
        ssize_t n = read(devices[i].fd, packet, sizeof packet);
        if (n <= 0) break;
        if (write(devices[i ^ 1].fd, packet, (size_t)n) == n)
          packets++, bytes += (unsigned long long)n;
        else
          dropped++;
      }
    }
  }
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  printf("{\"event\":\"relayed\",\"packets\":%llu,\"bytes\":%llu,\"dropped\":%llu,\"userSeconds\":%.3f,"
         "\"systemSeconds\":%.3f}\n",
         packets, bytes, dropped, (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6,
         (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6);
  return exit_verified;
}
