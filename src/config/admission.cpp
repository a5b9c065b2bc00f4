// SPDX-License-Identifier: MIT
// Admissions and the shut table of a configuration, as the openings and the ruleset need them.
#include <algorithm>
#include <map>
#include <set>

#include "knockd/base/text.h"
#include "knockd/config/config.h"
#include "knockd/config/draft.h"
#include "knockd/config/values.h"

namespace knockd {
namespace {

// The kernel counts an expired element until it collects it up to two seconds later: room for
// openings in the meantime.
constexpr uint64_t kPlaces = 3;

}  // namespace

bool is_in_own_table(const Config& config, const Door& door) {
  return !door.open.empty() && !door.open_set && !door.open_set_6 && !config.open_set &&
         !config.open_set_6;
}

std::optional<Admission> admission_of(const Config& config, const Door& door, bool is_v4) {
  if (!door.lets_in()) return std::nullopt;
  Admission admission;
  admission.ports = door.open;
  admission.prefix = is_v4 ? door.prefix_v4 : door.prefix_v6;
  if (is_in_own_table(config, door)) return admission;
  const bool has_own_sets = door.open_set || door.open_set_6;
  const auto& v4 = has_own_sets ? door.open_set : config.open_set;
  const auto& v6 = has_own_sets ? door.open_set_6 : config.open_set_6;
  admission.set = is_v4 ? v4 : v6;
  // A knocker of the other family cannot be let in; with the existing set that is logged in one
  // line.
  if (!admission.set) admission.set = is_v4 ? v6 : v4;
  return admission;
}

ShutTable shut_table_of(const Config& config, const std::vector<std::string>& interfaces,
                        bool ipv6) {
  ShutTable table;
  table.name = config.table;
  table.interfaces = interfaces;
  std::sort(table.interfaces.begin(), table.interfaces.end());
  std::set<Knock> known;
  uint64_t most = 0;
  for (const Door& door : config.doors) {
    if (!is_in_own_table(config, door)) continue;
    for (const Knock& port : door.open) {
      if (known.insert(port).second) table.ports.push_back({port, door.keep_established});
    }
    table.prefixes_v4.insert(door.prefix_v4);
    if (ipv6) table.prefixes_v6.insert(door.prefix_v6);
    most += kPlaces * door.max_open * door.open.size();
  }
  table.most_elements = static_cast<uint32_t>(std::clamp<uint64_t>(most, 1, UINT32_MAX));
  return table;
}

std::string kept_table_file(const Config& config) {
  return config.state_file.empty() ? std::string() : config.state_file + ".nft";
}

std::string code_file_of(const Config& config) {
  return config.state_file.empty() ? std::string() : config.state_file + ".codes";
}

void check_admissions(Draft& draft) {
  const Config& config = draft.config;
  std::map<Knock, const Door*> shut;  // by knockd: the first door that opens it
  for (const Door& door : config.doors) {
    const bool has_set = door.lets_in() && !is_in_own_table(config, door);
    if (has_set && door.places.contains("Open_Prefix")) {
      draft.error(door.place_of("Open_Prefix"),
                  "Open_Prefix with Open_Set: expected whole addresses, the set is not ours");
    }
    if (has_set) continue;
    for (const Knock& port : door.open) {
      const Door& first = *shut.try_emplace(port, &door).first->second;
      if (first.keep_established == door.keep_established) continue;
      draft.error(door.place_of("Keep_Established"),
                  format("doors %s and %s both open port %u: expected the same Keep_Established",
                         in_quotes(first.name).c_str(), in_quotes(door.name).c_str(), port.port));
      break;
    }
  }
}

}  // namespace knockd
