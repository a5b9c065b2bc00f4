// SPDX-License-Identifier: MIT
#include "knockd/keeper/interface_monitor.h"

// Kernel headers first: libnl-tiny has copies of its own for systems without them.
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "knockd/keeper/netlink_attributes.h"

namespace knockd {
namespace {

// Holds the events of some thousand address changes while the daemon cannot read.
constexpr int kReceiveBuffer = 1 << 20;  // bytes
// An event storm must not block the owner's loop.
constexpr int kMostReads = 4096;
// Retries of a dump that changed while it was read.
constexpr int kMostDumps = 10;
// The most buffer overflows during a dump.
constexpr int kMostLosses = 1000;

// Returns the sequence number of the answers; nothing if the request could not be sent.
template <typename Body>
std::optional<uint32_t> request_dump(const NetlinkSocket& socket, int type, Body body) {
  const std::unique_ptr<nl_msg, decltype(&nlmsg_free)> message(
      nlmsg_alloc_simple(type, NLM_F_REQUEST | NLM_F_DUMP), &nlmsg_free);
  if (message == nullptr || nlmsg_append(message.get(), &body, sizeof(body), NLMSG_ALIGNTO) < 0 ||
      nl_send_auto_complete(socket.get(), message.get()) < 0) {
    return std::nullopt;
  }
  return nlmsg_hdr(message.get())->nlmsg_seq;
}

enum class Dump { kWhole, kInterrupted, kFailed };

// Passes the answers to request_dump(), and events among them, to `take`. Never waits: the kernel
// writes the next part of an answer when the previous one is read.
Dump dump(const NetlinkSocket& socket, std::optional<uint32_t> sequence, const TakeMessage& take) {
  if (!sequence) return Dump::kFailed;
  std::optional<Dump> end;
  Dump so_far = Dump::kWhole;
  const auto look_at = [&](const nlmsghdr& message) {
    const bool ours = message.nlmsg_seq == *sequence;
    // The rest of an answer after an earlier failure is outdated.
    if (!ours && (message.nlmsg_flags & NLM_F_MULTI) != 0) return;
    if (ours && (message.nlmsg_flags & NLM_F_DUMP_INTR) != 0) so_far = Dump::kInterrupted;
    if (ours && message.nlmsg_type == NLMSG_ERROR) end = Dump::kFailed;
    if (ours && message.nlmsg_type == NLMSG_DONE) end = so_far;
    take(message);
  };
  for (int losses = 0; !end;) {
    const Receipt receipt = receive(socket, look_at);
    if (receipt == Receipt::kNothing) return Dump::kFailed;
    if (receipt == Receipt::kLost && ++losses > kMostLosses) return Dump::kFailed;
    if (receipt == Receipt::kLost) so_far = Dump::kInterrupted;
  }
  return *end;
}

struct DefaultRoute {
  uint32_t device = 0;  // index; 0: none found
  uint32_t metric = 0;
};

// The first of several next hops, in the order of RTA_MULTIPATH.
uint32_t first_device(nlattr* attributes, int length) {
  const nlattr* hops = nla_find(attributes, length, RTA_MULTIPATH);
  if (hops == nullptr || nla_len(hops) < static_cast<int>(sizeof(rtnexthop))) {
    return number_of<uint32_t>(nla_find(attributes, length, RTA_OIF)).value_or(0);
  }
  return static_cast<uint32_t>(static_cast<const rtnexthop*>(nla_data(hops))->rtnh_ifindex);
}

// Keeps the better of `best` and the route in a message.
void take_route(const nlmsghdr& message, DefaultRoute& best) {
  if (message.nlmsg_type != RTM_NEWROUTE || !nlmsg_valid_hdr(&message, sizeof(rtmsg))) return;
  const auto* route = static_cast<const rtmsg*>(nlmsg_data(&message));
  nlattr* attributes = nlmsg_attrdata(&message, sizeof(rtmsg));
  const int length = nlmsg_attrlen(&message, sizeof(rtmsg));
  if (route->rtm_dst_len != 0 || route->rtm_type != RTN_UNICAST) return;
  const auto table = number_of<uint32_t>(nla_find(attributes, length, RTA_TABLE));
  if (table.value_or(route->rtm_table) != RT_TABLE_MAIN) return;
  const DefaultRoute found{
      first_device(attributes, length),
      number_of<uint32_t>(nla_find(attributes, length, RTA_PRIORITY)).value_or(0)};
  if (found.device == 0) return;
  if (best.device == 0 || found.metric < best.metric) best = found;
}

}  // namespace

Status InterfaceMonitor::begin() {
  auto socket = open_netlink_socket(NETLINK_ROUTE);
  if (!socket) return std::move(socket.error());
  socket_ = *std::move(socket);
  enlarge_receive_buffer(socket_, kReceiveBuffer);
  if (nl_socket_add_memberships(socket_.get(), RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR,
                                RTNLGRP_IPV6_IFADDR, 0) < 0) {
    return netlink_fault("netlink: cannot subscribe to interface changes");
  }
  refresh();
  if (stale_ && interfaces().empty()) return netlink_fault("netlink: cannot list the interfaces");
  return {};
}

int InterfaceMonitor::fd() const { return nl_socket_get_fd(socket_.get()); }

bool InterfaceMonitor::read() {
  bool changed = false;
  for (int reads = 0; reads < kMostReads && !stale_; ++reads) {
    const Receipt receipt = receive(socket_, [&](const nlmsghdr& message) {
      if (table_.take(message)) changed = true;
    });
    if (receipt == Receipt::kNothing) break;
    if (receipt == Receipt::kLost) stale_ = true;
  }
  if (stale_ && refresh()) changed = true;
  return changed;
}

// Dumps everything again; true if that changed the picture.
bool InterfaceMonitor::refresh() {
  bool changed = false;
  for (int attempt = 0; attempt < kMostDumps && stale_; ++attempt) {
    // Waiting events are older than the answer, and later ones that reverse them may be lost.
    for (int reads = 0; reads < kMostReads; ++reads) {
      if (receive(socket_, [](const nlmsghdr&) {}) == Receipt::kNothing) break;
    }
    InterfaceTable fresh;
    const auto take = [&fresh](const nlmsghdr& message) { fresh.take(message); };
    const Dump links = dump(socket_, request_dump(socket_, RTM_GETLINK, ifinfomsg{}), take);
    if (links == Dump::kFailed) continue;
    const Dump addresses = dump(socket_, request_dump(socket_, RTM_GETADDR, ifaddrmsg{}), take);
    if (addresses == Dump::kFailed) continue;
    // An interrupted dump includes the events meanwhile, so it is better than the old picture.
    if (fresh.by_index() != interfaces()) changed = true;
    table_ = std::move(fresh);
    stale_ = links == Dump::kInterrupted || addresses == Dump::kInterrupted;
  }
  return changed;
}

Result<std::optional<std::string>> default_route_interface() {
  const auto socket = open_netlink_socket(NETLINK_ROUTE);
  if (!socket) return socket.error();
  for (const int family : {AF_INET, AF_INET6}) {
    rtmsg body{};
    body.rtm_family = static_cast<unsigned char>(family);
    DefaultRoute best;
    dump(*socket, request_dump(*socket, RTM_GETROUTE, body),
         [&best](const nlmsghdr& message) { take_route(message, best); });
    char name[IF_NAMESIZE];
    if (best.device != 0 && if_indextoname(best.device, name) != nullptr) {
      return std::optional<std::string>(name);
    }
  }
  return std::optional<std::string>();
}

}  // namespace knockd
