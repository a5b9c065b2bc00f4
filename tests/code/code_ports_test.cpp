// SPDX-License-Identifier: MIT
#include "knockd/code/code_ports.h"

#include <gtest/gtest.h>

#include "tests/code/oathtool.h"

#ifdef KNOCKD_CODES

namespace knockd {
namespace {

using Ports = std::array<uint16_t, kMostCodePlaces>;

constexpr const char* kRfc = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

Ports ports_at(const char* sequence, Step step, bool is_v4 = true) {
  const auto coded = parse_coded_sequence(sequence);
  return code_ports(*Secret::parse(kRfc), std::get<CodedSequence>(coded), step, is_v4);
}

TEST(CodePortsTest, TypedPlacesArePairsOfTheCode) {
  // 94287082, 07081804 and 287082: RFC 6238, appendix B, and RFC 4226, appendix D.
  EXPECT_EQ(ports_at("7000,400xx,401xx,402xx,403xx", 1), (Ports{40094, 40128, 40270, 40382}));
  EXPECT_EQ(ports_at("7000,400xx,401xx,402xx,403xx", 1111111109 / 30),
            (Ports{40007, 40108, 40218, 40304}));
  EXPECT_EQ(ports_at("7000,400xx,401xx,402xx", 1), (Ports{40028, 40170, 40282, 0}));
  EXPECT_EQ(ports_at("7000,403xx,8000:udp,12xx,9xx", 1), (Ports{40328, 1270, 982, 0}));
}

TEST(CodePortsTest, TypedPlacesAreTheSameOverBothFamilies) {
  EXPECT_EQ(ports_at("7000,400xx,401xx,402xx", 1, false), ports_at("7000,400xx,401xx,402xx", 1));
}

TEST(CodePortsTest, ComputedPlacesDoNotDependOnWhereTheyStand) {
  const Ports four = ports_at("totp,totp,totp,totp", 58826666);
  EXPECT_EQ(ports_at("7000,totp,8000:udp,totp", 58826666), (Ports{four[0], four[1], 0, 0}));
  EXPECT_NE(ports_at("totp,totp,totp,totp", 58826666, false), four);
  EXPECT_NE(ports_at("totp,totp,totp,totp", 58826667), four);
}

TEST(CodePortsTest, PlainSequenceHasNone) { EXPECT_EQ(ports_at("7000,8000", 1), Ports{}); }

TEST(CodePortsTest, ComputedPortsAreAboveThoseThatBrowsersRefuse) {
  for (Step step = 0; step < 2000; ++step) {
    for (const uint16_t port : ports_at("totp,totp,totp,totp", step)) ASSERT_GE(port, 10081);
  }
}

TEST(CodePortsTest, ComputedPlacesAgreeWithOathtool) {
  if (!have_oathtool()) GTEST_SKIP() << "oathtool is not installed";
  for (const Step step : {Step{1}, Step{58826666}, Step{66666666}}) {
    for (const bool is_v4 : {true, false}) {
      const Ports ports = ports_at("7000,totp,totp,totp,totp", step, is_v4);
      for (size_t n = 0; n < ports.size(); ++n) {
        const uint64_t counter =
            (uint64_t{1} << 40) + 8 * static_cast<uint64_t>(step) + n + (is_v4 ? 0 : 4);
        const auto value = parse_number(oathtool(kRfc, counter, 8), 99999999);
        ASSERT_TRUE(value);
        EXPECT_EQ(ports[n], 10081 + *value % 55455) << step << ' ' << n;
      }
    }
  }
}

}  // namespace
}  // namespace knockd

#endif
