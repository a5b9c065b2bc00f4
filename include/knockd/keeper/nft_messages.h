// SPDX-License-Identifier: MIT
// The nfnetlink messages about sets and their elements: builds the bytes of requests, and reads
// answers (linux/netfilter/nf_tables.h; the kernel's
// Documentation/netlink/specs/nftables.yaml). Pure, by libnl's messages.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "knockd/base/clock.h"
#include "knockd/knock/admission.h"

struct nlmsghdr;

namespace knockd {

// An element as the kernel has it.
struct SetElement {
  SetName set;
  std::string key;  // bytes: fields in network order, each padded to four

  friend auto operator<=>(const SetElement&, const SetElement&) = default;
};

// What keys of a set are.
enum class SetKey : uint8_t { kAddress, kAddressAndPort };

// Of an address alone, or with a port: address . inet_proto . inet_service.
std::string set_key(const IpAddress& address);
std::string set_key(const IpAddress& address, const Knock& port);

// Of inet_proto . inet_service; nothing for any other key.
std::optional<Knock> port_of_key(std::string_view key);

struct TimedElement {
  SetElement element;
  Duration left{};  // until the kernel takes it out
};

// What a set says of itself.
struct SetDescription {
  std::optional<SetKey> key;  // absent: of another type than a door can use
  bool is_v4 = true;          // of its addresses
  bool has_timeout = false;

  friend bool operator==(const SetDescription&, const SetDescription&) = default;
};

// Whether elements with this key, of set_key(), can be put into such a set for a time.
bool takes_key(const SetDescription& set, std::string_view key);

// An element that was found.
struct FoundElement {
  std::string key;
  std::optional<Duration> left;  // absent: it stays for good
};

// --- Requests; empty without memory. The answers carry their number, `sequence`.

// One transaction: the elements are in from then on, for so long, whether they were or not.
std::string put_request(std::span<const TimedElement> elements, uint32_t sequence);
// One transaction: they are no longer in. `add_first`: whether they were or not.
std::string remove_request(std::span<const TimedElement> elements, bool add_first,
                           uint32_t sequence);
std::string describe_request(const SetName& set, uint32_t sequence);
std::string find_request(const SetElement& element, uint32_t sequence);
std::string list_request(const SetName& set, uint32_t sequence);
// What makes up a table of family inet: itself, its chains, its rules.
enum class TablePart : uint8_t { kTable, kChains, kRules };
std::string table_request(const std::string& table, TablePart part, uint32_t sequence);

// --- Answers. The message's length was compared with what was received; what is in it is read with
// care.

std::vector<FoundElement> elements_in(const nlmsghdr& message);
SetDescription description_in(const nlmsghdr& message);
// The name of the table that a table, chain, rule or set says it is of.
std::string_view table_in(const nlmsghdr& message);
// All that it says, as bytes.
std::string_view attributes_in(const nlmsghdr& message);
// An error's number, 0 for success; nothing if the message ends no answer.
std::optional<int> end_in(const nlmsghdr& message);

// How an answer of many messages ended.
class AnswerEnd {
 public:
  // True for a message that is content.
  bool take(const nlmsghdr& message);
  // The number of the first error; 0 for success. EINTR: what was listed changed meanwhile.
  // ENOBUFS: it has not ended.
  int error() const;

 private:
  std::optional<int> end_;
  bool interrupted_ = false;
};

}  // namespace knockd
