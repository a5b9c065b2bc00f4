// SPDX-License-Identifier: MIT
#include "knockd/knock/door_use.h"

#include <algorithm>

#include "knockd/knock/event_text.h"

namespace knockd {

void DoorUse::add_start(const IpAddress& source) {
  ++starts_;
  ++starts_of_[source];
}

void DoorUse::remove_start(const IpAddress& source) {
  --starts_;
  const auto of_source = starts_of_.find(source);
  if (--of_source->second == 0) starts_of_.erase(of_source);
}

std::string DoorUse::too_many_open(size_t most) const {
  return open_ > most ? too_many_open_text(most) : "";
}

std::string DoorUse::too_many_starts(size_t most) const {
  return starts_ > most ? too_many_waiting_text(most) : "";
}

std::string DoorUse::too_many_starts_of(const IpAddress& source, size_t most) const {
  const size_t own = starts_of_.at(source);
  const size_t of_others = starts_ - own;
  const size_t left = most - std::min(of_others, most);  // those tried again may be more
  return own > std::max<size_t>(left / 4, 1) ? too_many_of_source_text() : "";
}

}  // namespace knockd
