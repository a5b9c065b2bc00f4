// SPDX-License-Identifier: MIT
#include "knockd/base/nearest_word.h"

#include <gtest/gtest.h>

#include <string>

namespace knockd {
namespace {

TEST(NearestWord, TypingErrorsFindTheWord) {
  const std::vector<std::string_view> words = {"check", "config", "door", "udp", "timeout", ""};
  EXPECT_EQ(nearest_word("chek", words), "check");
  EXPECT_EQ(nearest_word("hceck", words), "check");
  EXPECT_EQ(nearest_word("Configg", words), "config");
  EXPECT_EQ(nearest_word("dor", words), "door");
  EXPECT_EQ(nearest_word("timeouts", words), "timeout");
  EXPECT_EQ(nearest_word("check", words), "check");
}

TEST(NearestWord, UnrelatedWordsFindNone) {
  const std::vector<std::string_view> words = {"check", "config", "door", "udp", "timeout", ""};
  for (const char* word : {"", "x", "ud", "tcp", "nonsense", "tmot", "chexxx"}) {
    EXPECT_EQ(nearest_word(word, words), "") << word;
  }
  EXPECT_EQ(nearest_word(std::string(100'000, 'x'), words), "");
  EXPECT_EQ(nearest_word("check", {}), "");
}

TEST(NearestWord, TheNearestWins_TheFirstOfEquallyNear) {
  EXPECT_EQ(nearest_word("sent", {"spend", "send", "bent"}), "send");
}

}  // namespace
}  // namespace knockd
