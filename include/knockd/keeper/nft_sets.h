// SPDX-License-Identifier: MIT
// Adds and removes elements of sets in the kernel's ruleset by nfnetlink, with the part of libnl-3
// that libnl-tiny also has. The owner chooses the elements.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "knockd/base/result.h"
#include "knockd/keeper/netlink_socket.h"
#include "knockd/keeper/nft_messages.h"

namespace knockd {

// One socket for requests. Each method waits only for the kernel's answer, which is ready when the
// request has been sent. Errors are errno values; 0 is success.
class NftSets {
 public:
  using Description = SetDescription;
  using Found = FoundElement;

  static Result<NftSets> create();

  // Distinguishes notifications of own changes from others'.
  uint32_t port() const;

  // Adds the elements for their time, or renews it; all or none.
  int put(std::span<const TimedElement> elements);
  // Removes the elements; they need not exist.
  int remove(std::span<const SetElement> elements);

  // ENOENT if the set does not exist.
  Result<Description, int> describe(const SetName& set);
  // Nothing if the set or the element does not exist.
  Result<std::optional<Found>, int> find(const SetElement& element);
  Result<std::vector<Found>, int> list(const SetName& set);
  // The content of a table without set elements that time out: the same text while the table is the
  // same and unchanged. ENOENT if it does not exist.
  Result<std::string, int> picture(const std::string& inet_table,
                                   const std::vector<std::string>& fixed_sets);

 private:
  explicit NftSets(NetlinkSocket socket) : socket_(std::move(socket)) {}
  int remove_with(std::span<const SetElement> elements, bool add_first);
  int ask(const std::string& request, uint32_t sequence, const TakeMessage& take);

  NetlinkSocket socket_;
  uint32_t sequence_ = 0;
};

// Notifications of ruleset changes by any program.
class RulesetMonitor {
 public:
  // Ignores changes by `own_port`.
  static Result<RulesetMonitor> create(uint32_t own_port);

  int fd() const;
  // Reads all waiting notifications; true if there was a change, or some may have been lost.
  bool read();

 private:
  explicit RulesetMonitor(NetlinkSocket socket) : socket_(std::move(socket)) {}
  NetlinkSocket socket_;
};

}  // namespace knockd
