// SPDX-License-Identifier: MIT
#include "knockd/knock/bpf_program.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <pcap/pcap.h>

#include <array>
#include <cstring>
#include <vector>

namespace knockd {

static_assert(sizeof(FilterInstruction) == sizeof(sock_filter));
static_assert(sizeof(FilterInstruction) == sizeof(bpf_insn));

namespace {

using Label = BpfProgram::Label;
using Ranges = std::vector<NumberRange>;

// Runs libpcap's interpreter on a program that loads a number and returns another.
class BpfProgramTest : public testing::Test {
 protected:
  void finish(Label next) {
    program.put(kLoadWord, 0, next);
    instructions = program.finish();
  }
  unsigned result_for(uint32_t number) const {
    std::vector<bpf_insn> code(instructions.size());
    std::memcpy(code.data(), instructions.data(), code.size() * sizeof(bpf_insn));
    const bpf_program described{static_cast<unsigned>(code.size()), code.data()};
    const std::array<uint8_t, 4> bytes = {
        static_cast<uint8_t>(number >> 24), static_cast<uint8_t>(number >> 16),
        static_cast<uint8_t>(number >> 8), static_cast<uint8_t>(number)};
    pcap_pkthdr header{};
    header.caplen = header.len = bytes.size();
    return static_cast<unsigned>(pcap_offline_filter(&described, &header, bytes.data()));
  }
  // This many instructions without effect that lead to `next`.
  Label pad(size_t count, Label next) {
    for (size_t i = 0; i < count; ++i) next = program.put(kAnd, 0xffffffff, next);
    return next;
  }

  BpfProgram program;
  std::vector<FilterInstruction> instructions;
};

TEST_F(BpfProgramTest, BranchesEitherWay) {
  const Label yes = program.give(1);
  const Label no = program.give(2);
  finish(program.branch(kIfEqual, 7, yes, no));
  EXPECT_EQ(result_for(7), 1u);
  EXPECT_EQ(result_for(8), 2u);
  EXPECT_EQ(instructions.size(), 4u);
}

TEST_F(BpfProgramTest, ContinuesAtItsTarget_OverInstructionsBetween) {
  const Label one = program.give(1);
  program.give(2);
  finish(one);
  EXPECT_EQ(result_for(0), 1u);
}

TEST_F(BpfProgramTest, WritesNoBranch_WhenBothTargetsAreTheSame) {
  const Label one = program.give(1);
  EXPECT_EQ(program.branch(kIfEqual, 7, one, one), one);
  finish(one);
  EXPECT_EQ(instructions.size(), 2u);
}

// Up to, at and beyond the 255 instructions that a conditional jump can skip.
TEST_F(BpfProgramTest, BranchesReachTargets_AtAnyDistance) {
  for (size_t between = 240; between < 270; ++between) {
    for (const size_t apart : {size_t{0}, size_t{1}, size_t{2}, size_t{300}}) {
      SCOPED_TRACE(testing::Message() << between << ' ' << apart);
      for (const bool yes_is_last : {false, true}) {
        program = {};
        const Label last = program.give(1);
        pad(apart, last);
        const Label before = program.give(2);
        pad(between, before);
        finish(yes_is_last ? program.branch(kIfAtLeast, 7, last, before)
                           : program.branch(kIfAtLeast, 7, before, last));
        EXPECT_EQ(result_for(7), yes_is_last ? 1u : 2u);
        EXPECT_EQ(result_for(6), yes_is_last ? 2u : 1u);
      }
    }
  }
}

TEST_F(BpfProgramTest, BranchWithinReach_NeedsNoSteppingStone) {
  const Label last = program.give(1);
  const Label next = pad(255, last);
  finish(program.branch(kIfEqual, 7, last, next));
  EXPECT_EQ(instructions.size(), 1 + 255 + 1 + 1u);
}

TEST_F(BpfProgramTest, OneSteppingStoneServesSeveralBranches) {
  const Label last = program.give(1);
  Label next = pad(300, program.give(2));
  for (uint32_t number = 0; number < 100; ++number)
    next = program.branch(kIfEqual, number, last, next);
  finish(next);
  for (const uint32_t number : {0u, 50u, 99u}) EXPECT_EQ(result_for(number), 1u) << number;
  EXPECT_EQ(result_for(100), 2u);
  EXPECT_LE(instructions.size(), 2 + 300 + 100 + 1 + 2u);  // a stone, and a jump over it
}

TEST_F(BpfProgramTest, SteppingStoneOutOfReach_IsDuplicated) {
  const Label last = program.give(1);
  Label next = pad(300, program.give(2));
  for (uint32_t number = 0; number < 1000; ++number)
    next = program.branch(kIfEqual, number, last, next);
  finish(next);
  for (const uint32_t number : {0u, 250u, 500u, 999u}) EXPECT_EQ(result_for(number), 1u) << number;
  EXPECT_EQ(result_for(1000), 2u);
}

// Every number of ranges, every value in them and next to them.
TEST_F(BpfProgramTest, FindsTheRangeOfANumber) {
  for (size_t count = 0; count < 40; ++count) {
    Ranges ranges;  // 10, 20 to 22, 30, 40 to 42 ...
    for (uint32_t i = 1; i <= count; ++i) ranges.push_back({10 * i, 10 * i + (i % 2 != 0 ? 0 : 2)});
    program = {};
    const Label no = program.give(9999);
    finish(program.choose(ranges, no,
                          [&](size_t i) { return program.give(1000 + static_cast<uint32_t>(i)); }));
    for (uint32_t number = 0; number < 10 * count + 20; ++number) {
      uint32_t expected = 9999;
      for (uint32_t i = 0; i < count; ++i) {
        if (number >= ranges[i].low && number <= ranges[i].high) expected = 1000 + i;
      }
      ASSERT_EQ(result_for(number), expected) << number << " of " << count;
    }
  }
}

TEST_F(BpfProgramTest, FindsTheRangeInFewSteps) {
  Ranges ranges;
  for (uint32_t i = 0; i < 1024; ++i) ranges.push_back({2 * i, 2 * i});
  const Label no = program.give(0);
  const Label yes = program.give(1);
  finish(program.choose(ranges, no, [&](size_t) { return yes; }));
  EXPECT_LT(instructions.size(), 1024 * 3 / 2u);
  for (uint32_t number = 0; number < 2050; ++number) {
    ASSERT_EQ(result_for(number), number < 2048 && number % 2 == 0 ? 1u : 0u) << number;
  }
}

TEST(NumberRanges, JoinAdjacentRanges) {
  EXPECT_EQ(ranges_of({}), Ranges{});
  EXPECT_EQ(ranges_of({9, 3, 4, 3, 5, 7, 65535}), (Ranges{{3, 5}, {7, 7}, {9, 9}, {65535, 65535}}));
}

TEST(NumberRanges, MergeTheClosestFirst) {
  const Ranges all = ranges_of({1, 11, 14, 24, 26, 100});
  Ranges ranges = all;
  merge_closest(ranges, 6);
  EXPECT_EQ(ranges, all);
  merge_closest(ranges, 5);
  EXPECT_EQ(ranges, (Ranges{{1, 1}, {11, 11}, {14, 14}, {24, 26}, {100, 100}}));
  merge_closest(ranges, 4);
  EXPECT_EQ(ranges, (Ranges{{1, 1}, {11, 14}, {24, 26}, {100, 100}}));
  merge_closest(ranges, 3);
  EXPECT_EQ(ranges, (Ranges{{1, 26}, {100, 100}}));  // two gaps of equal width
  ranges = all;
  merge_closest(ranges, 1);
  EXPECT_EQ(ranges, (Ranges{{1, 100}}));
}

}  // namespace
}  // namespace knockd
