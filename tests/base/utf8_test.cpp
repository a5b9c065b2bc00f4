// SPDX-License-Identifier: MIT
#include "knockd/base/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace knockd {
namespace {

TEST(FirstCharacter, IsDecodedAtEachLength) {
  const std::pair<std::string, char32_t> kTexts[] = {
      {"a", U'a'}, {"\xc3\xbc", 0xfc}, {"\xe2\x80\x93", 0x2013}, {"\xf0\x9f\x98\x80", 0x1f600}};
  for (const auto& [text, code] : kTexts) {
    const auto character = first_character(text + "x");
    ASSERT_TRUE(character) << text;
    EXPECT_EQ(character->code, code);
    EXPECT_EQ(character->length, text.size());
  }
}

TEST(FirstCharacter, IsNone_WhenTheBytesAreNotUtf8) {
  // Empty; a continuation byte alone; cut short; a continuation byte missing; an overlong form; a
  // surrogate; beyond the last code point; an invalid lead byte.
  for (const std::string text : {"", "\x80", "\xe2\x80", "\xc3x", "\xc0\xaf", "\xed\xa0\x80",
                                 "\xf4\x90\x80\x80", "\xff\xff\xff\xff\xff"}) {
    EXPECT_FALSE(first_character(text)) << text;
  }
}

}  // namespace
}  // namespace knockd
