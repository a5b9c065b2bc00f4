// SPDX-License-Identifier: MIT
// Doors whose ports change with time. "In common" is what several codes begin with.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/knock/tracker_fixture.h"

namespace knockd {
namespace {

using TrackerCodesTest = TrackerTest;

TEST_F(TrackerCodesTest, EachCodeOpens_AndItsTagIsReported) {
  door_with_codes("ssh", "7000,totp,totp", {{20001, 20002}, {30001, 30002}, {10081, 65535}});
  const uint16_t ports[3][2] = {{20001, 20002}, {30001, 30002}, {10081, 65535}};
  for (uint16_t code = 0; code < 3; ++code) {
    knock(7000);
    knock(ports[code][0]);
    knock(ports[code][1]);
    expect("ssh: Stage 1, ssh: Stage 2, ssh: OPEN SESAME");
    EXPECT_EQ(event.code, (CodeTag{code, 7}));
    EXPECT_EQ(event.stage, 3);
  }
}

// A known source may retry while others knock wrong codes, but not try all codes.
TEST_F(TrackerCodesTest, AnOpeningReportsWhetherItsSourceGuesses) {
  const Ports codes = {{40012, 40134, 40256}};
  door_with_codes("typed", "7000,400xx,401xx,402xx", codes);
  const auto guesses_after = [&](int wrong_ones) {
    for (int i = 0; i < wrong_ones; ++i) {
      knock(7000);
      knock(40013);
    }
    for (const uint16_t port : std::vector<uint16_t>{7000, 40012, 40134, 40256}) knock(port);
    EXPECT_EQ(event.kind, EventKind::kOpen);
    expect_anything();
    return event.guesses;
  };
  EXPECT_EQ(guesses_after(kMostGuesses - 1), 0);
  EXPECT_EQ(guesses_after(1), 1);
  from("203.0.113.10");
  EXPECT_EQ(guesses_after(0), 0) << "another source";
  from("203.0.113.9");
  EXPECT_EQ(guesses_after(0), 1);
  new_codes(0, codes);
  EXPECT_EQ(guesses_after(0), 0) << "another step";
}

TEST_F(TrackerCodesTest, CodesAreNotMixed) {
  door_with_codes("ssh", "7000,totp,totp", {{20001, 20002}, {30001, 30002}});
  knock(7000);
  knock(20001);
  knock(30002);
  expect("ssh: Stage 1, ssh: Stage 2");
  ASSERT_EQ(wrong.size(), 1u);
  EXPECT_EQ(wrong[0].stage, 2);
  knock(20002);
  expect_nothing();
}

TEST_F(TrackerCodesTest, EachCodeThatStillMatchesIsKept) {
  door_with_codes("ssh", "7000,totp,totp,totp",
                  {{20001, 20002, 20003}, {20001, 20002, 30003}, {20001, 40002, 20003}});
  for (const std::vector<uint16_t>& ports :
       {std::vector<uint16_t>{20002, 20003}, {20002, 30003}, {40002, 20003}}) {
    knock(7000);
    knock(20001);
    for (const uint16_t port : ports) knock(port);
    expect("ssh: Stage 1, ssh: Stage 2, ssh: Stage 3, ssh: OPEN SESAME");
  }
  knock(7000);
  knock(20001);
  knock(40002);
  knock(30003);
  expect("ssh: Stage 1, ssh: Stage 2, ssh: Stage 3");
  EXPECT_EQ(wrong.size(), 1u);
}

TEST_F(TrackerCodesTest, ACodeMayComeFirst_AndFixedKnocksBetween) {
  door_with_codes("ssh", "totp,9000:udp,totp", {{20001, 20002}, {20001, 30002}, {40001, 40002}});
  knock(40001);
  knock_udp(9000);
  knock(40002);
  expect("ssh: Stage 1, ssh: Stage 2, ssh: OPEN SESAME");
  knock(20001);
  knock_udp(9000);
  knock(30002);
  expect("ssh: Stage 1, ssh: Stage 2, ssh: OPEN SESAME");
  EXPECT_EQ(event.code.user, 1);
}

// One attempt, for any number of codes that begin with the same knock.
TEST_F(TrackerCodesTest, AFirstKnockUsesOnePlaceInTheTable) {
  options.bounds.max_sources = 16;
  Ports many;
  for (uint16_t code = 0; code < 240; ++code) {
    many.push_back({static_cast<uint16_t>(20000 + code), static_cast<uint16_t>(30000 + code)});
  }
  door_with_codes("ssh", "7000,totp,totp", many);
  for (uint32_t source = 0; source < 16; ++source) {
    from_number(source);
    knock(7000);
  }
  EXPECT_EQ(tracker().sources(), 16u);
  std::string stages = "ssh: Stage 1";
  for (int i = 1; i < 16; ++i) stages += ", ssh: Stage 1";
  expect(stages);
  from_number(3);
  knock(20100);
  knock(30100);
  expect("ssh: Stage 2, ssh: OPEN SESAME");
}

TEST_F(TrackerCodesTest, AnAttemptContinues_WhenItsCodeIsAmongTheNewOnes) {
  door_with_codes("ssh", "7000,totp,totp", {{20001, 20002}, {30001, 30002}});
  knock(7000);
  knock(30001);
  expect("ssh: Stage 1, ssh: Stage 2");
  new_codes(0, {{11111, 11112}, {30001, 30002}, {30001, 12345}});
  knock(30002);
  expect("ssh: OPEN SESAME");
  EXPECT_EQ(event.code.user, 1);
}

TEST_F(TrackerCodesTest, AnAttemptEnds_WhenItsCodeIsNotAmongTheNewOnes) {
  door_with_codes("ssh", "7000,totp,totp", {{20001, 20002}, {30001, 30002}});
  knock(7000);
  knock(30001);
  expect("ssh: Stage 1, ssh: Stage 2");
  new_codes(0, {{20001, 20002}, {40001, 30002}});
  knock(30002);
  expect_nothing();
  knock(7000);
  knock(30001);
  expect("ssh: Stage 1");
}

TEST_F(TrackerCodesTest, AnAttemptBeforeItsFirstPlaceContinuesWithAnyNewCode) {
  door_with_codes("ssh", "7000,8000,totp", {{20001}, {20002}, {20003}});
  knock(7000);
  knock(8000);
  expect("ssh: Stage 1, ssh: Stage 2");
  new_codes(0, {{30001}});
  knock(30001);
  expect("ssh: OPEN SESAME");
}

TEST_F(TrackerCodesTest, EventsHaveTheGenerationOfTheCodes) {
  door_with_codes("ssh", "7000,totp", {{20001}});
  new_codes(0, {{20001}}, 5);
  knock(7000);
  EXPECT_EQ(event.generation, 5u);
  knock(20001);
  EXPECT_EQ(event.generation, 5u);
  expect("ssh: Stage 1, ssh: OPEN SESAME");
}

TEST_F(TrackerCodesTest, OldPortsAreNoLongerThoseOfTheDoor) {
  options.explain = true;
  door_with_codes("ssh", "7000,totp", {{20001}});
  knock(20001);
  EXPECT_EQ(verdict, Verdict::kFirstOfNone);
  new_codes(0, {{20002}});
  knock(20001);
  EXPECT_EQ(verdict, Verdict::kPortOfNoDoor);
  knock(20002);
  EXPECT_EQ(verdict, Verdict::kFirstOfNone);
}

TEST_F(TrackerCodesTest, ARepeatedKnockCountsOnce) {
  door_with_codes("ssh", "7000,totp,totp", {{20001, 20002}, {30001, 30002}});
  knock(7000);
  knock(20001);
  knock(20001);
  knock(20002);
  expect("ssh: Stage 1, ssh: Stage 2, ssh: OPEN SESAME");
}

TEST_F(TrackerCodesTest, ACodeMayHaveAPortTwice) {
  door_with_codes("ssh", "7000,totp,totp", {{20001, 20001}});
  knock(7000);
  knock(20001);
  expect("ssh: Stage 1, ssh: Stage 2");
  knock(20001);
  expect("ssh: OPEN SESAME");
}

TEST_F(TrackerCodesTest, AnAcceptedPortIsNotCountedAsAScan_OthersAre) {
  options.bounds.scan_limit = 2;
  door_with_codes("ssh", "7000,totp,totp", {{20001, 20002}});
  knock(7000);
  knock(20001);
  knock(20001);
  knock(7000);
  expect("ssh: Stage 1, ssh: Stage 2, ssh: Stage 1");
  knock(20001);
  knock(1);
  knock(2);
  expect("ssh: Stage 2");
  knock(3);
  expect("ssh: port scan at 2");
}

// The tracker cannot distinguish a used code from a valid one.
TEST_F(TrackerCodesTest, ACodeDoesNotCoolTheDoorDown) {
  door_with_codes("ssh", "7000,totp", {{20001}}, 10s);
  for (int i = 0; i < 2; ++i) {
    knock(7000);
    knock(20001);
    expect("ssh: Stage 1, ssh: OPEN SESAME");
  }
}

TEST_F(TrackerCodesTest, UdpIsNotACode) {
  door_with_codes("ssh", "7000,totp", {{20001}});
  knock(7000);
  knock_udp(20001);
  knock(20001);
  expect("ssh: Stage 1, ssh: OPEN SESAME");
}

TEST_F(TrackerCodesTest, UdpIsNotACode_EvenWhenAnotherDoorUsesThePort) {
  door_with_codes("ssh", "7000,totp", {{20001}});
  door("web", "20001:udp,8000");
  knock(7000);
  knock_udp(20001);
  expect("ssh: Stage 1, web: Stage 1");
  ASSERT_EQ(wrong.size(), 1u);
  EXPECT_EQ(wrong[0].door, 0);
}

TEST_F(TrackerCodesTest, WithoutCodesTheDoorStaysShut) {
  door_with_codes("ssh", "7000,400xx,401xx,402xx", {});
  knock(7000);
  knock(40012);
  expect("ssh: Stage 1, ssh: wrong code at 1");
}

// ---- typed ----

TEST_F(TrackerCodesTest, TypedPairsOpen) {
  door_with_codes("ssh", "7000,400xx,401xx,402xx", {{40012, 40134, 40256}, {40012, 40199, 40200}});
  knock(7000);
  knock(40012);
  knock(40199);
  knock(40200);
  expect("ssh: Stage 1, ssh: Stage 2, ssh: Stage 3, ssh: OPEN SESAME");
}

TEST_F(TrackerCodesTest, AnyOtherPortOfTheHundredsIsAWrongCode) {
  door_with_codes("ssh", "7000,400xx,401xx,402xx", {{40012, 40134, 40256}});
  for (const uint16_t port : std::vector<uint16_t>{40000, 40013, 40099, 40100, 40299}) {
    knock(7000);
    knock(port);
    expect("ssh: Stage 1, ssh: wrong code at 1");
    EXPECT_EQ(event.came, (Knock{port, Protocol::kTcp}));
    knock(40012);
    expect_nothing();
  }
  knock(7000);
  knock(40012);
  knock(40135);
  expect("ssh: Stage 1, ssh: Stage 2, ssh: wrong code at 2");
}

TEST_F(TrackerCodesTest, PortsOutsideTheHundredsAreNotCodes) {
  door_with_codes("ssh", "7000,8000,400xx,401xx,402xx", {{40012, 40134, 40256}});
  knock(7000);
  knock(39999);
  knock(40300);
  knock(8000);
  knock(40012);
  expect("ssh: Stage 1, ssh: Stage 2, ssh: Stage 3");
  knock(8000);
  ASSERT_EQ(wrong.size(), 1u) << "a fixed knock at the wrong place is no wrong code";
}

TEST_F(TrackerCodesTest, FixedKnocksNextToTheHundredsAreNotCodes) {
  door_with_codes("ssh", "39999,40300,400xx,401xx,402xx", {{40012, 40134, 40256}});
  knock(39999);
  knock(40300);
  knock(40012);
  knock(40300);
  expect("ssh: Stage 1, ssh: Stage 2, ssh: Stage 3");
  EXPECT_EQ(wrong.size(), 1u);
  knock(39999);
  knock(40300);
  knock(40012);
  knock(39999);
  expect("ssh: Stage 1, ssh: Stage 2, ssh: Stage 3, ssh: Stage 1");
  EXPECT_EQ(wrong.size(), 2u);
}

// ---- against a simple model ----

// A source's knocks of a door's sequence, and all codes that match them.
struct Model {
  std::vector<Sequence> sequences;
  std::vector<uint16_t> heard;

  bool agrees(const Sequence& sequence, const std::vector<uint16_t>& ports) const {
    for (size_t i = 0; i < ports.size(); ++i) {
      if (sequence[i].port != ports[i]) return false;
    }
    return true;
  }
  bool some_agree(const std::vector<uint16_t>& ports) const {
    return std::ranges::any_of(sequences, [&](const Sequence& one) { return agrees(one, ports); });
  }
  bool is_a_port(uint16_t port) const {
    return std::ranges::any_of(sequences, [&](const Sequence& one) {
      return std::ranges::any_of(one, [&](const Knock& knock) { return knock.port == port; });
    });
  }
  // What happened, in the fixture's words.
  std::string knock(uint16_t port) {
    if (!is_a_port(port)) return "";
    std::vector<uint16_t> longer = heard;
    longer.push_back(port);
    if (!some_agree(longer)) {
      if (!heard.empty() && heard.back() == port) return "";
      heard.clear();
      longer = {port};
      if (!some_agree(longer)) return "";
    }
    heard = longer;
    if (heard.size() < sequences.front().size()) {
      return "ssh: Stage " + std::to_string(heard.size());
    }
    heard.clear();
    return "ssh: OPEN SESAME";
  }
};

TEST_F(TrackerCodesTest, AgreesWithASimpleModel) {
  options.bounds.scan_limit = 64;
  for (uint32_t seed = 1; seed <= 300; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&](uint32_t limit) { return random() % limit; };
    const char* const forms[] = {"7000,totp,totp,totp", "totp,totp,7000,totp", "totp,totp,totp"};
    const char* const form = forms[seed % 3];
    const auto coded = std::get<CodedSequence>(parse_coded_sequence(form));
    // Few ports, so that codes often begin alike.
    const auto draw = [&] {
      Ports ports(1 + below(8));
      for (auto& one : ports) {
        for (size_t place = 0; place < 3; ++place) {
          one[place] = static_cast<uint16_t>(20000 + below(3));
        }
      }
      return ports;
    };
    Model model;
    const auto give = [&](const Ports& ports) {
      model.sequences.clear();
      for (const Code& code : codes(ports)) model.sequences.push_back(with_code(coded, code));
      if (!model.some_agree(model.heard)) model.heard.clear();
    };
    move();
    const Ports first = draw();
    door_with_codes("ssh", form, first);
    give(first);
    for (int step = 0; step < 200; ++step) {
      if (below(20) == 0) {
        const Ports next = draw();
        new_codes(0, next);
        give(next);
      }
      const auto port = static_cast<uint16_t>(below(4) == 0 ? 7000 : 20000 + below(4));
      const std::string wanted = model.knock(port);
      knock(port);
      expect(wanted);
      if (HasFailure()) FAIL() << "seed " << seed << ", step " << step << ", port " << port;
    }
  }
}

}  // namespace
}  // namespace knockd
