// SPDX-License-Identifier: MIT
// A keeper with a door whose codes are typed, and its listener's reports about them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <time.h>

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "knockd/code/used_codes.h"
#include "tests/keeper/keeper_run.h"

namespace knockd {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

class KeeperCodes : public ::testing::Test {
 protected:
  KeeperCodes() {
    Door door;
    door.name = "door";
    door.rule.sequence = {{7000}, {40000}, {40100}, {40200}, {40300}};
    door.rule.places = {.places = 0b11110, .typed = true};
    door.users.push_back({"alice", *Secret::parse("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")});
    keeper_.config().doors.push_back(door);
  }

  // A complete knock with the code of this step.
  static KnockEvent opening(uint32_t generation, bool is_v4 = true) {
    KnockEvent open;
    open.kind = EventKind::kOpen;
    open.stage = 5;
    open.door = 0;
    open.generation = generation;
    open.source = IpAddress::parse("192.0.2.7").value();
    open.code = code_tag(0, step_at(time(nullptr)), is_v4);
    return open;
  }
  static void tell(const Channel& channel, const FromListener& message) {
    channel.send_waiting(encode(message));
  }
  // The log of the listener's report of one.
  std::vector<std::string> lines_after_opening(uint8_t wrong_codes_untold, bool is_v4 = true) {
    EXPECT_EQ(keeper_.run([=](const ListenerSettings& settings, const Channel& channel) {
      KnockEvent open = opening(settings.generations.front(), is_v4);
      open.wrong_codes_untold = wrong_codes_untold;
      tell(channel, Listening{1});
      tell(channel, open);
    }),
              0);
    return keeper_.lines();
  }
  // The next codes from the keeper; nothing if none arrive within 10 s.
  static std::optional<CodesPart> next_codes(const Channel& channel) {
    std::array<uint8_t, kLongestMessage> buffer;
    for (pollfd end{channel.fd(), POLLIN, 0}; poll(&end, 1, 10'000) > 0;) {
      const Channel::Received received = channel.receive(buffer);
      if (received.kind == Channel::Received::Kind::kClosed) break;
      const auto message = decode_to_listener({buffer.data(), received.length});
      if (message && std::holds_alternative<CodesPart>(*message)) {
        return std::get<CodesPart>(*message);
      }
    }
    return {};
  }

  KeeperRun keeper_;
};

TEST_F(KeeperCodes, OpensForACodeOfThisStep) {
  EXPECT_THAT(lines_after_opening(0), Contains("192.0.2.7: door: OPEN SESAME"));
}

// The keeper enters the new step before the listener, which still counts those of the old one.
TEST_F(KeeperCodes, RefusesTypedCodes_WhenWrongOnesMayBeUnreported) {
  const auto lines = lines_after_opening(1);
  EXPECT_THAT(lines, Contains(HasSubstr("refused: too many wrong codes in this step")));
  EXPECT_THAT(lines, Not(Contains("192.0.2.7: door: OPEN SESAME")));
}

// A browser knocks the codes of both families.
TEST_F(KeeperCodes, CodeOfTheOtherAddressFamilyIsNotLogged) {
  keeper_.config().doors[0].rule.places.typed = false;
  const auto lines = lines_after_opening(0, false);
  EXPECT_THAT(lines, Not(Contains(HasSubstr("192.0.2.7"))));
}

// The number of a user may then belong to another.
TEST_F(KeeperCodes, ACodeOfTheUsersBeforeAReloadOpensNothing_AndListenersGetNewOnes) {
  Config other = keeper_.config();
  other.doors[0].users[0] = {"bob", *Secret::parse("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")};
  other.log_file = keeper_.config().log_file;
  keeper_.run(
      [](const ListenerSettings& settings, const Channel& channel) {
        const uint32_t before = settings.generations.front();
        tell(channel, Listening{1});
        kill(getppid(), SIGHUP);
        const auto codes = next_codes(channel);
        KnockEvent old = opening(before);
        old.source = IpAddress::parse("192.0.2.8").value();
        tell(channel, old);
        if (codes && codes->codes[0] != settings.doors[0].codes[0]) {
          tell(channel, opening(codes->generation));
        }
      },
      [other] { return other; });
  EXPECT_THAT(keeper_.lines(), Contains("192.0.2.7: door: knock of bob"));
  EXPECT_THAT(keeper_.lines(), Not(Contains(HasSubstr("192.0.2.8"))));
  EXPECT_EQ(keeper_.starts(), 1) << "a new listener misses packets until it is ready";
}

}  // namespace
}  // namespace knockd
