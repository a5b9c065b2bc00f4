// SPDX-License-Identifier: MIT
#include "knockd/knock/nft_name.h"

#include <gtest/gtest.h>

#include <string>

namespace knockd {
namespace {

// As nft 1.0 has them.
TEST(NftName, BeginsWithALetterAndHasNothingThatNftReadsOtherwise) {
  for (const char* word : {"a", "Z9", "fw4", "_a", "a_b-c.d/e"}) {
    EXPECT_TRUE(is_nft_name(word)) << word;
  }
  for (const char* word :
       {"", "4a", "-a", "/a", "a b", "a\n", "a;b", "a\"", "a{", "a@", "a\\b", "\xc3\xa4"}) {
    EXPECT_FALSE(is_nft_name(word)) << word;
  }
}

TEST(NftName, IsAsLongAsTheKernelTakesIt) {
  EXPECT_TRUE(is_nft_name(std::string(255, 'a')));
  EXPECT_FALSE(is_nft_name(std::string(256, 'a')));
}

TEST(NftName, IsNoWordOfItsLanguage) {
  for (const char* word :
       {"table", "set", "ip", "rule", "inet", "add", "xt", "auto-merge", "last"}) {
    EXPECT_TRUE(is_nft_word(word)) << word;
    EXPECT_FALSE(is_nft_name(word)) << word;
  }
  for (const char* word : {"knockd", "filter", "Table", "tables", "ip4", "nat"}) {
    EXPECT_FALSE(is_nft_word(word)) << word;
    EXPECT_TRUE(is_nft_name(word)) << word;
  }
}

}  // namespace
}  // namespace knockd
