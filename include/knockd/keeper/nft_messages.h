// SPDX-License-Identifier: MIT
// The nfnetlink messages about sets and their elements: builds the bytes of requests, and reads
// answers (linux/netfilter/nf_tables.h; the kernel's Documentation/netlink/specs/nftables.yaml).
// Pure; uses libnl's messages.
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

// An element in the kernel's form.
struct SetElement {
  SetName set;
  std::string key;  // bytes: fields in network order, each padded to four

  friend auto operator<=>(const SetElement&, const SetElement&) = default;
};

// The type of a set's keys.
enum class SetKey : uint8_t { kAddress, kAddressAndPort };

// The key of an address, alone or with a port: address . inet_proto . inet_service.
std::string set_key(const IpAddress& address);
std::string set_key(const IpAddress& address, const Knock& port);

// The port of a key inet_proto . inet_service; nothing for any other key.
std::optional<Knock> port_of_key(std::string_view key);

struct TimedElement {
  SetElement element;
  Duration left{};  // until the kernel removes it
};

// The description of a set.
struct SetDescription {
  std::optional<SetKey> key;  // absent: a type that doors cannot use
  bool is_v4 = true;          // of its addresses
  bool has_timeout = false;

  friend bool operator==(const SetDescription&, const SetDescription&) = default;
};

// Whether such a set accepts temporary elements with this key of set_key().
bool takes_key(const SetDescription& set, std::string_view key);

// An element that was found.
struct FoundElement {
  std::string key;
  std::optional<Duration> left;  // absent: permanent
};

// --- Requests; empty if memory ran out. Answers have their number, `sequence`.

// One transaction: adds the elements for their time, or renews it.
std::string put_request(std::span<const TimedElement> elements, uint32_t sequence);
// One transaction: removes the elements. `add_first`: they need not exist.
std::string remove_request(std::span<const TimedElement> elements, bool add_first,
                           uint32_t sequence);
std::string describe_request(const SetName& set, uint32_t sequence);
std::string find_request(const SetElement& element, uint32_t sequence);
std::string list_request(const SetName& set, uint32_t sequence);
// The parts of a table of family inet: itself, its chains, its rules.
enum class TablePart : uint8_t { kTable, kChains, kRules };
std::string table_request(const std::string& table, TablePart part, uint32_t sequence);

// --- Answers. A message's length must not exceed the received bytes; its content is checked here.

std::vector<FoundElement> elements_in(const nlmsghdr& message);
SetDescription description_in(const nlmsghdr& message);
// The name of the table of a table, chain, rule or set.
std::string_view table_in(const nlmsghdr& message);
// All its attributes, as bytes.
std::string_view attributes_in(const nlmsghdr& message);
// An error number, 0 for success; nothing if the message does not end an answer.
std::optional<int> end_in(const nlmsghdr& message);

// How an answer of many messages ended.
class AnswerEnd {
 public:
  // True for a message that is content.
  bool take(const nlmsghdr& message);
  // The number of the first error; 0 for success. EINTR: a list changed while it was read. ENOBUFS:
  // the answer is incomplete.
  int error() const;

 private:
  std::optional<int> end_;
  bool interrupted_ = false;
};

}  // namespace knockd
