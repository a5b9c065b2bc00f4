// SPDX-License-Identifier: MIT
#include "knockd/fleet/daemon_text.h"

#include <gtest/gtest.h>

#include <string>

namespace knockd {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const IpAddress kAddress = *IpAddress::parse("192.0.2.7");

TEST(DaemonText, StatusHasDoorsAndOpenings) {
  const auto status = parse_status(
      R"({"version":"1","doors":[{"name":"ssh","open":1,"open_for":600.000,"closes":true}],
          "openings":[{"id":3,"door":"ssh","address":"192.0.2.7","user":"anna","fleet":"gw2",
                       "until":1766000000.250,"left":7.5},
                      {"id":4,"door":"ssh","address":"192.0.2.7","until":1766000000.251}]})");
  ASSERT_TRUE(status);
  EXPECT_EQ(status->doors.at("ssh").open_for, seconds(600));
  EXPECT_TRUE(status->doors.at("ssh").closes);
  ASSERT_EQ(status->openings.size(), 2);
  const LocalOpening& opening = status->openings[0];
  EXPECT_EQ(opening.id, 3);
  EXPECT_EQ(opening.place, (DoorAddress{"ssh", kAddress}));
  EXPECT_EQ(opening.until, milliseconds(1766000000250));
  EXPECT_EQ(opening.user, "anna");
  EXPECT_TRUE(opening.by_fleet);
  EXPECT_FALSE(status->openings[1].by_fleet);
  EXPECT_FALSE(parse_status("{}"));
  EXPECT_FALSE(parse_status(R"({"status":1,"text":"no"})"));
}

TEST(DaemonText, EventsThatConcernAFleetAreRead) {
  const auto open = parse_event(
      R"({"time":1.0,"event":"open","id":3,"door":"ssh","address":"192.0.2.7","until":2.5})");
  ASSERT_TRUE(std::holds_alternative<LocalOpening>(open));
  EXPECT_EQ(std::get<LocalOpening>(open).until, milliseconds(2500));

  const auto closed = parse_event(
      R"({"event":"closed","id":3,"door":"ssh","address":"192.0.2.7","why":"x","by":"hand"})");
  ASSERT_TRUE(std::holds_alternative<DaemonClosed>(closed));
  EXPECT_EQ(std::get<DaemonClosed>(closed).by, ClosedBy::kHand);

  const auto code = parse_event(
      R"({"event":"code","id":9,"door":"ssh","address":"192.0.2.7","secret":"0123456789012345",
          "step":58866666,"user":"anna"})");
  ASSERT_TRUE(std::holds_alternative<UsedCode>(code));
  EXPECT_EQ(std::get<UsedCode>(code).code, (CodeMessage{58866666, kAddress}));

  EXPECT_TRUE(std::holds_alternative<DaemonReloaded>(parse_event(R"({"event":"reload"})")));
  for (const char* const other :
       {"", "x", "{}", R"({"event":"stage","door":"ssh","address":"192.0.2.7"})",
        // It has no stop command.
        R"({"event":"open","id":3,"door":"ssh","address":"192.0.2.7"})"}) {
    EXPECT_TRUE(std::holds_alternative<std::monostate>(parse_event(other))) << other;
  }
}

TEST(DaemonText, RequestsAreLinesOfWords) {
  const Instant now{seconds(100)};
  const DoorAddress place{"my door", kAddress};
  EXPECT_EQ(request_text(FleetOpen{place, now + milliseconds(12345), "gw2", "anna"}, now),
            "fleet-open\tmy door\t192.0.2.7\t12.345\tgw2\tanna");
  EXPECT_EQ(request_text(FleetOpen{place, now + seconds(1), "gw2", ""}, now),
            "fleet-open\tmy door\t192.0.2.7\t1.000\tgw2");
  EXPECT_EQ(request_text(FleetOpen{place, now, "gw2", ""}, now), std::nullopt);
  EXPECT_EQ(request_text(FleetClose{place, "gw2"}, now), "fleet-close\tmy door\t192.0.2.7\tgw2");
  EXPECT_EQ(request_text(FleetClose{{"a\tb", kAddress}, "gw2"}, now), std::nullopt);
  EXPECT_EQ(request_text(FleetUsed{"0123456789012345", {7, kAddress}, "gw2"}, now),
            "fleet-used\t0123456789012345\t7\t192.0.2.7\tgw2");
  EXPECT_EQ(request_text(FleetShared{9}, now), "fleet-shared\t9");
}

}  // namespace
}  // namespace knockd
