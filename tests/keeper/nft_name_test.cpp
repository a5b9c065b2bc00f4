// SPDX-License-Identifier: MIT
// Names checked with the real nft(8).
#include "knockd/knock/nft_name.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "tests/keeper/nft_network.h"

namespace knockd {
namespace {

class NftNameTest : public NftNetwork {};

TEST_F(NftNameTest, AcceptsTheSameNamesAsNft) {
  for (const std::string word :
       {"knockd", "nat",   "filter", "mangle", "raw",        "tables", "packets",
        "port",   "state", "table",  "set",    "rule",       "ip",     "ip6",
        "inet",   "drop",  "policy", "all",    "auto-merge", "a/b",    "4a"}) {
    const int status = std::system(("nft -c 'table inet " + word + "' 2>/dev/null").c_str());
    EXPECT_EQ(status == 0, is_nft_name(word)) << word;
  }
}

}  // namespace
}  // namespace knockd
