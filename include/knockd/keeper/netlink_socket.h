// SPDX-License-Identifier: MIT
// A non-blocking netlink socket of libnl-3 or libnl-tiny, and a parser of its datagrams.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "knockd/base/result.h"

struct nl_sock;
struct nlmsghdr;

namespace knockd {

struct NetlinkSocketCloser {
  void operator()(nl_sock* socket) const;
};
using NetlinkSocket = std::unique_ptr<nl_sock, NetlinkSocketCloser>;

// `protocol`: NETLINK_ROUTE ... Close-on-exec.
Result<NetlinkSocket> open_netlink_socket(int protocol);
// A fault by errno, which libnl does not always set.
Fault netlink_fault(const char* what);
// Sets the size of the receive buffer. More than net.core.rmem_max needs CAP_NET_ADMIN; without it
// the size is limited to that.
void enlarge_receive_buffer(const NetlinkSocket& socket, int bytes);

enum class Receipt : uint8_t { kMessages, kNothing, kLost };
using TakeMessage = std::function<void(const nlmsghdr&)>;

// Passes each message of one datagram of the kernel to `take`. kLost: some did not fit the buffer.
Receipt receive(const NetlinkSocket& socket, const TakeMessage& take);

}  // namespace knockd
