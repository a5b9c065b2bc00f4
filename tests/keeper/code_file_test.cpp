// SPDX-License-Identifier: MIT
#include "knockd/keeper/code_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <optional>
#include <string>

#include "tests/base/faulty_calls.h"
#include "tests/base/temporary_folder.h"

namespace knockd {
namespace {

using ::testing::HasSubstr;

const IpAddress kAlice = *IpAddress::parse("192.0.2.7");
const IpAddress kAlice6 = *IpAddress::parse("2001:db8::7");
const IpAddress kEve = *IpAddress::parse("203.0.113.9");
const CodeKnock kKnock{"1234567812345678", 58933214, kAlice};

class CodeFileTest : public ::testing::Test {
 protected:
  // The knowledge of one run of the daemon.
  struct Run {
    UsedCodes used;
    KnownSources known;
    FaultyCalls calls;
    CodeFile file;
    explicit Run(const std::string& path) : file(path, used, known, calls) {}

    Status use(const CodeKnock& knock) {
      used.add(knock);
      file.used(knock);
      return file.flush();
    }
    Status open(const std::string& door, const IpAddress& source, int64_t time) {
      known.add(door, source, time);
      file.opened(door, source, time);
      return file.flush();
    }
  };
  Run& begin() {
    run_.reset();
    run_.emplace(path_);
    EXPECT_TRUE(run_->file.read());
    return *run_;
  }

  TemporaryFolder folder_;
  const std::string path_ = folder_ / "state.codes";
  std::optional<Run> run_;
};

TEST_F(CodeFileTest, UsedCodesAreKnownToTheNextRun) {
  begin();
  ASSERT_TRUE(run_->use(kKnock));
  ASSERT_TRUE(run_->use({"8765432187654321", 7, kAlice6}));
  ASSERT_TRUE(run_->open("a door with blanks", kAlice, 1'800'000'000));
  EXPECT_TRUE(run_->file.is_kept());
  begin();
  EXPECT_EQ(run_->file.damaged(), 0u);
  EXPECT_FALSE(run_->used.allow({kKnock.secret, kKnock.step, kEve}));
  EXPECT_TRUE(run_->used.contain(kKnock));
  EXPECT_TRUE(run_->used.contain({"8765432187654321", 7, kAlice6}));
  EXPECT_TRUE(run_->known.knows("a door with blanks", kAlice, 1'800'000'001));
}

TEST_F(CodeFileTest, OnlyItsUserMayReadIt) {
  begin();
  ASSERT_TRUE(run_->use(kKnock));
  struct stat status {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(CodeFileTest, IsOnDisk_IfAndOnlyIfFlushSucceeds) {
  begin();
  run_->calls.only = "fdatasync";
  run_->calls.first_fault = 0;
  const Status kept = run_->use(kKnock);
  ASSERT_FALSE(kept);
  EXPECT_THAT(kept.error().text, HasSubstr(path_));
  EXPECT_FALSE(run_->file.is_kept());
}

TEST_F(CodeFileTest, FailedWriteIsRepeatedLater) {
  for (const char* const call : {"write", "fdatasync"}) {
    begin();
    run_->calls.only = call;
    run_->calls.first_fault = 0;
    run_->calls.tears_writes = true;
    EXPECT_FALSE(run_->use(kKnock)) << call;
    run_->calls.first_fault = FaultyCalls::kNever;
    EXPECT_TRUE(run_->use({"8765432187654321", 7, kAlice})) << call;
    EXPECT_TRUE(run_->file.is_kept()) << call;
    begin();
    EXPECT_TRUE(run_->used.contain(kKnock)) << call;
    EXPECT_TRUE(run_->used.contain({"8765432187654321", 7, kAlice})) << call;
  }
}

TEST_F(CodeFileTest, AnIncompleteLineDoesNotCount) {
  begin();
  ASSERT_TRUE(run_->use(kKnock));
  run_.reset();
  std::string text = read_file(path_);
  const std::string line = text.substr(text.rfind('\n', text.size() - 2) + 1);
  write_file(path_, text + line.substr(0, line.size() / 2));
  begin();
  EXPECT_TRUE(run_->used.contain(kKnock));
  EXPECT_EQ(run_->file.damaged(), 0u);
  ASSERT_TRUE(run_->use({"8765432187654321", 7, kAlice}));
  begin();
  EXPECT_TRUE(run_->used.contain({"8765432187654321", 7, kAlice}));
  EXPECT_EQ(run_->file.damaged(), 0u);
}

// A flipped bit invalidates its own line and no other.
TEST_F(CodeFileTest, ADamagedLineIsLeftOut) {
  begin();
  ASSERT_TRUE(run_->use(kKnock));
  ASSERT_TRUE(run_->use({"8765432187654321", 7, kAlice}));
  run_.reset();
  const std::string right = read_file(path_);
  for (size_t i = 0; i < right.size() - 1; ++i) {
    std::string text = right;
    text[i] = static_cast<char>(text[i] ^ 1);
    if (right[i] == '\n' || text[i] == '\n') continue;
    write_file(path_, text);
    begin();
    EXPECT_EQ(run_->file.damaged(), 1u) << i;
    const bool is_first = i < right.find('\n');
    EXPECT_EQ(run_->used.contain(kKnock), !is_first) << i;
    EXPECT_EQ(run_->used.contain({"8765432187654321", 7, kAlice}), is_first) << i;
  }
}

TEST_F(CodeFileTest, HasABoundedSize) {
  begin();
  for (Step step = 1; step < 5000; ++step)
    ASSERT_TRUE(run_->use({"1234567812345678", step, kAlice}));
  EXPECT_LT(read_file(path_).size(), 80'000u);
  begin();
  EXPECT_TRUE(run_->used.contain({"1234567812345678", 4999, kAlice}));
}

TEST_F(CodeFileTest, FileOfAnotherProcessIsAFailure) {
  begin();
  FaultyCalls calls;
  calls.only = "lock";
  calls.first_fault = 0;
  calls.error = EAGAIN;
  UsedCodes used;
  KnownSources known;
  CodeFile other(folder_ / "other.codes", used, known, calls);
  const Status read = other.read();
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().text, HasSubstr("other.codes: "));
}

TEST_F(CodeFileTest, WithoutAPathNothingIsKept) {
  UsedCodes used;
  KnownSources known;
  CodeFile file("", used, known);
  EXPECT_FALSE(file.read());
  EXPECT_FALSE(file.flush());
}

}  // namespace
}  // namespace knockd
