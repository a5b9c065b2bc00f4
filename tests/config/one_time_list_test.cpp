// SPDX-License-Identifier: MIT
#include "knockd/config/one_time_list.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <filesystem>
#include <variant>

#include "knockd/base/unique_fd.h"
#include "tests/base/faulty_calls.h"
#include "tests/base/recording_calls.h"
#include "tests/base/temporary_folder.h"

namespace knockd {
namespace {

using Outcome = OneTimeUse::Outcome;

class OneTimeListTest : public testing::Test {
 protected:
  void list(const std::string& text) { write_file(path, text); }
  std::string list() const { return read_file(path); }

  static Sequence sequence(const std::string& text) {
    return std::get<Sequence>(parse_sequence(text));
  }
  OneTimeUse use(const std::string& knocked, const std::vector<std::string>& skipped = {}) {
    std::vector<Sequence> sequences;
    for (const std::string& text : skipped) sequences.push_back(sequence(text));
    return use_one_time_sequence(path, sequence(knocked), sequences, calls);
  }
  // The sequence in force after this call.
  static std::string next(const OneTimeUse& use) {
    std::string text;
    for (const Sequence& each : use.in_force) text += (text.empty() ? "" : " ") + to_string(each);
    return text.empty() ? "none" : text;
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
  const auto used = use_one_time_sequence(path, sequence("7000"), {}, recording);
  EXPECT_EQ(used.outcome, Outcome::kMarked);
  EXPECT_THAT(recording.take(), testing::ElementsAre("pwrite sequences", "fdatasync sequences"));
}

TEST_F(OneTimeListTest, MarksTheFirstCharacterOfAnyLine) {
  list("  7000,8000\r\n\t9000");
  EXPECT_EQ(next(use("7000,8000")), "9000");
  EXPECT_EQ(next(use("9000")), "none");
  EXPECT_EQ(list(), "# 7000,8000\r\n#9000");
}

TEST_F(OneTimeListTest, ByteOrderMarkIsSkipped) {
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

TEST_F(OneTimeListTest, LinesAppendedMeanwhileAreUsed) {
  list("7000\n");
  list("7000\n8000\n");
  EXPECT_EQ(next(use("7000")), "8000");
}

TEST_F(OneTimeListTest, ALineThatMovedIsFound) {
  list("1111\n2222\n7000,8000\n3333\n");
  const auto used = use("7000,8000");
  EXPECT_EQ(used.outcome, Outcome::kMarked);
  EXPECT_EQ(next(used), "1111 2222 3333");
  EXPECT_EQ(list(), "1111\n2222\n#000,8000\n3333\n");
}

TEST_F(OneTimeListTest, ALineThatWasTakenAwayIsNotInForce) {
  list("1111\n");
  const auto used = use("7000");
  EXPECT_EQ(used.outcome, Outcome::kNotInForce);
  EXPECT_EQ(next(used), "1111");
  EXPECT_EQ(list(), "1111\n");
}

TEST_F(OneTimeListTest, OfTwoEqualLinesOneIsMarked) {
  list("7000\n7000\n");
  EXPECT_EQ(next(use("7000")), "7000");
  EXPECT_EQ(list(), "#000\n7000\n");
}

TEST_F(OneTimeListTest, ALinkedFileIsMarkedAtItsTarget) {
  write_file(folder / "real", "7000\n");
  std::filesystem::create_symlink(folder / "real", path);
  EXPECT_EQ(use("7000").outcome, Outcome::kMarked);
  EXPECT_EQ(read_file(folder / "real"), "#000\n");
}

TEST_F(OneTimeListTest, AnUnmarkableFileFails) {
  const auto absent = use("7000");
  EXPECT_EQ(absent.outcome, Outcome::kFailed);
  EXPECT_EQ(absent.error, "open: No such file or directory");
  EXPECT_EQ(absent.error_number, ENOENT);
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(use("7000").outcome, Outcome::kFailed);
}

// An editor saves by renaming a new file over the old one; here at the moment of marking.
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
  const auto used = use_one_time_sequence(path, {{.port = 7000}}, {}, edited);
  EXPECT_EQ(used.outcome, Outcome::kMarked);
  EXPECT_EQ(next(used), "1111 8000");
  EXPECT_EQ(list(), "1111\n#000\n8000\n");
}

TEST_F(OneTimeListTest, AFileReplacedAgainAndAgainFails) {
  list("7000\n8000\n");
  EditedMeanwhile edited(path, 1'000'000);
  EXPECT_EQ(use_one_time_sequence(path, {{.port = 7000}}, {}, edited).outcome, Outcome::kFailed);
}

TEST_F(OneTimeListTest, TheDoorStaysShut_WhenAnyCallFails) {
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
      EXPECT_EQ(used.error_number, error);
      EXPECT_EQ(next(used), "none");
    }
  }
}

// The client has marked lines whose knocks never arrived.
TEST_F(OneTimeListTest, SkippedLinesAreMarkedToo) {
  list("1111\n2222\nnonsense\n3333\n4444\n");
  const auto used = use("3333", {"1111", "2222"});
  EXPECT_EQ(used.outcome, Outcome::kMarked);
  EXPECT_EQ(next(used), "4444");
  EXPECT_EQ(list(), "#111\n#222\nnonsense\n#333\n4444\n");
}

TEST_F(OneTimeListTest, LinesThatWereNotSkippedStay) {
  list("9999\n1111\n3333\n2222\n");  // 9999 was added and 2222 moved meanwhile
  EXPECT_EQ(next(use("3333", {"1111", "2222"})), "9999 2222");
  EXPECT_EQ(list(), "9999\n#111\n#333\n2222\n");
}

TEST_F(OneTimeListTest, NothingIsMarked_WhenTheKnockedLineIsGone) {
  list("1111\n2222\n");
  EXPECT_EQ(use("3333", {"1111", "2222"}).outcome, Outcome::kNotInForce);
  EXPECT_EQ(list(), "1111\n2222\n");
}

TEST_F(OneTimeListTest, TheKnockedLineIsMarkedBeforeTheSkippedOnes) {
  list("1111\n2222\n");
  ASSERT_EQ(use("2222", {"1111"}).outcome, Outcome::kMarked);
  const int count = calls.calls;
  for (int fault = 1; fault <= count; ++fault) {
    list("1111\n2222\n");
    calls.calls = 0;
    calls.first_fault = calls.last_fault = fault;
    EXPECT_EQ(use("2222", {"1111"}).outcome, Outcome::kFailed) << "call " << fault;
    EXPECT_NE(list(), "#111\n2222\n") << "call " << fault;
  }
}

TEST_F(OneTimeListTest, FiveLinesAreInForce) {
  list("1\n2\n3\n4\n5\n6\n7\n");
  EXPECT_EQ(next(use("1")), "2 3 4 5 6");
}

TEST_F(OneTimeListTest, TheNextIsTheFirstThatIsNotMarked) {
  list("# mine\n#111\n2222\n3333\n");
  const auto first = use_next_one_time_sequence(path, calls);
  EXPECT_EQ(first.outcome, Outcome::kMarked);
  EXPECT_EQ(to_string(first.used), "2222");
  EXPECT_EQ(list(), "# mine\n#111\n#222\n3333\n");
  EXPECT_EQ(to_string(use_next_one_time_sequence(path, calls).used), "3333");
  EXPECT_EQ(use_next_one_time_sequence(path, calls).outcome, Outcome::kNotInForce);
}

TEST_F(OneTimeListTest, ALockedFileIsNotMarked) {
  list("7000\n8000\n");
  UniqueFd other(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(::flock(other.get(), LOCK_EX), 0);
  EXPECT_EQ(use("7000").outcome, Outcome::kBusy);
  EXPECT_EQ(use_next_one_time_sequence(path, calls).outcome, Outcome::kBusy);
  EXPECT_EQ(list(), "7000\n8000\n");
  other.reset();
  EXPECT_EQ(use("7000").outcome, Outcome::kMarked);
}

// Another program finds the file locked until marking has finished.
class WantedMeanwhile : public FileCalls {
 public:
  explicit WantedMeanwhile(std::string path) : path_(std::move(path)) {}
  int open(const char* path, int flags, mode_t mode) override {
    if (is_marked_) look();
    return FileCalls::open(path, flags, mode);
  }
  ssize_t pwrite(int fd, const void* bytes, size_t size, off_t offset) override {
    look();
    is_marked_ = true;
    return FileCalls::pwrite(fd, bytes, size, offset);
  }
  int fdatasync(int fd) override {
    look();
    return FileCalls::fdatasync(fd);
  }
  int looks = 0;

 private:
  void look() {
    EXPECT_EQ(use_next_one_time_sequence(path_).outcome, Outcome::kBusy);
    ++looks;
  }
  std::string path_;
  bool is_marked_ = false;
};

TEST_F(OneTimeListTest, TheLockIsHeldUntilMarkingHasFinished) {
  list("7000\n8000\n");
  WantedMeanwhile wanted(path);
  EXPECT_EQ(use_one_time_sequence(path, sequence("7000"), {}, wanted).outcome, Outcome::kMarked);
  EXPECT_EQ(wanted.looks, 3);
  EXPECT_EQ(list(), "#000\n8000\n");
}

}  // namespace
}  // namespace knockd
