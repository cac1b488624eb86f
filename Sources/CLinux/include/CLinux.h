// What MPTCPStack needs of Linux and Swift cannot import: ioctls, socket options, variadic calls and packed structures.
//
// Every function returns 0 or more on success and the negative `errno` on failure; none keeps state. Constants and
// layouts are spelled out here, since the kernel headers of a distribution may be older than the kernel that runs.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

// MARK: - virtio_net_hdr: offload in front of each packet (Virtual I/O Device 1.2, §5.1.6)

#define CLINUX_VNET_NEEDS_CHECKSUM 1
#define CLINUX_VNET_DATA_VALID 2
#define CLINUX_VNET_GSO_NONE 0
#define CLINUX_VNET_GSO_TCPV4 1
#define CLINUX_VNET_GSO_TCPV6 4
#define CLINUX_VNET_GSO_ECN 0x80

// The ten octets, in host byte order as TUN and packet sockets have them.
struct clinux_vnet_header {
  uint8_t flags;
  uint8_t gso_type;
  uint16_t header_length;
  uint16_t gso_size;
  uint16_t checksum_start;
  uint16_t checksum_offset;
};

// MARK: - TUN devices

// Attaches to the TUN device `name`, or makes one that goes with the descriptor. Not blocking, closed on exec, no
// packet information, a virtio header of ten octets in front of each packet. `actual` gets the name in force.
int clinux_tun_open(const char *name, char actual[16]);
// Gives the device `name`, which nobody is attached to, what it had before: what stands in front of its packets, and no
// offload.
void clinux_tun_restore(const char *name, bool has_information, bool has_vnet_header);
// Asks for checksum and TCP segmentation offload on packets that the kernel hands us.
int clinux_tun_enable_offload(int fd);

// MARK: - Packet sockets

// One instruction of classic BPF.
struct clinux_bpf_instruction {
  uint16_t code;
  uint8_t jump_true;
  uint8_t jump_false;
  uint32_t operand;
};

// A raw packet socket on one interface, not blocking, closed on exec, with virtio headers, without copies of what is
// sent, and filtered from its first packet on.
int clinux_packet_open(int interface_index, const struct clinux_bpf_instruction *filter, size_t count);
// Puts another filter in the place of the socket's, at once.
int clinux_packet_filter(int fd, const struct clinux_bpf_instruction *filter, size_t count);

#define CLINUX_MEMBERSHIP_MULTICAST 0
#define CLINUX_MEMBERSHIP_PROMISCUOUS 1
#define CLINUX_MEMBERSHIP_UNICAST 3
// How many packets the socket had no room for since the last call.
int clinux_packet_drops(int fd);
// Joins a link-layer address (or promiscuous mode) for as long as the descriptor is open.
int clinux_packet_join(int fd, int interface_index, int kind, const uint8_t address[6]);

// MARK: - Reading and writing

// A file without a name, in memory, that goes with its last descriptor; closed on exec.
int clinux_memory_file(const char *name);

// A pipe, closed on exec: the end to read from, and the end to write to.
int clinux_pipe(int ends[2]);
ssize_t clinux_read(int fd, void *buffer, size_t count);
ssize_t clinux_write(int fd, const void *buffer, size_t count);
// One packet from up to four pieces; a piece of no length is skipped.
ssize_t clinux_write_pieces(
    int fd, const void *first, size_t first_count, const void *second, size_t second_count, const void *third,
    size_t third_count, const void *fourth, size_t fourth_count);
int clinux_close(int fd);

// MARK: - Waiting

#define CLINUX_READABLE 1u
#define CLINUX_WRITABLE 4u
#define CLINUX_ERROR 8u
#define CLINUX_HANGUP 16u

// What became ready: the tag given when the descriptor was watched, and what is ready about it.
struct clinux_ready {
  uint64_t tag;
  uint32_t events;
};

int clinux_poll_create(void);
int clinux_poll_add(int poll, int fd, uint32_t events, uint64_t tag);
int clinux_poll_modify(int poll, int fd, uint32_t events, uint64_t tag);
int clinux_poll_remove(int poll, int fd);
// Waits up to `nanoseconds` (negative: without end) and gives how many entries of `ready` were filled.
int clinux_poll_wait(int poll, struct clinux_ready *ready, int capacity, int64_t nanoseconds);
int clinux_event_create(void);
void clinux_event_signal(int fd);
void clinux_event_clear(int fd);
// CLOCK_MONOTONIC.
int64_t clinux_now(void);
// Lets this thread's sleeps end on time: the default slack of 50 µs would blur pacing.
void clinux_precise_sleep(void);
void clinux_name_thread(const char *name);

// MARK: - Netlink

#define CLINUX_NETLINK_ROUTE 0
#define CLINUX_NETLINK_NETFILTER 12
#define CLINUX_NETLINK_GENERIC 16
// A netlink socket, closed on exec, subscribed to `groups` (a bit mask); `blocking` false for one to poll.
int clinux_netlink_open(int protocol, uint32_t groups, bool blocking);

// MARK: - Namespaces

// Moves the calling thread, and no other, into a new network namespace. Needs CAP_SYS_ADMIN.
int clinux_unshare_network(void);
// Moves the calling thread into the network namespace behind `fd`.
int clinux_enter_network(int fd);
// A descriptor of the calling thread's network namespace.
int clinux_current_network(void);
// Replaces this program by `path` inside a network namespace of its own; who may not make one alone gets a user namespace
// around it and is root there. Call it before a second thread exists. Returns only on failure.
int clinux_exec_in_namespace(const char *path, char *const argv[], char *const envp[]);
// In a user namespace that was just made: the user outside becomes root inside.
int clinux_map_root(unsigned user, unsigned group);
// Whether the calling thread has capability `number` in its user namespace, as /proc says.
bool clinux_has_capability(int number);

#define CLINUX_CAP_NET_ADMIN 12
#define CLINUX_CAP_NET_RAW 13
#define CLINUX_CAP_SYS_ADMIN 21

// MARK: - Processes

// Runs `path` as the first process of new process, mount and network namespaces, and waits for its end; who may not make
// those alone gets a user namespace around them and is root there. The first process is killed when this one goes, and
// everything in the namespaces with it. Signals that come to this process alone are passed on.
//
// Call it before a second thread exists. Gives the exit status, 128 and more for a signal.
int clinux_run_in_namespaces(const char *path, char *const argv[], char *const envp[]);
// Blocks SIGHUP, SIGINT, SIGQUIT, SIGTERM and SIGCHLD for this thread and those that it starts.
void clinux_signals_block(void);
// Waits for one of these and gives its number, 0 if the time is over; `is_for_group`: a terminal sent it to the group.
int clinux_signal_wait(int64_t nanoseconds, bool *is_for_group);
// Takes leave of a child that has ended, if one has; gives its number and its status, 128 and more for a signal.
int clinux_reap(int *status);
// Starts a program, found by PATH, in the network namespace behind `network`; gives its process number. A negative
// descriptor stands for the one that this process has. With `own_group` it leads a process group, of its number.
int clinux_spawn(
    char *const argv[], char *const envp[], int network, bool own_group, int input, int output, int errors);
// Whether this process is in the foreground of its terminal, whose signals it then has.
bool clinux_is_foreground(void);
// Lets this thread run before others; `may_preempt`: also before those that are running (SCHED_FIFO). False if it may not.
bool clinux_urgent_thread(bool may_preempt);
// A descriptor from which the calling thread's waiting times can be read; it belongs to that thread.
int clinux_run_delay_open(void);
// How long the thread has been ready to run without running, in all, in nanoseconds; 0 if the kernel does not count.
int64_t clinux_run_delay(int fd);

#ifdef __cplusplus
}
#endif
