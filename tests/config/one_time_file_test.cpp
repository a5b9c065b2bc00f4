// SPDX-License-Identifier: MIT
#include "knockd/config/one_time_file.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace knockd {
namespace {

// "offset: sequence" of the sequence in force, or "none left".
std::string in_force(std::string_view text) {
  const auto found = find_one_time_sequence(text);
  return found ? std::to_string(found->offset) + ": " + to_string(found->sequence) : "none left";
}

TEST(OneTimeFile, FirstLineIsInForce) {
  EXPECT_EQ(in_force("1,2,3\n4,5,6\n"), "0: 1,2,3");
  EXPECT_EQ(in_force(" 1,2:udp,3"), "0: 1,2:udp,3");
}

TEST(OneTimeFile, IgnoresLinesWithoutASequence) {
  EXPECT_EQ(in_force("#,2,3\n4,5,6\n"), "6: 4,5,6");
  EXPECT_EQ(in_force("\n \r\n4,5,6\n"), "4: 4,5,6");
  EXPECT_EQ(in_force("a,b\n1,70000\n1,2,\n4,5,6\n"), "17: 4,5,6");
  EXPECT_EQ(in_force("  # note\n4,5,6 # mine\r\n"), "9: 4,5,6");
}

TEST(OneTimeFile, HasNothingInForce_WhenAllAreUsed) {
  EXPECT_EQ(in_force(""), "none left");
  EXPECT_EQ(in_force("\n\n"), "none left");
  EXPECT_EQ(in_force("#,2,3\n#5,6"), "none left");
}

TEST(OneTimeFile, IgnoresAByteOrderMark) {
  EXPECT_EQ(in_force("\xef\xbb\xbf"
                     "1,2,3\n"),
            "0: 1,2,3");
  EXPECT_EQ(in_force("#\xbb\xbf"
                     "1,2,3\n4,5\n"),
            "9: 4,5");
}

TEST(OneTimeFile, EachSequenceIsInForceOnce_WhenUsedOnesAreMarked) {
  std::string text = "1,2,3\n 4,5,6\nrubbish\n7,8,9";
  std::string order;
  while (const auto found = find_one_time_sequence(text)) {
    order += to_string(found->sequence) + ' ';
    text[found->offset] = '#';
  }
  EXPECT_EQ(order, "1,2,3 4,5,6 7,8,9 ");
  text += "\n10,11,12\n";
  EXPECT_EQ(in_force(text), "27: 10,11,12");
}

std::string all_in_force(std::string_view text) {
  std::string all;
  for (const Sequence& sequence : sequences_in_force(text)) all += to_string(sequence) + ' ';
  return all;
}

TEST(OneTimeFile, ByteOrderMarkCountsOnlyAtTheBeginning) {
  EXPECT_EQ(all_in_force("1\n\xef\xbb\xbf"
                         "2\n3\n"),
            "1 3 ");
}

TEST(OneTimeFile, FiveLinesAreInForce_InTheirOrder) {
  EXPECT_EQ(all_in_force("1\n2\n#\n3,3\nno\n\n4\n5\n6\n"), "1 2 3,3 4 5 ");
  EXPECT_EQ(all_in_force("1\n2"), "1 2 ");
  EXPECT_EQ(all_in_force(""), "");
}

std::string to_mark(std::string_view text, uint16_t knocked, const std::vector<uint16_t>& skipped) {
  std::vector<Sequence> sequences;
  for (const uint16_t port : skipped) sequences.push_back({{.port = port}});
  std::string offsets;
  for (const size_t offset : lines_to_mark(text, {{.port = knocked}}, sequences)) {
    offsets += std::to_string(offset) + ' ';
  }
  return offsets;
}

TEST(OneTimeFile, KnockedLineIsMarkedFirst_ThenThoseBeforeIt) {
  EXPECT_EQ(to_mark("1\n2\n3\n4\n", 3, {1, 2}), "4 0 2 ");
  EXPECT_EQ(to_mark("1\n2\n3\n4\n", 1, {}), "0 ");
  EXPECT_EQ(to_mark("#\n2\n3\n", 3, {1, 2}), "4 2 ");
  EXPECT_EQ(to_mark("2\n3\n2\n", 3, {2}), "2 0 ");
  EXPECT_EQ(to_mark("1\n2\n", 3, {1, 2}), "");
}

}  // namespace
}  // namespace knockd
