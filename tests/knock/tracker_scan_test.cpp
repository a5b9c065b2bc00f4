// SPDX-License-Identifier: MIT
// Port scans and realistic users: the scan guard must keep doors shut for scans and open for users.
// The orders of these scans are the same in each run; scripts/scans runs real scanners, whose
// orders are random.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/knock/tracker_fixture.h"

namespace knockd {
namespace {

// The doors of public guides, one configuration each, from tests/data/config/good.
const std::vector<std::vector<std::string_view>> kGuides = {
    {"7000,8000,9000"},
    {"7000,8000,9000", "9000,8000,7000"},
    {"7000,8000,9000", "9000,8000,7000", "1111,2222,3333", "3333,2222,1111"},
    {"7000,8000,9000", "9000,8000,7000", "2222:udp,3333:tcp,4444:udp"},
    {"1111,2222,3333,4444", "4444,3333,2222,1111"},
    {"1194,2194,3194", "3194,2194,1194"},
    {"1234,2345,3456"},
    {"1234,5678,9012"},
    {"123,456,789", "789,456,123"},
    {"12345,34512,54321", "54321,12345,11123", "1455,3244,1000", "3244,1455,1001"},
    {"4444,5555,6666"},
    {"5555,6666,7777", "7777,6666,5555"},
    {"22:udp,22:udp,151:tcp,15:udp"},
    {"7000:udp,8000:udp,9000:udp"},
};

// Scans against the doors of the guides, in orders that are the same in each run.
class TrackerScanTest : public TrackerTest {
 protected:
  using Ports = std::vector<uint16_t>;

  static Ports ascending() {
    Ports ports(65535);
    std::iota(ports.begin(), ports.end(), uint16_t{1});
    return ports;
  }
  static Ports descending() {
    Ports ports = ascending();
    std::reverse(ports.begin(), ports.end());
    return ports;
  }
  // Not std::shuffle, which differs between libraries.
  static Ports shuffled(Ports ports, uint32_t seed) {
    std::mt19937 random(seed);
    for (size_t i = ports.size(); i > 1; --i) std::swap(ports[i - 1], ports[random() % i]);
    return ports;
  }
  // The number of ports that scanners try by default, including all tcp ports of the guides.
  static Ports thousand() {
    std::set<uint16_t> ports;
    for (const auto& guide : kGuides) {
      for (const auto text : guide) {
        const auto sequence = std::get<Sequence>(parse_sequence(text));
        for (const Knock& knock : sequence) {
          if (knock.protocol == Protocol::kTcp) ports.insert(knock.port);
        }
      }
    }
    for (uint16_t port = 10; ports.size() < 1000; port = static_cast<uint16_t>(port + 10)) {
      ports.insert(port);
    }
    return {ports.begin(), ports.end()};
  }

  void move_to(const std::vector<std::string_view>& guide) {
    move();
    for (const auto sequence : guide) door(std::string(sequence), sequence);
  }
  void scan(const Ports& ports) {
    for (const uint16_t port : ports) knock(port);
  }
  void scan_udp(const Ports& ports) {
    for (const uint16_t port : ports) knock_udp(port);
  }
  // Two scans from one address, packet by packet; the second begins `lag` packets after the first.
  void scan_at_once(const Ports& first, const Ports& second, size_t lag) {
    for (size_t i = 0; i < std::max(first.size(), second.size() + lag); ++i) {
      if (i < first.size()) knock(first[i]);
      if (i >= lag && i - lag < second.size()) knock(second[i - lag]);
    }
  }
};

TEST_F(TrackerScanTest, OpensNoDoor_ForAScanInOrder) {
  for (const auto& guide : kGuides) {
    move_to(guide);
    scan(ascending());
    expect_all_shut();
    scan(descending());
    expect_all_shut();
  }
}

TEST_F(TrackerScanTest, ReportsEachAttemptThatAScanMade) {
  move_to({"7000,8000,9000", "9000,8000,7000"});
  scan(ascending());
  expect(
      "7000,8000,9000: Stage 1, 7000,8000,9000: port scan at 1, "
      "9000,8000,7000: Stage 1, 9000,8000,7000: port scan at 1");
}

constexpr std::array<size_t, 11> kLags = {0, 1, 2, 998, 999, 1000, 1001, 1002, 1999, 2000, 2001};

// With each lag the second scan is at one port of a door when the first is at, or near, another; or
// both are at the same port.
TEST_F(TrackerScanTest, OpensNoDoor_ForTwoScansAtOnce) {
  move_to({"7000,8000,9000", "9000,8000,7000"});
  Ports up(6001);
  std::iota(up.begin(), up.end(), uint16_t{5000});
  const Ports down(up.rbegin(), up.rend());
  for (const size_t lag : kLags) {
    for (const Ports& first : {up, down}) {
      for (const Ports& second : {up, down}) {
        scan_at_once(first, second, lag);
        expect_all_shut();
      }
    }
  }
}

TEST_F(TrackerScanTest, OpensNoDoor_ForOneHundredScansOfTheCommonPorts) {
  const Ports common = thousand();
  for (const auto& guide : kGuides) {
    move_to(guide);
    for (uint32_t seed = 1; seed <= 100; ++seed) {
      scan(shuffled(common, seed));
      expect_all_shut();
    }
  }
}

TEST_F(TrackerScanTest, OpensNoDoor_ForAScanOfAllPortsInRandomOrder) {
  const Ports all = shuffled(ascending(), 1);
  for (const auto& guide : kGuides) {
    move_to(guide);
    scan(all);
    expect_all_shut();
  }
}

// A scan in random order can still open a door by luck: the knocks in order, with at most four
// other ports between the first and the last. There are 15 ways to place the others between three
// knocks, so a random order of n ports succeeds with a probability of 15 / ((n - 1) * (n - 2)): 1
// in 66,000 for a thousand ports.
TEST_F(TrackerScanTest, OpensADoor_OnlyIfAScanTriesAtMostFourPortsInBetween) {
  int opened = 0;
  for (size_t before_second = 0; before_second < 8; ++before_second) {
    for (size_t before_third = 0; before_third < 8; ++before_third) {
      move_to({"7000,8000,9000"});
      Ports ports = shuffled(thousand(), 1);
      std::erase_if(ports,
                    [](uint16_t port) { return port == 7000 || port == 8000 || port == 9000; });
      ports.insert(ports.begin() + 500, 7000);
      ports.insert(ports.begin() + 501 + static_cast<ptrdiff_t>(before_second), 8000);
      ports.insert(ports.begin() + 502 + static_cast<ptrdiff_t>(before_second + before_third),
                   9000);
      scan(ports);
      if (before_second + before_third > options.bounds.scan_limit) {
        expect_all_shut();
      } else {
        expect("7000,8000,9000: Stage 1, 7000,8000,9000: Stage 2, 7000,8000,9000: OPEN SESAME");
        ++opened;
      }
    }
  }
  EXPECT_EQ(opened, 15);
}

// Datagrams are not connection attempts, so they are not counted. A tcp knock in the sequence stops
// a udp scan; sequences of only udp knocks must not be in the order of their numbers.
TEST_F(TrackerScanTest, DoesNotGuardSequencesOfOnlyUdpKnocks) {
  move_to({"22:udp,22:udp,151:tcp,15:udp", "2222:udp,3333:tcp,4444:udp"});
  scan_udp(ascending());
  expect_all_shut();
  scan_udp(descending());
  expect_all_shut();

  move_to({"7000:udp,8000:udp,9000:udp"});
  scan_udp(ascending());
  expect(
      "7000:udp,8000:udp,9000:udp: Stage 1, 7000:udp,8000:udp,9000:udp: Stage 2, "
      "7000:udp,8000:udp,9000:udp: OPEN SESAME");
  scan_udp(descending());
  expect_all_shut();
}

// ---- users, as they are ----

constexpr std::array<uint16_t, 3> kSshKnocks = {7000, 8000, 9000};
constexpr std::array<uint16_t, 6> kServices = {443, 993, 587, 8443, 993, 443};  // four

class TrackerUserTest : public TrackerTest {
 protected:
  void SetUp() override {
    door("openSSH", "7000,8000,9000", {.flags = {kTcpSyn, 0}});
    door("closeSSH", "9000,8000,7000", {.flags = {kTcpSyn, 0}});
  }
  void knock_at_ssh() {
    for (const uint16_t port : kSshKnocks) {
      knock(port);
      after(50ms);
    }
  }
  void expect_opened() { expect("openSSH: Stage 1, openSSH: Stage 2, openSSH: OPEN SESAME"); }
};

TEST_F(TrackerUserTest, UserWhoMistypesAPort_GetsIn) {
  knock(7000);
  knock(800);
  knock(8001);
  knock(8000);
  knock(9000);
  expect_opened();
}

TEST_F(TrackerUserTest, UserWhoMissesAKnock_GetsInByStartingOver) {
  knock(7000);
  expect("openSSH: Stage 1");
  knock(9000);
  expect("closeSSH: Stage 1");
  knock_at_ssh();
  expect_opened();
}

TEST_F(TrackerUserTest, UserWhoKnocksTwice_GetsInTwice) {
  knock_at_ssh();
  expect_opened();
  knock_at_ssh();
  expect_opened();
}

TEST_F(TrackerUserTest, UserWhoSendsEachKnockTwice_GetsIn) {
  for (const uint16_t port : kSshKnocks) {
    knock(port);
    retransmit();
    knock(port);
  }
  // The last knock is sent once too often, and is the first of the other door.
  expect("openSSH: Stage 1, openSSH: Stage 2, openSSH: OPEN SESAME, closeSSH: Stage 1");
  knock_at_ssh();
  expect_opened();
}

TEST_F(TrackerUserTest, UserWithABrowserOpen_GetsIn) {
  const auto browse = [&] {
    for (int connection = 0; connection < 20; ++connection) {
      knock(443);
      after(20ms);
      retransmit();
      knock(443, kAck);
      knock(443, kTcpAck | kTcpPsh);
      knock(80);
      knock_udp(443);
    }
  };
  browse();
  for (const uint16_t port : kSshKnocks) {
    knock(port);
    browse();
  }
  expect_opened();
}

TEST_F(TrackerUserTest, UserWhoSharesAnAddressWithUsersOfFourServices_GetsIn) {
  for (const uint16_t port : kSshKnocks) {
    for (const uint16_t service : kServices) {
      knock(service);
      after(100ms);
    }
    knock(port);
  }
  expect_opened();
}

TEST_F(TrackerUserTest, UserWhoseAddressIsForgedInAScan_GetsInAfterTheScan) {
  knock(7000);
  expect("openSSH: Stage 1");
  for (uint16_t port = 1; port < 1000; ++port) knock(port);
  expect("openSSH: port scan at 1");
  knock(8000);
  knock(9000);
  expect("closeSSH: Stage 1");
  for (uint16_t port = 1; port < 1000; ++port) knock(port);
  expect("closeSSH: port scan at 1");
  knock_at_ssh();
  expect_opened();
}

TEST_F(TrackerUserTest, UserWhoKnocksDuringAScanByAnother_GetsIn) {
  const auto scan = [&] {
    from("203.0.113.66");
    for (uint16_t port = 6000; port < 6900; ++port) knock(port);
    from("203.0.113.9");
  };
  for (const uint16_t port : kSshKnocks) {
    scan();
    knock(port);
  }
  expect_opened();
}

}  // namespace
}  // namespace knockd
