// SPDX-License-Identifier: MIT
#include "knockd/config/door_rules.h"

#include <gtest/gtest.h>

#include <string>

#include "knockd/config/one_time_file.h"
#include "knockd/config/parser.h"
#include "tests/config/text_files.h"

namespace knockd {
namespace {

class DoorRulesTest : public testing::Test {
 protected:
  DoorRulesTest() {
    TextFiles files;
    files.texts = {{"long", "1\n2\n3\n4\n5\n6\n"}, {"short", "8\n9\n"}};
    config = *parse_config(
        "[a]\none_time_sequences = long\n[b]\nsequence = 7000\n"
        "[c]\none_time_sequences = short\nseq_cooldown = 5\n",
        "k.conf", files);
    rules = DoorRules(config.doors);
  }

  // The sequences of a door's rules; an empty sequence is "-".
  std::string sequences(DoorNumber door) const {
    std::string text;
    for (const DoorNumber rule : rules.of_door(door)) {
      EXPECT_EQ(rules.door_of(rule), door);
      const Sequence& sequence = rules.sequence(rule);
      text += (text.empty() ? "" : " ") + (sequence.empty() ? "-" : to_string(sequence));
    }
    return text;
  }

  Config config;
  DoorRules rules;
};

TEST_F(DoorRulesTest, EachSequenceInForceHasARule) {
  EXPECT_EQ(rules.all().size(), 1 + 2 * kSequencesInForce);
  EXPECT_EQ(sequences(0), "1 2 3 4 5");
  EXPECT_EQ(sequences(1), "7000");
  EXPECT_EQ(sequences(2), "8 9 - - -");
  EXPECT_EQ(rules.door_of(kNoDoor), kNoDoor);
}

TEST_F(DoorRulesTest, FirstRuleHasTheNumberOfItsDoor) {
  for (DoorNumber door = 0; door < 3; ++door) {
    EXPECT_EQ(rules.of_door(door).front(), door);
    EXPECT_EQ(rules.all()[door], config.doors[door].rule);
  }
}

TEST_F(DoorRulesTest, RulesOfADoorDifferOnlyInTheSequence_AndShareTheCooldown) {
  for (const DoorNumber number : rules.of_door(2)) {
    DoorRule rule = rules.all()[number];
    EXPECT_EQ(rule.cools_with, number == 2 ? kNoDoor : 2);
    rule.cools_with = kNoDoor;
    rule.sequence = config.doors[2].rule.sequence;
    EXPECT_EQ(rule, config.doors[2].rule);
  }
}

TEST_F(DoorRulesTest, KnowsThePreviousSequences) {
  const auto numbers = rules.of_door(0);
  EXPECT_TRUE(rules.sequences_before(numbers[0]).empty());
  const std::vector<Sequence> expected = {{{.port = 1}}, {{.port = 2}}};
  EXPECT_EQ(rules.sequences_before(numbers[2]), expected);
}

TEST_F(DoorRulesTest, PutsSequencesInForce) {
  rules.set_sequences(0, {{{.port = 4}}, {{.port = 5}}});
  EXPECT_EQ(sequences(0), "4 5 - - -");
  EXPECT_EQ(sequences(2), "8 9 - - -");
  rules.set_sequences(0, {});
  EXPECT_EQ(sequences(0), "- - - - -");
}

}  // namespace
}  // namespace knockd
