// SPDX-License-Identifier: MIT
#include "knockd/lint/sequence_check.h"

#include <algorithm>

#include "knockd/base/text.h"

namespace knockd {
namespace {

constexpr uint16_t kFirstUnassigned = 1024;  // below are the well-known ports (RFC 6335, 6)
constexpr size_t kFewKnocks = 3;             // fewer are easily guessed

std::vector<uint16_t> ports_of(const Sequence& sequence) {
  std::vector<uint16_t> ports;
  for (const Knock& knock : sequence) ports.push_back(knock.port);
  return ports;
}

// Whether each port is the previous one plus `step`.
bool goes_in_steps_of(int step, const std::vector<uint16_t>& ports) {
  for (size_t i = 1; i < ports.size(); ++i) {
    if (ports[i] - ports[i - 1] != step) return false;
  }
  return ports.size() > 1;
}

}  // namespace

std::vector<std::string> weaknesses_of(const Sequence& sequence) {
  const std::vector<uint16_t> ports = ports_of(sequence);
  std::vector<std::string> whys;
  if (sequence.size() == 1) {
    whys.push_back("one knock: any port scan opens the door");
  } else if (sequence.size() < kFewKnocks) {
    whys.push_back(format("fewer than %zu knocks are soon guessed", kFewKnocks));
  }
  if (goes_in_steps_of(1, ports)) {
    whys.push_back("ascending neighbours: a port scan may knock them");
  }
  if (goes_in_steps_of(-1, ports)) {
    whys.push_back("descending neighbours: a port scan may knock them");
  }
  if (std::adjacent_find(sequence.begin(), sequence.end()) != sequence.end()) {
    whys.push_back("a port is repeated: programs that repeat a packet knock it by chance");
  }
  if (std::any_of(ports.begin(), ports.end(), [](int p) { return p < kFirstUnassigned; })) {
    whys.push_back("well-known ports: strangers try those below 1024 first");
  }
  const std::vector<uint16_t> kDefault = {7000, 8000, 9000};  // shipped with knockd up to 0.8
  if (ports == kDefault ||
      std::equal(ports.begin(), ports.end(), kDefault.rbegin(), kDefault.rend())) {
    whys.push_back("the default of knockd 0.8, which everyone knows");
  }
  return whys;
}

}  // namespace knockd
