// SPDX-License-Identifier: MIT
// Limits the data kept from other gateways: in total, and for each sender so that the others have
// room. Only counts; the user keeps the data. Pure.
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
  // Reverses one count.
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
