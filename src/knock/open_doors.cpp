// SPDX-License-Identifier: MIT
#include "knockd/knock/open_doors.h"

namespace knockd {

void OpenDoors::open(OpenDoor door) {
  schedule_.emplace(door.deadline, door.id);
  by_source_.emplace(door.source, door.id);
  const uint64_t id = door.id;
  doors_.insert_or_assign(id, std::move(door));
}

void OpenDoors::closed(uint64_t id) {
  const auto found = doors_.find(id);
  if (found == doors_.end()) return;
  schedule_.erase({found->second.deadline, id});
  by_source_.erase({found->second.source, id});
  doors_.erase(found);
}

const OpenDoor* OpenDoors::find(const std::string& door, const IpAddress& source) const {
  // Ids grow, so the youngest of a source stands last.
  for (auto at = by_source_.upper_bound({source, UINT64_MAX}); at != by_source_.begin();) {
    --at;
    if (at->first != source) break;
    const OpenDoor& candidate = doors_.at(at->second);
    if (candidate.door == door) return &candidate;
  }
  return nullptr;
}

const OpenDoor* OpenDoors::find(uint64_t id) const {
  const auto found = doors_.find(id);
  return found == doors_.end() ? nullptr : &found->second;
}

void OpenDoors::extend(uint64_t id, Instant deadline) {
  const auto found = doors_.find(id);
  if (found == doors_.end() || schedule_.erase({found->second.deadline, id}) == 0) return;
  found->second.deadline = deadline;
  schedule_.emplace(deadline, id);
}

void OpenDoors::reopen(uint64_t id, Instant deadline) {
  const auto found = doors_.find(id);
  if (found == doors_.end()) return;
  schedule_.erase({found->second.deadline, id});
  found->second.deadline = deadline;
  schedule_.emplace(deadline, id);
  by_source_.emplace(found->second.source, id);
}

std::vector<uint64_t> OpenDoors::due(Instant now) {
  std::vector<uint64_t> ids;
  while (!schedule_.empty() && schedule_.begin()->first <= now) {
    const uint64_t id = schedule_.begin()->second;
    schedule_.erase(schedule_.begin());
    by_source_.erase({doors_.at(id).source, id});
    ids.push_back(id);
  }
  return ids;
}

std::optional<Instant> OpenDoors::next_due() const {
  if (schedule_.empty()) return std::nullopt;
  return schedule_.begin()->first;
}

}  // namespace knockd
