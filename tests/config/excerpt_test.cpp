// SPDX-License-Identifier: MIT
// Only the edge cases; tests/data/config/faulty covers the rest.
#include "knockd/config/excerpt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace knockd {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::IsEmpty;
using testing::StartsWith;

TEST(Excerpt, KeepsTabs_SoThatTheCaretIsRightAtAnyTabWidth) {
  EXPECT_THAT(excerpt("\tkey\t= x", 8), ElementsAre("    \tkey\t= x", "    \t   \t  ^"));
}

TEST(Excerpt, EscapesControlCharacters) {
  const std::string line = "a\x1b[2J\xc2\x9b\xe2\x80\xae\xff?\r";
  EXPECT_THAT(excerpt(line, 11), ElementsAre("    a<U+001B>[2J<U+009B><U+202E><FF>?",
                                             "                                ^"));
}

TEST(Excerpt, PointsBehindTheLine_WhenTheFaultIsAtItsEnd) {
  EXPECT_THAT(excerpt("a,\r", 3), ElementsAre("    a,", "      ^"));
  EXPECT_THAT(excerpt("a,", 99), ElementsAre("    a,", "      ^"));
}

TEST(Excerpt, IsNone_WhenThereIsNothingToSee) {
  EXPECT_THAT(excerpt("", 1), IsEmpty());
  EXPECT_THAT(excerpt(" \t\r", 1), IsEmpty());
  EXPECT_THAT(excerpt("a", 0), IsEmpty());
}

TEST(Excerpt, IsCutAroundThePlace_WhenTheLineIsLong) {
  const auto lines = excerpt(std::string(500, 'a') + "!" + std::string(500, 'b'), 501);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_THAT(lines[0], StartsWith("    ...aaa"));
  EXPECT_THAT(lines[0], EndsWith("bbb..."));
  EXPECT_LT(lines[0].size(), 130u);
  EXPECT_EQ(lines[0].find('!'), lines[1].find('^'));
}

TEST(Excerpt, IsNotCutWithinACharacter) {
  std::string line;
  for (int i = 0; i < 200; ++i) line += "\xe2\x80\x93";
  for (const int column : {298, 299, 300}) {
    const auto lines = excerpt(line, column);
    EXPECT_THAT(lines[0], StartsWith("    ...<U+2013>"));
    EXPECT_THAT(lines[0], EndsWith("<U+2013>..."));
  }
}

}  // namespace
}  // namespace knockd
