// SPDX-License-Identifier: MIT
#include "knockd/config/description.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace knockd {
namespace {

using ::testing::Contains;

TEST(Description, OneIsSingular) {
  Config config;
  config.bounds.scan_limit = 1;
  config.bounds.log_rate = 1;
  EXPECT_THAT(describe(config), Contains("scan limit 1 port, at most 65536 sources"));
  EXPECT_THAT(describe(config),
              Contains("log to syslog no, file none, at most 1 line a second of strangers"));
}

}  // namespace
}  // namespace knockd
