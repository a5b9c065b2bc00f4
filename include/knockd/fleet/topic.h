// SPDX-License-Identifier: MIT
// The topics of a fleet, from values to text and back. Pure.
//
//   knockd/FLEET/GATEWAY/open/DOOR/ADDRESS   this door is open there for this address
//   knockd/FLEET/GATEWAY/close/DOOR/ADDRESS  somebody has closed it by hand there
//   knockd/FLEET/GATEWAY/code/SECRET/4|6     the last code of this secret that was used there
//   knockd/FLEET/GATEWAY/sync                a mark by which a gateway knows that it has caught up,
//                                            and that no other has its name
//
// GATEWAY is the sender: the broker's rules let each user write only below its own name. Names of
// doors are percent-encoded: "/", "+", "#", "%", control bytes and all above 0x7e.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "knockd/net/address.h"

namespace knockd {

// The subject of openings: a door, for an address.
struct DoorAddress {
  std::string door;
  IpAddress address;

  friend auto operator<=>(const DoorAddress&, const DoorAddress&) = default;
};

struct Topic {
  enum class Kind : uint8_t { kOpen, kClose, kCode, kSync };

  Kind kind = Kind::kSync;
  std::string gateway;
  DoorAddress place{};   // of kOpen and kClose
  std::string secret{};  // of kCode: its id
  bool is_v4 = false;    // of kCode

  friend bool operator==(const Topic&, const Topic&) = default;
};

std::string to_text(const std::string& fleet, const Topic& topic);
// Accepts only text by to_text(), of this fleet, with the address of a single host.
std::optional<Topic> parse_topic(const std::string& fleet, std::string_view text);

// The subscriptions of a gateway: closes before opens, so that no closed door is opened.
std::vector<std::string> topic_filters(const std::string& fleet, const std::string& gateway,
                                       const std::set<std::string>& doors);

std::string percent_encode(std::string_view text);
// Nothing for text that percent_encode() cannot produce.
std::optional<std::string> percent_decode(std::string_view text);

}  // namespace knockd
