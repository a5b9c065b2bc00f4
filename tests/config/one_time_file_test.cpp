// SPDX-License-Identifier: MIT
#include "knockd/config/one_time_file.h"

#include <gtest/gtest.h>

#include <string>

namespace knockd {
namespace {

// "offset: sequence" of what is in force, "none left" otherwise.
std::string in_force(std::string_view text) {
  const auto found = find_one_time_sequence(text);
  return found ? std::to_string(found->offset) + ": " + to_string(found->sequence) : "none left";
}

TEST(OneTimeFile, FirstLineIsInForce) {
  EXPECT_EQ(in_force("1,2,3\n4,5,6\n"), "0: 1,2,3");
  EXPECT_EQ(in_force(" 1,2:udp,3"), "0: 1,2:udp,3");
}

TEST(OneTimeFile, PassesOverWhatIsNoSequence) {
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

TEST(OneTimeFile, PassesOverByteOrderMark) {
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

}  // namespace
}  // namespace knockd
