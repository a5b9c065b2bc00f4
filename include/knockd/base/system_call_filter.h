// SPDX-License-Identifier: MIT
// A list of allowed system calls for this process (seccomp). For programs built with libseccomp.
#pragma once

#include <seccomp.h>

#include <cerrno>
#include <cstdint>
#include <initializer_list>
#include <vector>

namespace knockd {

class SystemCallFilter {
 public:
  using Conditions = std::vector<scmp_arg_cmp>;

  // `otherwise` is the action for calls that are not listed.
  explicit SystemCallFilter(uint32_t otherwise) : context_(seccomp_init(otherwise)) {}
  ~SystemCallFilter() { seccomp_release(context_); }
  SystemCallFilter(const SystemCallFilter&) = delete;
  SystemCallFilter& operator=(const SystemCallFilter&) = delete;

  void allow(std::initializer_list<int> calls, const Conditions& conditions = {}) {
    add(SCMP_ACT_ALLOW, calls, conditions);
  }
  void kill(std::initializer_list<int> calls) { add(SCMP_ACT_KILL_PROCESS, calls, {}); }

  // Puts the filter in force; 0 or a negative errno.
  int load() {
    if (context_ == nullptr) return -ENOMEM;
    return status_ == 0 ? seccomp_load(context_) : status_;
  }

 private:
  void add(uint32_t action, std::initializer_list<int> calls, const Conditions& conditions) {
    for (const int call : calls) {
      const int added =
          seccomp_rule_add_array(context_, action, call, static_cast<unsigned>(conditions.size()),
                                 conditions.empty() ? nullptr : conditions.data());
      // A call that this architecture does not have needs no permission.
      if (added != 0 && added != -EDOM) status_ = added;
    }
  }

  scmp_filter_ctx context_;
  int status_ = 0;
};

// For an argument that the kernel reads as an int: the upper half of the register is ignored.
inline scmp_arg_cmp has_bits(unsigned argument, uint32_t mask, uint32_t value) {
  return {argument, SCMP_CMP_MASKED_EQ, mask, value};
}

}  // namespace knockd
