// SPDX-License-Identifier: MIT
// The messages between a fleet's gateways, from values to JSON and back. Input is as untrusted as a
// packet: sizes, characters, addresses and times are checked here; the ledger decides what a
// message may do. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "knockd/base/clock.h"
#include "knockd/code/code_ports.h"
#include "knockd/net/address.h"

namespace knockd {

// Of topic `open`: {"until":1766000000.250,"id":1766000000123,"user":"anna"}
struct OpenMessage {
  WallTime until{};  // Unix time
  uint64_t id = 0;   // of this opening at its gateway; increases
  std::string user;  // the owner of the code; empty: none

  friend bool operator==(const OpenMessage&, const OpenMessage&) = default;
};

// Of topic `close`: {"ids":[["GATEWAY",ID],...],"until":...}. Closes the openings of these gateways
// with this id or a smaller one.
struct CloseMessage {
  std::vector<std::pair<std::string, uint64_t>> ids;
  WallTime until{};  // when the last of them would have ended

  friend bool operator==(const CloseMessage&, const CloseMessage&) = default;
};

// Of topic `code`: {"step":58866666,"address":"192.0.2.7"}
struct CodeMessage {
  Step step = 0;
  IpAddress address;

  friend bool operator==(const CodeMessage&, const CodeMessage&) = default;
};

inline constexpr size_t kLongestMessage = 16384;  // bytes
inline constexpr size_t kMostClosedIds = 128;     // in one message

std::string to_json(const OpenMessage& message);
std::string to_json(const CloseMessage& message);
std::string to_json(const CodeMessage& message);

// Nothing for invalid text. Ignores unknown members.
std::optional<OpenMessage> parse_open_message(std::string_view payload);
std::optional<CloseMessage> parse_close_message(std::string_view payload);
std::optional<CodeMessage> parse_code_message(std::string_view payload);

}  // namespace knockd
