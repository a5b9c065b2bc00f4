// SPDX-License-Identifier: MIT
// Sends Ethernet frames with knocks through a device.
#pragma once

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <vector>

#include "knockd/base/unique_fd.h"
#include "knockd/net/address.h"

namespace knockd {

class FrameSender {
 public:
  explicit FrameSender(const std::string& device)
      : socket_(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)) {
    address_.sll_family = AF_PACKET;
    address_.sll_ifindex = static_cast<int>(if_nametoindex(device.c_str()));
  }

  // A connection attempt from `source`, with a port and sequence number of its own.
  void syn(const std::string& source, uint16_t port,
           const std::string& destination = "198.51.100.1") {
    ++attempts_;
    const bool v4 = IpAddress::parse(source).value().is_v4();
    std::vector<uint8_t> frame(12, 0xff);
    const auto put16 = [&](unsigned value) {
      frame.push_back(static_cast<uint8_t>(value >> 8));
      frame.push_back(static_cast<uint8_t>(value));
    };
    if (v4) {
      for (const unsigned value :
           std::initializer_list<unsigned>{ETHERTYPE_IP, 0x4500, 40, 0, 0, 64 << 8 | 6, 0}) {
        put16(value);
      }
    } else {
      for (const unsigned value :
           std::initializer_list<unsigned>{ETHERTYPE_IPV6, 0x6000, 0, 20, 6 << 8 | 64}) {
        put16(value);
      }
    }
    for (const std::string& text : {source, destination}) {
      const auto bytes = IpAddress::parse(text).value().bytes();
      frame.insert(frame.end(), bytes.begin() + (v4 ? 12 : 0), bytes.end());
    }
    put16(40000 + attempts_);
    put16(port);
    put16(attempts_);
    put16(0);
    put16(0);
    put16(0);
    put16(0x5002);
    put16(1000);
    put16(0);
    put16(0);
    if (sendto(socket_.get(), frame.data(), frame.size(), 0,
               reinterpret_cast<const sockaddr*>(&address_), sizeof(address_)) < 0) {
      std::perror("sendto");
      std::abort();
    }
  }

 private:
  UniqueFd socket_;
  sockaddr_ll address_{};
  unsigned attempts_ = 0;
};

}  // namespace knockd
