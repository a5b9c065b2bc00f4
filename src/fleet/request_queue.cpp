// SPDX-License-Identifier: MIT
#include "knockd/fleet/request_queue.h"

#include <iterator>
#include <variant>

namespace knockd {

void RequestQueue::add(DaemonRequest request) {
  if (const auto* open = std::get_if<FleetOpen>(&request)) {
    const DoorAddress place = open->place;
    return add_open(place, std::move(request));
  }
  if (const auto* close = std::get_if<FleetClose>(&request)) {
    const DoorAddress place = close->place;
    return add_close(place, std::move(request));
  }
  // Knockers wait for codes only.
  requests_.push_front(std::move(request));
}

void RequestQueue::add_open(const DoorAddress& place, DaemonRequest request) {
  const auto [waiting, is_first] = opens_.try_emplace(place);
  if (is_first) {
    waiting->second = requests_.insert(requests_.end(), std::move(request));
  } else {
    *waiting->second = std::move(request);
  }
}

// Earlier requests to open are obsolete.
void RequestQueue::add_close(const DoorAddress& place, DaemonRequest request) {
  if (const auto open = opens_.extract(place)) requests_.erase(open.mapped());
  const auto [waiting, is_first] = closes_.try_emplace(place);
  if (is_first) waiting->second = requests_.insert(requests_.end(), std::move(request));
}

std::optional<DaemonRequest> RequestQueue::take() {
  if (requests_.empty()) return std::nullopt;
  if (const auto* open = std::get_if<FleetOpen>(&requests_.front())) opens_.erase(open->place);
  if (const auto* close = std::get_if<FleetClose>(&requests_.front())) closes_.erase(close->place);
  DaemonRequest request = std::move(requests_.front());
  requests_.pop_front();
  return request;
}

void RequestQueue::clear() {
  opens_.clear();
  closes_.clear();
  requests_.clear();
}

}  // namespace knockd
