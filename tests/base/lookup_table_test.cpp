// SPDX-License-Identifier: MIT
#include "knockd/base/lookup_table.h"

#include <gtest/gtest.h>

#include <string>

namespace knockd {
namespace {

struct Spread {
  uint64_t operator()(uint64_t key) const { return key * 0x9e3779b97f4a7c15; }
};
struct AllAlike {
  uint64_t operator()(uint64_t) const { return ~uint64_t{0}; }
};

TEST(LookupTable, KnowsNothingAtFirst) {
  const LookupTable<uint64_t, int, Spread> table;
  EXPECT_EQ(table.find(0), nullptr);
}

TEST(LookupTable, FindsEachOfManyAndNoOther) {
  LookupTable<uint64_t, uint64_t, Spread> table;
  for (uint64_t key = 0; key < 10000; ++key) table[3 * key] = key;
  for (uint64_t key = 0; key < 10000; ++key) {
    ASSERT_NE(table.find(3 * key), nullptr);
    EXPECT_EQ(*table.find(3 * key), key);
    EXPECT_EQ(table.find(3 * key + 1), nullptr);
  }
}

TEST(LookupTable, TellsKeysApartThatMixAlike) {
  LookupTable<uint64_t, std::string, AllAlike> table;
  table[1] = "one";
  table[2] = "two";
  table[3] = "three";
  EXPECT_EQ(*table.find(2), "two");
  EXPECT_EQ(*table.find(3), "three");
  EXPECT_EQ(table.find(4), nullptr);
}

TEST(LookupTable, AKeyIsAddedOnceAndInOrder) {
  LookupTable<uint64_t, int, Spread> table;
  ++table[9];
  ++table[4];
  ++table[9];
  ASSERT_EQ(table.entries().size(), 2u);
  EXPECT_EQ(table.entries()[0].key, 9u);
  EXPECT_EQ(table.entries()[0].value, 2);
  EXPECT_EQ(table.entries()[1].key, 4u);
}

TEST(LookupTable, ForgetsAllWhenCleared) {
  LookupTable<uint64_t, int, Spread> table;
  table[1] = 1;
  table.clear();
  EXPECT_EQ(table.find(1), nullptr);
  EXPECT_TRUE(table.entries().empty());
  table[2] = 2;
  EXPECT_EQ(*table.find(2), 2);
}

}  // namespace
}  // namespace knockd
