// SPDX-License-Identifier: MIT
#include "knockd/knock/nft_name.h"

#include <gtest/gtest.h>

#include <string>

namespace knockd {
namespace {

// The rules of nft 1.0.
TEST(NftName, BeginsWithALetter_AndHasNoCharacterSpecialToNft) {
  for (const char* word : {"a", "Z9", "fw4", "_a", "a_b-c.d/e"}) {
    EXPECT_TRUE(is_nft_name(word)) << word;
  }
  for (const char* word :
       {"", "4a", "-a", "/a", "a b", "a\n", "a;b", "a\"", "a{", "a@", "a\\b", "\xc3\xa4"}) {
    EXPECT_FALSE(is_nft_name(word)) << word;
  }
}

TEST(NftName, HasTheKernelsLengthLimit) {
  EXPECT_TRUE(is_nft_name(std::string(255, 'a')));
  EXPECT_FALSE(is_nft_name(std::string(256, 'a')));
}

TEST(NftName, IsNotAnNftKeyword) {
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
