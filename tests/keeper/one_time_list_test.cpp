// SPDX-License-Identifier: MIT
#include "knockd/keeper/one_time_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <variant>

#include "tests/base/temporary_folder.h"
#include "tests/keeper/faulty_calls.h"
#include "tests/keeper/recording_calls.h"

namespace knockd {
namespace {

using Outcome = OneTimeUse::Outcome;

class OneTimeListTest : public testing::Test {
 protected:
  void list(const std::string& text) { write_file(path, text); }
  std::string list() const { return read_file(path); }

  OneTimeUse use(const std::string& text) {
    return use_one_time_sequence(path, std::get<Sequence>(parse_sequence(text)), calls);
  }
  static std::string next(const OneTimeUse& use) {
    return use.next ? to_string(*use.next) : "none";
  }

  TemporaryFolder folder;
  const std::string path = folder / "sequences";
  FaultyCalls calls;
};

TEST_F(OneTimeListTest, MarksTheLineAndNamesTheNext) {
  list("# my list\n7000,8000\n\nnonsense\n9000:udp, 1000\n");
  const auto first = use("7000,8000");
  EXPECT_EQ(first.outcome, Outcome::kMarked);
  EXPECT_EQ(first.error, "");
  EXPECT_EQ(next(first), "9000:udp,1000");
  EXPECT_EQ(list(), "# my list\n#000,8000\n\nnonsense\n9000:udp, 1000\n");
  const auto second = use("9000:udp,1000");
  EXPECT_EQ(second.outcome, Outcome::kMarked);
  EXPECT_EQ(next(second), "none");
  EXPECT_EQ(list(), "# my list\n#000,8000\n\nnonsense\n#000:udp, 1000\n");
}

TEST_F(OneTimeListTest, MarkIsOnDiskBeforeTheDoorOpens) {
  list("7000\n8000\n");
  RecordingCalls recording;
  const auto used =
      use_one_time_sequence(path, std::get<Sequence>(parse_sequence("7000")), recording);
  EXPECT_EQ(used.outcome, Outcome::kMarked);
  EXPECT_THAT(recording.take(), testing::ElementsAre("pwrite sequences", "fdatasync sequences"));
}

TEST_F(OneTimeListTest, MarksTheFirstCharacterOfTheLine_WhateverItIs) {
  list("  7000,8000\r\n\t9000");
  EXPECT_EQ(next(use("7000,8000")), "9000");
  EXPECT_EQ(next(use("9000")), "none");
  EXPECT_EQ(list(), "# 7000,8000\r\n#9000");
}

TEST_F(OneTimeListTest, ByteOrderMarkIsNoHindrance) {
  list(
      "\xef\xbb\xbf"
      "7000\n8000\n");
  const auto used = use("7000");
  EXPECT_EQ(used.outcome, Outcome::kMarked);
  EXPECT_EQ(next(used), "8000");
  EXPECT_EQ(use("7000").outcome, Outcome::kNotInForce);
}

TEST_F(OneTimeListTest, ASequenceCannotBeUsedTwice) {
  list("7000\n8000\n");
  EXPECT_EQ(use("7000").outcome, Outcome::kMarked);
  const auto again = use("7000");
  EXPECT_EQ(again.outcome, Outcome::kNotInForce);
  EXPECT_EQ(next(again), "8000");
  EXPECT_EQ(list(), "#000\n8000\n");
}

TEST_F(OneTimeListTest, LinesAppendedMeanwhileCount) {
  list("7000\n");
  list("7000\n8000\n");
  EXPECT_EQ(next(use("7000")), "8000");
}

TEST_F(OneTimeListTest, ALineThatMovedIsFound) {
  list("1111\n2222\n7000,8000\n3333\n");
  const auto used = use("7000,8000");
  EXPECT_EQ(used.outcome, Outcome::kMarked);
  EXPECT_EQ(next(used), "1111");
  EXPECT_EQ(list(), "1111\n2222\n#000,8000\n3333\n");
}

TEST_F(OneTimeListTest, ALineThatWasTakenAwayIsNotInForce) {
  list("1111\n");
  const auto used = use("7000");
  EXPECT_EQ(used.outcome, Outcome::kNotInForce);
  EXPECT_EQ(next(used), "1111");
  EXPECT_EQ(list(), "1111\n");
}

TEST_F(OneTimeListTest, OfTwoEqualLinesOneIsUsedUp) {
  list("7000\n7000\n");
  EXPECT_EQ(next(use("7000")), "7000");
  EXPECT_EQ(list(), "#000\n7000\n");
}

TEST_F(OneTimeListTest, ALinkedFileIsMarkedWhereItIs) {
  write_file(folder / "real", "7000\n");
  std::filesystem::create_symlink(folder / "real", path);
  EXPECT_EQ(use("7000").outcome, Outcome::kMarked);
  EXPECT_EQ(read_file(folder / "real"), "#000\n");
}

TEST_F(OneTimeListTest, WhatCannotBeMarkedFails) {
  const auto absent = use("7000");
  EXPECT_EQ(absent.outcome, Outcome::kFailed);
  EXPECT_NE(absent.error.find(path), std::string::npos);
  EXPECT_NE(absent.error.find("No such file"), std::string::npos);
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(use("7000").outcome, Outcome::kFailed);
}

// An editor saves by renaming a new file over the old one; here just when the old one is marked.
class EditedMeanwhile : public FileCalls {
 public:
  EditedMeanwhile(std::string path, int times) : path_(std::move(path)), times_(times) {}
  ssize_t pwrite(int fd, const void* bytes, size_t size, off_t offset) override {
    if (times_-- > 0) {
      write_file(path_ + "~", "1111\n7000\n8000\n");
      std::filesystem::rename(path_ + "~", path_);
    }
    return FileCalls::pwrite(fd, bytes, size, offset);
  }

 private:
  std::string path_;
  int times_;
};

TEST_F(OneTimeListTest, AFileReplacedMeanwhileIsMarkedToo) {
  list("7000\n8000\n");
  EditedMeanwhile edited(path, 1);
  const auto used = use_one_time_sequence(path, {{.port = 7000}}, edited);
  EXPECT_EQ(used.outcome, Outcome::kMarked);
  EXPECT_EQ(next(used), "1111");
  EXPECT_EQ(list(), "1111\n#000\n8000\n");
}

TEST_F(OneTimeListTest, AFileReplacedWithoutEndIsGivenUp) {
  list("7000\n8000\n");
  EditedMeanwhile edited(path, 1'000'000);
  EXPECT_EQ(use_one_time_sequence(path, {{.port = 7000}}, edited).outcome, Outcome::kFailed);
}

TEST_F(OneTimeListTest, WhicheverCallFails_TheDoorStaysShut) {
  list("7000\n8000\n");
  ASSERT_EQ(use("7000").outcome, Outcome::kMarked);
  const int count = calls.calls;
  for (const int error : {EIO, ENOSPC, EROFS, EACCES}) {
    for (int fault = 1; fault <= count; ++fault) {
      list("7000\n8000\n");
      calls.calls = 0;
      calls.first_fault = calls.last_fault = fault;
      calls.error = error;
      const auto used = use("7000");
      EXPECT_EQ(used.outcome, Outcome::kFailed) << "call " << fault;
      EXPECT_NE(used.error, "");
      EXPECT_FALSE(used.next);
    }
  }
}

}  // namespace
}  // namespace knockd
