// SPDX-License-Identifier: MIT
// The keeper's codes over time, recorded on disk before anything opens; the test sets the clock.
#include "knockd/keeper/code_book.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "knockd/base/text.h"
#include "tests/base/faulty_calls.h"
#include "tests/base/temporary_folder.h"
#include "tests/keeper/recording_log.h"

namespace knockd {
namespace {

#ifdef KNOCKD_CODES

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const IpAddress kHome = *IpAddress::parse("192.0.2.7");
const IpAddress kEve = *IpAddress::parse("203.0.113.9");

class CodeBookTest : public ::testing::Test {
 protected:
  void SetUp() override {
    config_.state_file = folder_ / "state";
    config_.doors.resize(2);
    door(0, "ssh", "7000,totp,totp");
    door(1, "typed", "7200,400xx,401xx,402xx,403xx");
    begin();
  }
  void door(DoorNumber number, const char* name, const char* sequence) {
    Door& door = config_.doors[number];
    door.name = name;
    const auto coded = std::get<CodedSequence>(parse_coded_sequence(sequence));
    door.rule.sequence = coded.sequence;
    door.rule.places = coded.places;
    door.users.push_back({"alice", *Secret::parse("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")});
  }
  // Another run.
  void begin() {
    book_.reset();
    book_ = std::make_unique<CodeBook>(
        loop_, log_, config_,
        [this](uint64_t opening, bool used) {
          answers_.push_back(format("%d %s", static_cast<int>(opening), used ? "used" : "not"));
        },
        [this](const std::vector<DoorCodes>& codes) { told_.push_back(codes); },
        [this](uint64_t opening, const Door& door, const std::string& user,
               const CodeKnock& knock) {
          events_.push_back(format("%d %s %s %d ", static_cast<int>(opening), door.name.c_str(),
                                   user.c_str(), static_cast<int>(knock.step)) +
                            knock.source.to_string());
        },
        calls_, [this] { return WallTime(std::chrono::seconds(now_)); });
    book_->renew();
  }
  CodeTag tag(int away = 0) const { return code_tag(0, step_at(now_) + away, true); }
  bool may_open(const IpAddress& source, CodeTag code, DoorNumber door = 0,
                Duration took = std::chrono::milliseconds(200)) {
    return book_->judge(door, source, code, took).refused.empty();
  }
  void use(uint64_t opening, const IpAddress& source, CodeTag code, DoorNumber door = 0) {
    book_->use({opening, door, door, source, code});
  }

  TemporaryFolder folder_;
  FaultyCalls calls_;
  EventLoop loop_;
  RecordingLog log_;
  Config config_;
  int64_t now_ = 1'767'996'427;
  std::vector<std::string> answers_;
  std::vector<std::vector<DoorCodes>> told_;
  std::vector<std::string> events_;
  std::unique_ptr<CodeBook> book_;
};

TEST_F(CodeBookTest, ACodeIsUsedOnce_AlsoInTheNextRun) {
  EXPECT_TRUE(may_open(kHome, tag()));
  use(1, kHome, tag());
  EXPECT_THAT(answers_, ElementsAre("1 used"));
  begin();
  EXPECT_TRUE(may_open(kHome, tag()));
  EXPECT_FALSE(may_open(kEve, tag()));
  EXPECT_FALSE(may_open(kEve, tag(-1)));
  EXPECT_TRUE(may_open(kEve, tag(1)));
}

TEST_F(CodeBookTest, UnrecordedCodeOpensNothing_ButCountsAsUsed) {
  calls_.only = "write";
  calls_.first_fault = 0;
  calls_.error = ENOSPC;
  use(1, kHome, tag());
  EXPECT_THAT(answers_, ElementsAre("1 not"));
  EXPECT_THAT(log_.lines(), Contains(HasSubstr("ssh: the code cannot be marked as used: ")));
  EXPECT_FALSE(may_open(kEve, tag()));
  calls_.first_fault = FaultyCalls::kNever;
  use(2, kHome, tag());
  EXPECT_THAT(answers_, ElementsAre("1 not", "2 used"));
  begin();
  EXPECT_FALSE(may_open(kEve, tag()));
}

TEST_F(CodeBookTest, ACodeIsUsedOnce_AlsoIfTheFileCouldNotBeReadAtTheStart) {
  use(1, kHome, tag());
  calls_.only = "read";
  calls_.first_fault = 0;
  calls_.error = EIO;
  begin();
  EXPECT_THAT(log_.lines(), Contains(HasSubstr("used codes cannot be kept: ")));
  calls_.first_fault = FaultyCalls::kNever;
  use(2, kEve, tag());
  EXPECT_THAT(answers_, ElementsAre("1 used", "2 not"));
  use(3, kHome, tag());
  EXPECT_THAT(answers_, ElementsAre("1 used", "2 not", "3 used"));
}

TEST_F(CodeBookTest, OverheardCodeIsUsedUp_AlsoInTheNextRun) {
  const IpAddress home6 = *IpAddress::parse("2001:db8::7");
  const CodeTag code = code_tag(0, step_at(now_), false);
  EXPECT_TRUE(may_open(home6, code));
  book_->overheard(0, kHome, code);
  EXPECT_FALSE(may_open(home6, code));
  begin();
  EXPECT_FALSE(may_open(home6, code));
  EXPECT_TRUE(may_open(home6, code_tag(0, step_at(now_) + 1, false)));
}

TEST_F(CodeBookTest, ATypedCodeThatWasUsedOverIpv4IsUsedUpOverIpv6) {
  const IpAddress home6 = *IpAddress::parse("2001:db8::7");
  use(1, kHome, tag(), 1);
  EXPECT_FALSE(may_open(home6, tag(), 1));
  EXPECT_TRUE(may_open(kHome, tag(), 1));
  use(2, home6, tag(1), 1);
  EXPECT_TRUE(may_open(kHome, tag(1), 1));
  begin();
  EXPECT_FALSE(may_open(home6, tag(), 1));
}

TEST_F(CodeBookTest, TheSameSourceMayRepeat_WithoutTheDisk) {
  use(1, kHome, tag());
  const int calls = calls_.calls;
  for (uint64_t i = 2; i < 10; ++i) use(i, kHome, tag());
  EXPECT_EQ(answers_.size(), 9u);
  EXPECT_THAT(answers_, Contains("9 used"));
  EXPECT_EQ(calls_.calls, calls);
}

TEST_F(CodeBookTest, EachStepIsReported_AndAChangedClock) {
  told_.clear();
  now_ += 30;
  book_->time_changed(false);
  ASSERT_EQ(told_.size(), 1u);
  const auto later = told_[0][0].codes;
  now_ -= 3600;
  EXPECT_THAT(log_.take(), ::testing::Not(Contains(HasSubstr("was set"))));
  book_->time_changed(true);
  ASSERT_EQ(told_.size(), 2u);
  EXPECT_NE(told_[1][0].codes, later);
}

// With a clock stopped in the past each step is over at once.
TEST_F(CodeBookTest, TheTimerIsSetAgainEachTime) {
  now_ = 1000;
  book_->time_changed(false);
  told_.clear();
  bool waits = true;
  EventLoop::Alarm patience(loop_, [&] { waits = false; });
  patience.set(loop_.now() + std::chrono::seconds(10));
  while (waits && told_.size() < 3) loop_.turn();
  EXPECT_EQ(told_.size(), 3u) << "within 10 s";
}

// No test can set the machine's clock, but the kernel shows the timer's settings (proc(5)).
TEST_F(CodeBookTest, TheTimerIsCancelledWhenTheClockIsSet) {
  std::vector<std::string> timers;
  for (int fd = 0; fd < 100; ++fd) {
    std::ifstream file("/proc/self/fdinfo/" + std::to_string(fd));
    const std::string text(std::istreambuf_iterator<char>(file), {});
    if (text.find("clockid: 0\n") != text.npos) timers.push_back(text);
  }
  EXPECT_THAT(timers, ElementsAre(HasSubstr("settime flags: 03\n"))) << "absolute, told when set";
}

TEST_F(CodeBookTest, ThreeWrongCodesAreOneLine) {
  log_.take();
  for (int i = 0; i < 10; ++i) book_->wrong(1);
  EXPECT_THAT(log_.take(), ElementsAre("typed: 3 wrong codes, no typed code is taken before the "
                                       "next step"));
  EXPECT_FALSE(may_open(kHome, tag(), 1));
  now_ += 30;
  EXPECT_TRUE(may_open(kHome, tag(), 1));
}

TEST_F(CodeBookTest, AttemptFromAStepWithThreeWrongCodesOpensInNoLaterStep) {
  for (int i = 0; i < 3; ++i) book_->wrong(1);
  now_ += 30;
  EXPECT_TRUE(may_open(kHome, tag(), 1, std::chrono::seconds(6)));
  EXPECT_FALSE(may_open(kHome, tag(), 1, std::chrono::seconds(7))) << "heard a moment later";
  EXPECT_FALSE(may_open(kHome, tag(), 1, std::chrono::seconds(20)));
}

TEST_F(CodeBookTest, SourceThatOpenedATypedDoorIsKnownToTheNextRun) {
  use(1, kHome, tag(), 1);
  begin();
  now_ += 60;
  for (int i = 0; i < 3; ++i) book_->wrong(1);
  EXPECT_TRUE(may_open(kHome, tag(), 1));
  EXPECT_FALSE(may_open(kEve, tag(), 1));
}

TEST_F(CodeBookTest, WithoutAPlaceForUsedCodesNothingOpens) {
  config_.state_file.clear();
  begin();
  EXPECT_THAT(log_.lines(), Contains(HasSubstr("used codes cannot be kept: ")));
  use(1, kHome, tag());
  EXPECT_THAT(answers_, ElementsAre("1 not"));
}

TEST_F(CodeBookTest, WithAnotherStateFileUsedCodesAreKeptBesideThatOne) {
  use(1, kHome, tag());
  config_.state_file = folder_ / "other";
  book_->renew();
  begin();
  EXPECT_FALSE(may_open(kEve, tag()));
}

TEST_F(CodeBookTest, DoorsAddedByAReloadHaveTheirCodes) {
  Config with = config_;
  config_.doors.clear();
  begin();
  told_.clear();
  book_->announce();
  EXPECT_THAT(told_, IsEmpty());
  config_ = with;
  book_->renew();
  book_->announce();
  ASSERT_EQ(told_.size(), 1u);
  use(1, kHome, tag());
  EXPECT_THAT(answers_, ElementsAre("1 used"));
}

// --- The fleet

std::string id_of_alice() { return Secret::parse("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")->id(); }

TEST_F(CodeBookTest, EachUseOfACodeIsReported_AndItsUseOverIpv6) {
  const std::string step = std::to_string(step_at(now_));
  use(1, kHome, tag());
  use(2, kHome, tag());
  use(3, kHome, tag(1), 1);
  EXPECT_THAT(
      events_,
      ElementsAre("1 ssh alice " + step + " 192.0.2.7", "2 ssh alice " + step + " 192.0.2.7",
                  "0 typed alice " + std::to_string(step_at(now_) + 1) + " ::",
                  "3 typed alice " + std::to_string(step_at(now_) + 1) + " 192.0.2.7"));
  events_.clear();
  book_->overheard(0, kHome, code_tag(0, step_at(now_) + 2, false));
  EXPECT_THAT(events_, ElementsAre("0 ssh alice " + std::to_string(step_at(now_) + 2) + " ::"));
}

TEST_F(CodeBookTest, UnrecordedCodeIsNotReported) {
  calls_.only = "write";
  calls_.first_fault = 0;
  calls_.error = ENOSPC;
  use(1, kHome, tag());
  EXPECT_THAT(events_, IsEmpty());
}

TEST_F(CodeBookTest, CodeUsedElsewhereIsUsedUp_OnlyForItsFamily_AndOnDisk) {
  const IpAddress home6 = *IpAddress::parse("2001:db8::7");
  EXPECT_TRUE(book_->used_elsewhere({id_of_alice(), step_at(now_), kHome}));
  EXPECT_THAT(events_, IsEmpty()) << "those of the fleet know";
  for (int run = 0; run < 2; ++run, begin()) {
    EXPECT_FALSE(may_open(kEve, tag()));
    EXPECT_FALSE(may_open(kEve, tag(-1)));
    EXPECT_TRUE(may_open(kEve, tag(1)));
    EXPECT_TRUE(may_open(kHome, tag())) << "who used it there may do so here";
    EXPECT_TRUE(may_open(home6, code_tag(0, step_at(now_), false)));
  }
}

TEST_F(CodeBookTest, OlderCodeFromElsewhereChangesNothing) {
  use(1, kHome, tag());
  const int calls = calls_.calls;
  EXPECT_TRUE(book_->used_elsewhere({id_of_alice(), step_at(now_) - 1, kEve}));
  EXPECT_TRUE(book_->used_elsewhere({id_of_alice(), step_at(now_), kEve}));
  EXPECT_TRUE(may_open(kHome, tag()));
  EXPECT_FALSE(may_open(kEve, tag()));
  EXPECT_EQ(calls_.calls, calls) << "nor is it written";
}

TEST_F(CodeBookTest, CodeOfASecretThatNoDoorHasIsNotKept) {
  const int calls = calls_.calls;
  EXPECT_TRUE(book_->used_elsewhere({"0123456789012345", step_at(now_), kHome}));
  EXPECT_EQ(calls_.calls, calls);
}

TEST_F(CodeBookTest, CodeOfADistantStepIsIgnored) {
  EXPECT_TRUE(book_->used_elsewhere({id_of_alice(), step_at(now_) + 2, kHome}));
  const Status refused = book_->used_elsewhere({id_of_alice(), step_at(now_) + 3, kHome});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().text, "the step of the code is yet to come");
  now_ += 90;
  EXPECT_TRUE(may_open(kEve, tag()));
}

TEST_F(CodeBookTest, UnrecordableCodeFromElsewhereIsAFault_ButCountsAsUsed) {
  calls_.only = "write";
  calls_.first_fault = 0;
  calls_.error = ENOSPC;
  EXPECT_FALSE(book_->used_elsewhere({id_of_alice(), step_at(now_), kHome}));
  EXPECT_FALSE(may_open(kEve, tag()));
  calls_.first_fault = FaultyCalls::kNever;
  EXPECT_TRUE(book_->used_elsewhere({id_of_alice(), step_at(now_), kHome}));
  begin();
  EXPECT_FALSE(may_open(kEve, tag()));
}

TEST_F(CodeBookTest, SecretsAddedAndRemovedByAReloadAreKnown) {
  Config with = config_;
  config_.doors.clear();
  book_->renew();
  EXPECT_TRUE(book_->used_elsewhere({id_of_alice(), step_at(now_), kHome}));
  config_ = with;
  book_->renew();
  EXPECT_TRUE(may_open(kEve, tag())) << "it was not kept";
  EXPECT_TRUE(book_->used_elsewhere({id_of_alice(), step_at(now_), kHome}));
  EXPECT_FALSE(may_open(kEve, tag()));
}

#endif

}  // namespace
}  // namespace knockd
