// SPDX-License-Identifier: MIT
// pid_file_test.cpp tests what a pid file needs of it.
#include "knockd/base/lock_file.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "tests/base/temporary_folder.h"

namespace knockd {
namespace {

using Outcome = LockFile::Outcome;

TEST(LockFileTest, HasOneHolder_UntilGivenBack_ThenIsRemoved) {
  const TemporaryFolder folder;
  LockFile first;
  LockFile second;
  EXPECT_EQ(first.take(folder / "lock", 0600), Outcome::kTaken);
  EXPECT_EQ(second.take(folder / "lock", 0600), Outcome::kOthers);
  first.give_back();
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  EXPECT_EQ(second.take(folder / "lock", 0600), Outcome::kTaken);
}

// Some threads open the file just before it is removed, others create it again.
TEST(LockFileTest, HasOneHolder_WhileOthersRemoveTheFile) {
  const TemporaryFolder folder;
  std::atomic<int> holders{0};
  std::atomic<int> most{0};
  std::atomic<int> taken{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 20000; ++round) {
        LockFile file;
        if (file.take(folder / "lock", 0600) != Outcome::kTaken) continue;
        ++taken;
        if (++holders > 1) most = 2;
        std::this_thread::yield();
        --holders;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(taken, 0);
  EXPECT_LT(most, 2);
}

}  // namespace
}  // namespace knockd
