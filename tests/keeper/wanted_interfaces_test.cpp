// SPDX-License-Identifier: MIT
#include "knockd/keeper/wanted_interfaces.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace knockd {
namespace {

using ::testing::ElementsAre;

const IpAddress kOuter = *IpAddress::parse("192.0.2.1");
const IpAddress kOuter6 = *IpAddress::parse("2001:db8::1");
const IpAddress kVlan = *IpAddress::parse("192.0.2.129");
const IpAddress kInner = *IpAddress::parse("198.51.100.1");

// eth0, a VLAN device on it, and eth1.
const std::map<uint32_t, Interface> kPresent = {
    {2, {2, "eth0", true, 0, 0, {kOuter, kOuter6}}},
    {3, {3, "eth0.7", true, 2, 0, {kVlan}}},
    {4, {4, "eth1", true, 0, 0, {kOuter, kInner}}},
};

TEST(WantedInterfaces, ParentHearsItsVlanDevice_UnlessThatIsWantedItself) {
  EXPECT_THAT(WantedInterfaces({"eth0"}, false).addresses_on("eth0", 2, kPresent),
              ElementsAre(kOuter, kVlan, kOuter6));
  const WantedInterfaces both({"eth0", "eth0.7"}, false);
  EXPECT_THAT(both.addresses_on("eth0", 2, kPresent), ElementsAre(kOuter, kOuter6));
  EXPECT_THAT(both.addresses_on("eth0.7", 3, kPresent), ElementsAre(kVlan));
}

TEST(WantedInterfaces, AnyHearsAll_EachOnce) {
  EXPECT_THAT(WantedInterfaces({"any"}, true).addresses_on("any", 0, kPresent),
              ElementsAre(kOuter, kVlan, kInner));
}

}  // namespace
}  // namespace knockd
