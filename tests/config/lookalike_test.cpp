// SPDX-License-Identifier: MIT
#include "knockd/config/lookalike.h"

#include <gtest/gtest.h>

namespace knockd {
namespace {

// Characters from word processors, web pages and keyboards of other scripts.
TEST(Lookalikes, AreReplacedByTheIntendedCharacter) {
  EXPECT_EQ(without_lookalikes("“a” „b” «c»"), "\"a\" \"b\" \"c\"");
  EXPECT_EQ(without_lookalikes("‘a’ ‚b’ c´s"), "'a' 'b' c's");
  EXPECT_EQ(without_lookalikes("1‐2‑3‒4–5—6−7"), "1-2-3-4-5-6-7");
  EXPECT_EQ(without_lookalikes("a\u00a0b\u2007c\u2009d\u202fe\u3000f"), "a b c d e f");
  EXPECT_EQ(without_lookalikes("a\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
                               "b"),
            "ab");
  EXPECT_EQ(without_lookalikes("a，b：c＝d"), "a,b:c=d");
}

TEST(Lookalikes, OtherCharactersAndBytesStayAsTheyAre) {
  for (const char* const text : {"", "7421,3096:udp = -", "Tür λ 門 🚪", "\xe2\x80", "\xff\x93"}) {
    EXPECT_EQ(without_lookalikes(text), text);
    EXPECT_FALSE(find_lookalike(text));
  }
}

TEST(Lookalikes, FirstIsFoundWithItsName) {
  const auto found = find_lookalike("ü 1−2–3");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->offset, 4u);
  EXPECT_EQ(found->length, 3u);
  EXPECT_EQ(found->name, "U+2212 (minus sign)");
}

}  // namespace
}  // namespace knockd
