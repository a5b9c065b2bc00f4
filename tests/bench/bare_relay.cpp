// SPDX-License-Identifier: MIT
// The least that two processes need to hand on a knock, as a listener and a keeper do: one waits
// for an IPv4 TCP packet to a port and sends a message to the other, which writes a byte. The
// benchmark compares it with the time until knockd has added an element in the kernel.
//
//   bare_relay INTERFACE PORT
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace {

// Waits like an event loop, until the descriptor is readable, then reads.
ssize_t wait_and_read(int fd, void* buffer, size_t size) {
  pollfd readable{fd, POLLIN, 0};
  poll(&readable, 1, -1);
  return recv(fd, buffer, size, 0);
}

[[noreturn]] void hand_on(int from) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  char byte = 0;
  while (wait_and_read(from, &byte, 1) == 1 && write(STDOUT_FILENO, &byte, 1) == 1) {
  }
  std::exit(0);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: bare_relay INTERFACE PORT\n");
    return 1;
  }
  const auto port = static_cast<uint16_t>(std::atoi(argv[2]));
  std::array<int, 2> ends{};
  const int capture = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_IP));
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_IP);
  address.sll_ifindex = static_cast<int>(if_nametoindex(argv[1]));
  if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends.data()) != 0 || capture < 0 ||
      bind(capture, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    std::perror("bare_relay");
    return 1;
  }
  if (fork() == 0) hand_on(ends[0]);
  std::array<uint8_t, 128> frame{};
  constexpr ssize_t kToPort =
      14 + 20 + 4;  // Ethernet, IPv4 without options, the source port before
  for (;;) {
    const ssize_t length = wait_and_read(capture, frame.data(), frame.size());
    if (length < kToPort || frame[23] != IPPROTO_TCP) continue;
    if (frame[kToPort - 2] != port >> 8 || frame[kToPort - 1] != (port & 0xff)) continue;
    if (write(ends[1], "\n", 1) != 1) return 1;
  }
}
