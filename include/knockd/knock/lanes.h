// SPDX-License-Identifier: MIT
// The openings of one door and source are in one lane of four parts, each with the oldest first. A
// source may have thousands of openings; finding the next one must not visit them all. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "knockd/knock/command_queue.h"
#include "knockd/net/address.h"

namespace knockd {

using Lane = std::pair<LineNumber, IpAddress>;

class Lanes {
 public:
  enum class Part : uint8_t {
    kBusy,    // its command runs, or its stop is queued: at most one
    kStops,   // waiting stops
    kStarts,  // waiting starts, also a queued one: a stop may still replace it
    kRest
  };

  void add(const Lane& lane, Part part, uint64_t id) { members_.insert({lane, part, id}); }
  void remove(const Lane& lane, Part part, uint64_t id) { members_.erase({lane, part, id}); }
  void move(const Lane& lane, Part from, Part to, uint64_t id) {
    auto member = members_.extract({lane, from, id});
    std::get<Part>(member.value()) = to;
    members_.insert(std::move(member));
  }

  std::optional<uint64_t> oldest(const Lane& lane, Part part) const {
    const auto found = members_.lower_bound({lane, part, 0});
    if (found == members_.end() || std::get<Lane>(*found) != lane) return std::nullopt;
    return std::get<Part>(*found) == part ? std::optional(std::get<uint64_t>(*found))
                                          : std::nullopt;
  }
  // The openings of the lane, part by part.
  std::vector<uint64_t> all_of(const Lane& lane) const {
    std::vector<uint64_t> ids;
    auto member = members_.lower_bound({lane, Part::kBusy, 0});
    for (; member != members_.end() && std::get<Lane>(*member) == lane; ++member) {
      ids.push_back(std::get<uint64_t>(*member));
    }
    return ids;
  }
  // Calls `visit` with the openings older than `id`, the youngest first, until it returns false.
  template <typename Visit>
  void visit_older(const Lane& lane, Part part, uint64_t id, Visit&& visit) const {
    const auto first = members_.lower_bound({lane, part, 0});
    for (auto member = members_.lower_bound({lane, part, id}); member != first;) {
      if (!visit(std::get<uint64_t>(*--member))) return;
    }
  }

 private:
  std::set<std::tuple<Lane, Part, uint64_t>> members_;
};

}  // namespace knockd
