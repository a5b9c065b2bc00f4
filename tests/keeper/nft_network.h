// SPDX-License-Identifier: MIT
// A network namespace for one test, with the kernel's sets and nft(8); skips the test if the kernel
// has no sets.
#pragma once

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>

#include "knockd/keeper/nft_sets.h"
#include "tests/base/own_network.h"

namespace knockd {

class NftNetwork : public OwnNetwork {
 protected:
  void SetUp() override {
    OwnNetwork::SetUp();
    if (IsSkipped()) return;
    auto created = NftSets::create();
    if (!created && (errno == EPROTONOSUPPORT || errno == EPFNOSUPPORT || errno == EOPNOTSUPP)) {
      GTEST_SKIP() << "no nfnetlink here: " << created.error().text;
    }
    ASSERT_TRUE(created) << created.error().text;
    sets_.emplace(*std::move(created));
  }
  static void nft(const std::string& ruleset) {
    FILE* const program = popen("nft -f -", "w");
    ASSERT_NE(program, nullptr);
    std::fputs(ruleset.c_str(), program);
    ASSERT_EQ(pclose(program), 0) << ruleset.substr(0, 300);
  }

  std::optional<NftSets> sets_;
};

}  // namespace knockd
