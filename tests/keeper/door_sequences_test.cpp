// SPDX-License-Identifier: MIT
// The keeper's use of one-time sequences, on virtual time. tests/config/one_time_list_test.cpp
// tests the writes to the file and their order.
#include "knockd/keeper/door_sequences.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "knockd/base/text.h"
#include "knockd/config/one_time_file.h"
#include "tests/base/faulty_calls.h"
#include "tests/base/temporary_folder.h"
#include "tests/keeper/recording_log.h"

namespace knockd {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Door 0 has a fixed sequence, doors 1 and 2 have lists. The rules of a list's door are its own
// number and, after those of all doors, one for each line ahead.
class DoorSequencesTest : public ::testing::Test {
 protected:
  static constexpr DoorNumber kFixed = 0, kOnce = 1, kOther = 2;
  // Rules of the second and third line of door kOnce, the first line of which is rule kOnce.
  static constexpr DoorNumber kSecond = 3, kThird = 4;

  void SetUp() override {
    now_ = Instant(1h);
    doors_.resize(3);
    doors_[kFixed].name = "fixed";
    doors_[kFixed].rule.sequence = {{7000}, {8000}};
    list(kOnce, "once", "1001\n1002\n1003\n1004\n1005\n1006\n");
    list(kOther, "other", "2001\n");
    loop_ = std::make_unique<EventLoop>(+[] { return now_; });
    sequences_ = std::make_unique<DoorSequences>(
        *loop_, log_, doors_,
        [this](uint64_t opening, bool used) {
          happened_.push_back(format("opening %d %s", static_cast<int>(opening),
                                     used ? "may begin" : "may not begin"));
        },
        [this](const NextSequence& next) {
          happened_.push_back(
              format("rule %u, generation %u: %s", next.door, next.generation,
                     next.count == 0 ? "none" : format("%u", next.knocks[0].port).c_str()));
        },
        calls_);
    sequences_->renew();
  }
  void list(DoorNumber number, const std::string& name, const std::string& text) {
    Door& door = doors_[number];
    door.name = name;
    door.one_time_file = folder_ / name;
    write_file(door.one_time_file, text);
    read_lists();
  }
  // Acts like a reload.
  void read_lists() {
    for (Door& door : doors_) {
      if (door.one_time_file.empty()) continue;
      auto in_force = sequences_in_force(read_file(door.one_time_file));
      door.rule.sequence = in_force.empty() ? Sequence() : in_force.front();
      if (!in_force.empty()) in_force.erase(in_force.begin());
      door.sequences_ahead = in_force;
    }
  }
  KnockEvent open_of(DoorNumber rule, uint32_t generation) {
    KnockEvent event;
    event.kind = EventKind::kOpen;
    event.door = rule;
    event.generation = generation;
    return event;
  }
  void use(uint64_t opening, DoorNumber door, DoorNumber rule) {
    sequences_->use({opening, door, rule});
  }
  void lock() {
    calls_.only = "flock";
    calls_.error = EWOULDBLOCK;
    calls_.first_fault = calls_.calls + 1;
  }
  void unlock() { calls_.first_fault = FaultyCalls::kNever; }
  void pass(Duration time) {
    now_ += time;
    loop_->poll();
  }
  std::string file(DoorNumber door) { return read_file(doors_[door].one_time_file); }
  std::vector<std::string> happened() { return std::exchange(happened_, {}); }

  static inline Instant now_;
  TemporaryFolder folder_;
  std::vector<Door> doors_;
  FaultyCalls calls_;
  RecordingLog log_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<DoorSequences> sequences_;
  std::vector<std::string> happened_;
};

TEST_F(DoorSequencesTest, UsedSequenceIsMarked_TheNextAreInForce_AndTheDoorMayOpen) {
  use(7, kOnce, kOnce);
  EXPECT_EQ(file(kOnce), "#001\n1002\n1003\n1004\n1005\n1006\n");
  EXPECT_THAT(happened(), ElementsAre("rule 1, generation 1: 1002", "rule 3, generation 1: 1003",
                                      "rule 4, generation 1: 1004", "rule 5, generation 1: 1005",
                                      "rule 6, generation 1: 1006", "opening 7 may begin"));
  EXPECT_THAT(log_.take(), IsEmpty());
  EXPECT_EQ(sequences_->generation(kOnce), 1u);
  EXPECT_EQ(sequences_->rules().sequence(kOnce), (Sequence{{1002}}));
}

TEST_F(DoorSequencesTest, LineAheadMarksThoseBeforeIt_AndReportsTheirNumber) {
  use(7, kOnce, kThird);
  EXPECT_EQ(file(kOnce), "#001\n#002\n#003\n1004\n1005\n1006\n");
  EXPECT_THAT(log_.take(),
              ElementsAre("once: one-time sequences that were skipped: 2, marked as used as well"));
  EXPECT_THAT(happened(), Contains("rule 6, generation 1: none")) << "no sixth line is left";
}

TEST_F(DoorSequencesTest, KnockOfAnOlderGenerationIsRefused_OnlyAtThatDoor) {
  EXPECT_TRUE(sequences_->is_in_force(open_of(kOnce, 0)));
  EXPECT_TRUE(sequences_->is_in_force(open_of(kSecond, 0)));
  use(7, kOnce, kOnce);
  // A second listener may have heard the same knock, or not yet read of the change.
  EXPECT_FALSE(sequences_->is_in_force(open_of(kOnce, 0)));
  EXPECT_FALSE(sequences_->is_in_force(open_of(kSecond, 0)));
  EXPECT_TRUE(sequences_->is_in_force(open_of(kOnce, 1)));
  EXPECT_TRUE(sequences_->is_in_force(open_of(kOther, 0)));
  EXPECT_TRUE(sequences_->is_in_force(open_of(kFixed, 0)));
}

TEST_F(DoorSequencesTest, LastSequenceDisablesTheDoor_AndIsReported) {
  use(7, kOther, kOther);
  EXPECT_THAT(happened(), Contains("opening 7 may begin"));
  EXPECT_THAT(log_.take(), ElementsAre("other: no more sequences in the one time sequences file " +
                                       (folder_ / "other") + ", door disabled"));
  EXPECT_THAT(sequences_->rules().sequence(kOther), IsEmpty());
}

TEST_F(DoorSequencesTest, RemovedLineOpensNothing_AndTheRestComesIntoForce) {
  write_file(folder_ / "once", "1002\n");
  use(7, kOnce, kOnce);
  EXPECT_THAT(log_.take(), ElementsAre("once: this one-time sequence is no longer in force in " +
                                       (folder_ / "once")));
  EXPECT_THAT(happened(), Contains("opening 7 may not begin"));
  EXPECT_EQ(sequences_->rules().sequence(kOnce), (Sequence{{1002}}));
}

TEST_F(DoorSequencesTest, UnmarkableFileDisablesTheDoor) {
  calls_.only = "pwrite";
  calls_.error = ENOSPC;
  calls_.first_fault = 1;
  use(7, kOnce, kOnce);
  EXPECT_THAT(happened(), Contains("rule 1, generation 1: none"));
  EXPECT_THAT(log_.take(),
              Contains(HasSubstr("cannot be marked: write: No space left on device; the door stays "
                                 "closed")));
  EXPECT_THAT(sequences_->rules().sequence(kOnce), IsEmpty());
}

TEST_F(DoorSequencesTest, LockedFileIsRetried_AndDelaysNoOtherDoor) {
  lock();
  use(7, kOnce, kOnce);
  pass(20ms);
  EXPECT_THAT(happened(), IsEmpty());
  EXPECT_FALSE(sequences_->is_in_force(open_of(kOnce, 0))) << "its list is being used";
  EXPECT_TRUE(sequences_->is_in_force(open_of(kOther, 0)));
  unlock();
  use(8, kOther, kOther);
  EXPECT_THAT(happened(),
              ::testing::AllOf(Contains("opening 8 may begin"), Contains("opening 7 may begin")));
  EXPECT_TRUE(sequences_->is_in_force(open_of(kOnce, 1)));
}

TEST_F(DoorSequencesTest, LockedFileIsRetriedWithoutAKnock) {
  lock();
  use(7, kOnce, kOnce);
  unlock();
  pass(20ms);
  EXPECT_THAT(happened(), Contains("opening 7 may begin"));
}

TEST_F(DoorSequencesTest, FileThatStaysLockedIsGivenUp_AndItsSequenceStaysValid) {
  lock();
  use(7, kOnce, kOnce);
  pass(1900ms);
  EXPECT_THAT(happened(), IsEmpty());
  pass(100ms);
  EXPECT_THAT(happened(), ElementsAre("opening 7 may not begin"));
  EXPECT_THAT(log_.take(), ElementsAre("once: one-time file " + (folder_ / "once") +
                                       " is locked by another program; the door stays closed"));
  EXPECT_TRUE(sequences_->is_in_force(open_of(kOnce, 0)));
}

TEST_F(DoorSequencesTest, ReloadAnswersWaitingKnocksAtOnce) {
  lock();
  use(7, kOnce, kOnce);
  sequences_->give_up();
  EXPECT_THAT(happened(), ElementsAre("opening 7 may not begin"));
  unlock();
  pass(1h);
  EXPECT_THAT(happened(), IsEmpty());
}

TEST_F(DoorSequencesTest, EndForgetsWaitingKnocks) {
  lock();
  use(7, kOnce, kOnce);
  sequences_->stop();
  unlock();
  pass(1h);
  EXPECT_THAT(happened(), IsEmpty());
  EXPECT_EQ(file(kOnce), "1001\n1002\n1003\n1004\n1005\n1006\n");
}

TEST_F(DoorSequencesTest, GenerationsStay_WithTheSameRules) {
  use(7, kOnce, kOnce);
  read_lists();
  EXPECT_TRUE(sequences_->renew());
  EXPECT_EQ(sequences_->generation(kOnce), 1u);
}

TEST_F(DoorSequencesTest, GenerationsBeginAgain_WithOtherRules_EvenOfMoreDoors) {
  use(7, kOnce, kOnce);
  Door more;
  more.name = "more";
  more.rule.sequence = {{9000}};
  doors_.push_back(more);
  EXPECT_FALSE(sequences_->renew());
  EXPECT_EQ(sequences_->generation(kOnce), 0u);
  EXPECT_TRUE(sequences_->is_in_force(open_of(3, 0)));
}

// The lines of a list give the same rules as the same number of separate doors.
TEST_F(DoorSequencesTest, StatesAreThoseOfTheNewDoors_WithOtherDoorsOfTheSameRules) {
  doors_.assign(1, doors_[kOnce]);
  sequences_->renew();
  std::vector<Door> doors(5);
  for (uint16_t i = 0; i < 5; ++i) doors[i].rule = sequences_->rules().all()[i];
  doors_ = doors;
  EXPECT_FALSE(sequences_->renew());
  EXPECT_TRUE(sequences_->is_in_force(open_of(4, 0)));
}

TEST_F(DoorSequencesTest, ExhaustedListIsAWarning_WhenTheDoorsAreRead) {
  list(kOther, "other", "#001\n");
  sequences_->renew();
  EXPECT_THAT(log_.take(), ElementsAre("other: no more sequences in the one time sequences file " +
                                       (folder_ / "other") + ", door disabled"));
}

}  // namespace
}  // namespace knockd
