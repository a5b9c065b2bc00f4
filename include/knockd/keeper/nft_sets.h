// SPDX-License-Identifier: MIT
// Puts elements into sets of the kernel's ruleset and takes them out, by nfnetlink, through the
// part of libnl-3 that libnl-tiny has too. Which elements, and why, is the owner's business.
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

// One socket for requests. Each method waits for the kernel's answer, which is there when the
// request has been sent, and for nothing else. Errors are errno's numbers; 0 is success.
class NftSets {
 public:
  using Description = SetDescription;
  using Found = FoundElement;

  static Result<NftSets> create();

  // By this the notifications of our own changes can be told from others'.
  uint32_t port() const;

  // The elements are in from now on, for so long, whether they were or not; all or none.
  int put(std::span<const TimedElement> elements);
  // They are no longer in, whether they were or not.
  int remove(std::span<const SetElement> elements);

  // ENOENT if there is no such set.
  Result<Description, int> describe(const SetName& set);
  // Nothing if there is no such set, or if it lacks the element.
  Result<std::optional<Found>, int> find(const SetElement& element);
  Result<std::vector<Found>, int> list(const SetName& set);
  // What makes up a table apart from its sets' elements that time out: the same text as long as it
  // is the same table, unchanged. ENOENT if there is none.
  Result<std::string, int> picture(const std::string& inet_table,
                                   const std::vector<std::string>& fixed_sets);

 private:
  explicit NftSets(NetlinkSocket socket) : socket_(std::move(socket)) {}
  int remove_with(std::span<const SetElement> elements, bool add_first);
  int ask(const std::string& request, uint32_t sequence, const TakeMessage& take);

  NetlinkSocket socket_;
  uint32_t sequence_ = 0;
};

// Notifications of changed rulesets, of whoever made them.
class RulesetMonitor {
 public:
  // Of changes by `own_port` nothing is heard.
  static Result<RulesetMonitor> create(uint32_t own_port);

  int fd() const;
  // Takes in all that waits; true if there was a change, or some may have been lost.
  bool read();

 private:
  explicit RulesetMonitor(NetlinkSocket socket) : socket_(std::move(socket)) {}
  NetlinkSocket socket_;
};

}  // namespace knockd
