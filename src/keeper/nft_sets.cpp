// SPDX-License-Identifier: MIT
#include "knockd/keeper/nft_sets.h"

// Kernel headers first: libnl-tiny has copies of its own for systems without them.
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <iterator>
#include <utility>

namespace knockd {
namespace {

// Retries of a list that changed while it was read.
constexpr int kMostDumps = 10;
// Retries of a removal during which elements expired.
constexpr int kMostTries = 3;
constexpr int kMostReads = 1 << 16;
constexpr int kReceiveBuffer = 1 << 20;  // bytes

// Calls list(text) until no change disturbs the listing. Constant changes by others mostly affect
// other parts, so the same text twice in a row is also accepted.
template <typename List>
int list_steadily(const List& list) {
  std::string last;
  for (int dumps = 0; dumps < kMostDumps; ++dumps) {
    std::string text;
    const int error = list(text);
    if (error != EINTR) return error;
    if (dumps > 0 && text == last) return 0;
    last = std::move(text);
  }
  return EINTR;
}

}  // namespace

Result<NftSets> NftSets::create() {
  auto socket = open_netlink_socket(NETLINK_NETFILTER);
  if (!socket) return socket.error();
  enlarge_receive_buffer(*socket, kReceiveBuffer);
  return NftSets(*std::move(socket));
}

uint32_t NftSets::port() const { return nl_socket_get_local_port(socket_.get()); }

int NftSets::put(std::span<const TimedElement> elements) {
  if (elements.empty()) return 0;
  const uint32_t sequence = ++sequence_;
  return ask(put_request(elements, sequence), sequence, [](const nlmsghdr&) {});
}

int NftSets::remove(std::span<const SetElement> elements) {
  int error = remove_with(elements, true);
  // The set is full of others' elements, so one of these has already expired. Looking up which is
  // cheap; a failed batch costs the kernel milliseconds.
  for (int tries = 0; tries < kMostTries && (error == ENFILE || error == ENOENT); ++tries) {
    std::vector<SetElement> left;
    for (const SetElement& element : elements) {
      const auto found = find(element);
      if (!found) return found.error();
      if (*found) left.push_back(element);
    }
    error = remove_with(left, false);
  }
  return error;
}

int NftSets::remove_with(std::span<const SetElement> elements, bool add_first) {
  if (elements.empty()) return 0;
  std::vector<TimedElement> timed;
  for (const SetElement& element : elements) timed.push_back({element, std::chrono::seconds(1)});
  const uint32_t sequence = ++sequence_;
  return ask(remove_request(timed, add_first, sequence), sequence, [](const nlmsghdr&) {});
}

// Sends a request and passes the messages of the answer to `take`. EINTR: a list changed while it
// was read.
int NftSets::ask(const std::string& request, uint32_t sequence, const TakeMessage& take) {
  if (request.empty()) return ENOMEM;
  std::string bytes = request;
  errno = 0;
  if (nl_sendto(socket_.get(), bytes.data(), bytes.size()) < 0) return errno != 0 ? errno : EIO;
  AnswerEnd end;
  for (int reads = 0; reads < kMostReads; ++reads) {
    const Receipt receipt = receive(socket_, [&](const nlmsghdr& message) {
      if (message.nlmsg_seq == sequence && end.take(message)) take(message);
    });
    if (receipt == Receipt::kLost) return ENOBUFS;
    if (receipt == Receipt::kNothing) break;
  }
  return end.error();
}

Result<NftSets::Description, int> NftSets::describe(const SetName& set) {
  const uint32_t sequence = ++sequence_;
  Description description;
  const int error = ask(describe_request(set, sequence), sequence,
                        [&](const nlmsghdr& answer) { description = description_in(answer); });
  if (error != 0) return error;
  return description;
}

Result<std::optional<NftSets::Found>, int> NftSets::find(const SetElement& element) {
  const uint32_t sequence = ++sequence_;
  std::optional<Found> found;
  const int error = ask(find_request(element, sequence), sequence, [&](const nlmsghdr& answer) {
    for (Found& one : elements_in(answer)) found = std::move(one);
  });
  if (error != 0 && error != ENOENT) return error;
  return found;
}

Result<std::vector<NftSets::Found>, int> NftSets::list(const SetName& set) {
  std::vector<Found> found;
  const int error = list_steadily([&](std::string& keys) {
    const uint32_t sequence = ++sequence_;
    found.clear();
    return ask(list_request(set, sequence), sequence, [&](const nlmsghdr& answer) {
      for (Found& one : elements_in(answer)) {
        keys += one.key;
        found.push_back(std::move(one));
      }
    });
  });
  if (error != 0) return error;
  return found;
}

Result<std::string, int> NftSets::picture(const std::string& inet_table,
                                          const std::vector<std::string>& fixed_sets) {
  std::string picture;
  for (const auto part : {TablePart::kTable, TablePart::kChains, TablePart::kRules}) {
    std::string seen;
    const int error = list_steadily([&](std::string& text) {
      const uint32_t sequence = ++sequence_;
      seen.clear();
      const int end =
          ask(table_request(inet_table, part, sequence), sequence, [&](const nlmsghdr& answer) {
            if (table_in(answer) == inet_table) seen += attributes_in(answer);
          });
      text = seen;
      return end;
    });
    if (error != 0) return error;
    picture += seen;
  }
  for (const std::string& name : fixed_sets) {
    auto elements = list({TableFamily::kInet, inet_table, name});
    if (!elements) return elements.error();
    std::vector<std::string> keys;
    for (Found& element : *elements) keys.push_back(std::move(element.key));
    std::sort(keys.begin(), keys.end());
    for (const std::string& key : keys) picture += key;
    picture += ';';
  }
  return picture;
}

Result<RulesetMonitor> RulesetMonitor::create(uint32_t own_port) {
  auto socket = open_netlink_socket(NETLINK_NETFILTER);
  if (!socket) return socket.error();
  // Each change ends with one such message; the messages of thousands of elements would fill the
  // socket. They have numbers in host order, while filters compare in network order.
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(nlmsghdr, nlmsg_type)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN), 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(nlmsghdr, nlmsg_pid)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(own_port), 1, 0),
      BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
      BPF_STMT(BPF_RET | BPF_K, 0),
  };
  const sock_fprog filter{static_cast<unsigned short>(std::size(code)), code};
  const int fd = nl_socket_get_fd(socket->get());
  if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) != 0) {
    return netlink_fault("netlink: cannot filter ruleset changes");
  }
  if (nl_socket_add_memberships(socket->get(), NFNLGRP_NFTABLES, 0) < 0) {
    return netlink_fault("netlink: cannot subscribe to ruleset changes");
  }
  return RulesetMonitor(*std::move(socket));
}

int RulesetMonitor::fd() const { return nl_socket_get_fd(socket_.get()); }

bool RulesetMonitor::read() {
  bool changed = false;
  for (int reads = 0; reads < kMostReads; ++reads) {
    const Receipt receipt = receive(socket_, [&](const nlmsghdr&) { changed = true; });
    if (receipt == Receipt::kNothing) break;
    if (receipt == Receipt::kLost) changed = true;
  }
  return changed;
}

}  // namespace knockd
