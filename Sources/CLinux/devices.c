#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

_Static_assert(sizeof(struct clinux_vnet_header) == 10, "virtio_net_hdr");
_Static_assert(offsetof(struct clinux_vnet_header, gso_size) == 4, "virtio_net_hdr");
_Static_assert(offsetof(struct clinux_vnet_header, checksum_offset) == 8, "virtio_net_hdr");

// linux/if_tun.h
#define TUN_SET_INTERFACE _IOW('T', 202, int)
#define TUN_SET_OFFLOAD _IOW('T', 208, unsigned int)
#define TUN_SET_VNET_HEADER_SIZE _IOW('T', 216, int)
#define TUN_FLAG_TUN 0x0001
#define TUN_FLAG_NO_INFORMATION 0x1000
#define TUN_FLAG_VNET_HEADER 0x4000
#define TUN_OFFLOAD_CHECKSUM 0x01
#define TUN_OFFLOAD_TSO4 0x02
#define TUN_OFFLOAD_TSO6 0x04
#define TUN_OFFLOAD_TSO_ECN 0x08

// struct ifreq of net/if.h, with the one member that TUNSETIFF reads.
struct interface_request {
  char name[16];
  int16_t flags;
  char rest[22];
};
_Static_assert(sizeof(struct interface_request) == 40 || sizeof(void *) != 8, "ifreq");
_Static_assert(offsetof(struct interface_request, flags) == 16, "ifreq");

// Attaches to a TUN device, or makes it; `actual` gets its name.
static int attach(const char *name, int16_t flags, char actual[16]) {
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return -errno;
  struct interface_request request = {.flags = (int16_t)(TUN_FLAG_TUN | flags)};
  strncpy(request.name, name, sizeof request.name - 1);
  if (ioctl(fd, TUN_SET_INTERFACE, &request) < 0) {
    int error = errno;
    close(fd);
    return -error;
  }
  memcpy(actual, request.name, sizeof request.name);
  return fd;
}

int clinux_tun_open(const char *name, char actual[16]) {
  int fd = attach(name, TUN_FLAG_NO_INFORMATION | TUN_FLAG_VNET_HEADER, actual);
  int header_size = sizeof(struct clinux_vnet_header);
  if (fd >= 0 && ioctl(fd, TUN_SET_VNET_HEADER_SIZE, &header_size) < 0) {
    int error = errno;
    close(fd);
    return -error;
  }
  return fd;
}

void clinux_tun_restore(const char *name, bool has_information, bool has_vnet_header) {
  int16_t flags = (has_information ? 0 : TUN_FLAG_NO_INFORMATION) | (has_vnet_header ? TUN_FLAG_VNET_HEADER : 0);
  char actual[16];
  int fd = attach(name, flags, actual);
  // A process that was just started has a copy of the descriptor until it runs its program, and so the device is busy.
  for (int left = 500; fd == -EBUSY && left > 0; left -= 1) {
    usleep(1000);
    fd = attach(name, flags, actual);
  }
  if (fd < 0) return;
  (void)ioctl(fd, TUN_SET_OFFLOAD, 0UL);
  close(fd);
}

int clinux_tun_enable_offload(int fd) {
  unsigned long flags = TUN_OFFLOAD_CHECKSUM | TUN_OFFLOAD_TSO4 | TUN_OFFLOAD_TSO6 | TUN_OFFLOAD_TSO_ECN;
  return ioctl(fd, TUN_SET_OFFLOAD, flags) < 0 ? -errno : 0;
}

// linux/if_packet.h, linux/filter.h
#define LEVEL_PACKET 263
#define PACKET_OPTION_JOIN 1
#define PACKET_OPTION_STATISTICS 6
#define PACKET_OPTION_VNET_HEADER 15
#define PACKET_OPTION_IGNORE_OUTGOING 23
#define SOCKET_OPTION_ATTACH_FILTER 26
#define PROTOCOL_ALL 0x0003

struct link_address {
  uint16_t family;
  uint16_t protocol;
  int32_t interface_index;
  uint16_t hardware_type;
  uint8_t packet_type;
  uint8_t address_length;
  uint8_t address[8];
};
_Static_assert(sizeof(struct link_address) == 20, "sockaddr_ll");

struct membership {
  int32_t interface_index;
  uint16_t kind;
  uint16_t address_length;
  uint8_t address[8];
};
_Static_assert(sizeof(struct membership) == 16, "packet_mreq");

struct filter_program {
  uint16_t count;
  const struct clinux_bpf_instruction *instructions;
};
_Static_assert(sizeof(struct clinux_bpf_instruction) == 8, "sock_filter");
_Static_assert(offsetof(struct filter_program, instructions) == sizeof(void *), "sock_fprog");

int clinux_packet_open(int interface_index, const struct clinux_bpf_instruction *filter, size_t count) {
  // Protocol 0 receives nothing, so no packet slips in before the filter stands.
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  int one = 1, buffer_size = 8 << 20;
  struct filter_program program = {.count = (uint16_t)count, .instructions = filter};
  struct link_address address = {
      .family = AF_PACKET, .protocol = (uint16_t)(PROTOCOL_ALL << 8), .interface_index = interface_index};
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  address.protocol = PROTOCOL_ALL;
#endif
  if (setsockopt(fd, SOL_SOCKET, SOCKET_OPTION_ATTACH_FILTER, &program, sizeof program) < 0
      || setsockopt(fd, LEVEL_PACKET, PACKET_OPTION_VNET_HEADER, &one, sizeof one) < 0
      || setsockopt(fd, LEVEL_PACKET, PACKET_OPTION_IGNORE_OUTGOING, &one, sizeof one) < 0
      || bind(fd, (const struct sockaddr *)&address, sizeof address) < 0) {
    int error = errno;
    close(fd);
    return -error;
  }
  // Super-segments are large and bursts are long; beyond the limit that root may exceed, the smaller size must do.
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer_size, sizeof buffer_size) < 0)
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer_size, sizeof buffer_size);
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer_size, sizeof buffer_size) < 0)
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer_size, sizeof buffer_size);
  return fd;
}

int clinux_packet_filter(int fd, const struct clinux_bpf_instruction *filter, size_t count) {
  struct filter_program program = {.count = (uint16_t)count, .instructions = filter};
  return setsockopt(fd, SOL_SOCKET, SOCKET_OPTION_ATTACH_FILTER, &program, sizeof program) < 0 ? -errno : 0;
}

int clinux_packet_join(int fd, int interface_index, int kind, const uint8_t address[6]) {
  struct membership request = {.interface_index = interface_index, .kind = (uint16_t)kind};
  if (address) {
    request.address_length = 6;
    memcpy(request.address, address, 6);
  }
  return setsockopt(fd, LEVEL_PACKET, PACKET_OPTION_JOIN, &request, sizeof request) < 0 ? -errno : 0;
}

int clinux_packet_drops(int fd) {
  struct {
    uint32_t packets, drops;
  } statistics = {0, 0};
  socklen_t length = sizeof statistics;
  if (getsockopt(fd, LEVEL_PACKET, PACKET_OPTION_STATISTICS, &statistics, &length) < 0) return -errno;
  return (int)statistics.drops;
}

ssize_t clinux_read(int fd, void *buffer, size_t count) {
  ssize_t result;
  do result = read(fd, buffer, count);
  while (result < 0 && errno == EINTR);
  return result < 0 ? -errno : result;
}

ssize_t clinux_write(int fd, const void *buffer, size_t count) {
  ssize_t result;
  do result = write(fd, buffer, count);
  while (result < 0 && errno == EINTR);
  return result < 0 ? -errno : result;
}

ssize_t clinux_write_pieces(
    int fd, const void *first, size_t first_count, const void *second, size_t second_count, const void *third,
    size_t third_count, const void *fourth, size_t fourth_count) {
  struct iovec pieces[4];
  int count = 0;
  if (first_count) pieces[count++] = (struct iovec){(void *)first, first_count};
  if (second_count) pieces[count++] = (struct iovec){(void *)second, second_count};
  if (third_count) pieces[count++] = (struct iovec){(void *)third, third_count};
  if (fourth_count) pieces[count++] = (struct iovec){(void *)fourth, fourth_count};
  ssize_t result;
  do result = writev(fd, pieces, count);
  while (result < 0 && errno == EINTR);
  return result < 0 ? -errno : result;
}

int clinux_close(int fd) { return close(fd) < 0 ? -errno : 0; }
