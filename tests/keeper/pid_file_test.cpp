// SPDX-License-Identifier: MIT
#include "knockd/keeper/pid_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <string>

#include "tests/base/child.h"
#include "tests/base/temporary_folder.h"

namespace knockd {
namespace {

using Outcome = PidFile::Outcome;

class PidFileTest : public ::testing::Test {
 protected:
  std::string own_number() const { return format("%d\n", getpid()); }

  TemporaryFolder folder_;
  const std::string path_ = folder_ / "knockd.pid";
  pid_t other_ = -1;
};

TEST_F(PidFileTest, HoldsOurPid_UntilWeExit) {
  {
    PidFile file;
    EXPECT_EQ(file.write(path_, other_), Outcome::kWritten);
    EXPECT_EQ(read_file(path_), own_number());
    EXPECT_EQ(other_, 0);
  }
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(PidFileTest, SecondDaemonGetsThePidOfTheFirst_AndKeepsItsFile) {
  PidFile first;
  ASSERT_EQ(first.write(path_, other_), Outcome::kWritten);
  const std::string said = in_child([&] {
    PidFile second;
    const Outcome outcome = second.write(path_, other_);
    return format("%d %d", static_cast<int>(outcome), other_);
  });
  EXPECT_EQ(said, format("%d %d", static_cast<int>(Outcome::kOtherIsRunning), getpid()));
  EXPECT_EQ(read_file(path_), own_number());
}

TEST_F(PidFileTest, FileLeftByACrashDoesNotPreventAStart) {
  write_file(path_, "1\nand more than our number takes\n");
  PidFile file;
  EXPECT_EQ(file.write(path_, other_), Outcome::kWritten);
  EXPECT_EQ(read_file(path_), own_number());
}

TEST_F(PidFileTest, LockGoesWithTheProcess) {
  in_child([&] {
    auto* const never_removed = new PidFile;
    never_removed->write(path_, other_);
    return std::string();  // and _exit: no destructor
  });
  ASSERT_TRUE(std::filesystem::exists(path_));
  PidFile file;
  EXPECT_EQ(file.write(path_, other_), Outcome::kWritten);
}

TEST_F(PidFileTest, ChildOfTheWriterRemovesNothing) {
  PidFile file;
  ASSERT_EQ(file.write(path_, other_), Outcome::kWritten);
  in_child([&] {
    file.~PidFile();
    return std::string();
  });
  EXPECT_EQ(read_file(path_), own_number());
}

TEST_F(PidFileTest, FileOfAnotherProcessIsKept) {
  {
    PidFile file;
    ASSERT_EQ(file.write(path_, other_), Outcome::kWritten);
    std::filesystem::remove(path_);
    write_file(path_, "4242\n");
  }
  EXPECT_EQ(read_file(path_), "4242\n");
}

TEST_F(PidFileTest, RunningDaemonWithAnEmptyFileHasPidZero) {
  PidFile first;
  ASSERT_EQ(first.write(path_, other_), Outcome::kWritten);
  write_file(path_, "garbage\n");
  PidFile second;
  EXPECT_EQ(second.write(path_, other_), Outcome::kOtherIsRunning);
  EXPECT_EQ(other_, 0);
}

TEST_F(PidFileTest, UnwritableFileGivesTheReason) {
  PidFile file;
  EXPECT_EQ(file.write(folder_ / "missing/knockd.pid", other_), Outcome::kUnwritable);
  EXPECT_EQ(errno, ENOENT);
  EXPECT_EQ(file.write(folder_.path(), other_), Outcome::kUnwritable);
  EXPECT_EQ(errno, EISDIR);
}

// In a folder writable by others a link could make us overwrite any file.
TEST_F(PidFileTest, LinkIsNotFollowed) {
  write_file(folder_ / "precious", "precious");
  std::filesystem::create_symlink(folder_ / "precious", path_);
  PidFile file;
  EXPECT_EQ(file.write(path_, other_), Outcome::kUnwritable);
  EXPECT_EQ(errno, ELOOP);
  EXPECT_EQ(read_file(folder_ / "precious"), "precious");
}

}  // namespace
}  // namespace knockd
