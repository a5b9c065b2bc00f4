// SPDX-License-Identifier: MIT
// A netlink socket of libnl-3's, or libnl-tiny's, that never blocks, and how its datagrams are
// taken apart.
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

// `protocol`: NETLINK_ROUTE ... Closes on exec.
Result<NetlinkSocket> open_netlink_socket(int protocol);
// The reason that errno tells; libnl does not always leave one.
Fault netlink_fault(const char* what);
// Bytes that may wait to be read. Beyond net.core.rmem_max needs CAP_NET_ADMIN; without it as many
// as one gets.
void enlarge_receive_buffer(const NetlinkSocket& socket, int bytes);

enum class Receipt : uint8_t { kMessages, kNothing, kLost };
using TakeMessage = std::function<void(const nlmsghdr&)>;

// Hands each message of one datagram of the kernel's to `take`. kLost: there was no room for some.
Receipt receive(const NetlinkSocket& socket, const TakeMessage& take);

}  // namespace knockd
