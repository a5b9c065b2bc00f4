// SPDX-License-Identifier: MIT
// How much is kept of what other gateways send: no more than a bound, and of none so much that the
// others find no room. Counts alone; what is kept is its user's business. Pure.
#pragma once

#include <cstddef>
#include <map>
#include <string>

namespace knockd {

class SenderQuota {
 public:
  static constexpr size_t kMost = 16384;
  static constexpr size_t kMostOfGateway = 4096;

  bool has_room(const std::string& gateway) const {
    const auto found = of_.find(gateway);
    return all_ < kMost && (found == of_.end() || found->second < kMostOfGateway);
  }
  void count(const std::string& gateway) {
    ++all_;
    ++of_[gateway];
  }
  // One that was counted.
  void forget(const std::string& gateway) {
    --all_;
    const auto found = of_.find(gateway);
    if (--found->second == 0) of_.erase(found);
  }
  size_t all() const { return all_; }

 private:
  std::map<std::string, size_t> of_;
  size_t all_ = 0;
};

}  // namespace knockd
