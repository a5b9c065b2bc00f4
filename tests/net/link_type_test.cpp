// SPDX-License-Identifier: MIT
#include "knockd/net/link_type.h"

#include <gtest/gtest.h>

#include <utility>

namespace knockd {
namespace {

TEST(LinkType, KindsHaveTheirNumbers) {
  const std::pair<int, LinkType> known[] = {
      {1, LinkType::kEthernet}, {113, LinkType::kLinuxCooked}, {276, LinkType::kLinuxCooked2},
      {12, LinkType::kRaw},     {14, LinkType::kRaw},          {101, LinkType::kRaw},
      {0, LinkType::kLoopback}, {108, LinkType::kLoopback}};
  for (const auto& [number, link_type] : known) {
    EXPECT_EQ(link_type_from_number(number), link_type) << number;
  }
  for (const int number : {-1, 2, 9, 105, 127, 257, 65537}) {
    EXPECT_EQ(link_type_from_number(number), std::nullopt) << number;
  }
}

}  // namespace
}  // namespace knockd
