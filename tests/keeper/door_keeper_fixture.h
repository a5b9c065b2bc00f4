// SPDX-License-Identifier: MIT
// A door keeper on virtual time, with fake commands and a disk that records its calls: one journal
// has everything in order.
#pragma once

#include <gtest/gtest.h>

#include <cerrno>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "knockd/keeper/door_keeper.h"
#include "tests/base/temporary_folder.h"
#include "tests/keeper/recording_log.h"

namespace knockd {

using Journal = std::vector<std::string>;

// The real calls; a test may let some fail. Those relevant to the order are recorded.
class NotingCalls : public FileCalls {
 public:
  explicit NotingCalls(Journal& journal) : journal_(journal) {}
  ssize_t read(int fd, void* buffer, size_t size) override {
    return fails(read_error) ? -1 : FileCalls::read(fd, buffer, size);
  }
  ssize_t write(int fd, const void* bytes, size_t size) override {
    journal_.push_back("write");
    return fails(write_error) ? -1 : FileCalls::write(fd, bytes, size);
  }
  int fdatasync(int fd) override {
    journal_.push_back("sync");
    if (on_sync) on_sync();
    return FileCalls::fdatasync(fd);
  }

  int read_error = 0;  // 0: it works
  int write_error = 0;
  std::function<void()> on_sync;

 private:
  static bool fails(int error) {
    errno = error;
    return error != 0;
  }

  Journal& journal_;
};

// Commands run until the test ends them.
class NotingRunner : public CommandRunner {
 public:
  explicit NotingRunner(Journal& journal) : journal_(journal) {}
  pid_t run(const std::string& command, const Environment& environment) override {
    last_environment = environment;
    if (!errors.empty()) {
      const int error = errors.front();
      errors.pop_front();
      if (error != 0) {
        journal_.push_back("cannot run " + command);
        return -error;
      }
    }
    journal_.push_back("run " + command);
    running.push_back({++last_pid_, command});
    return last_pid_;
  }
  // Ends the oldest running command with this text and returns its process; 0: none.
  pid_t take(const std::string& command) {
    for (auto one = running.begin(); one != running.end(); ++one) {
      if (one->second != command) continue;
      const pid_t pid = one->first;
      running.erase(one);
      return pid;
    }
    return 0;
  }

  std::deque<int> errors;  // of the next commands; 0: it runs
  std::vector<std::pair<pid_t, std::string>> running;
  Environment last_environment;

 private:
  Journal& journal_;
  pid_t last_pid_ = 1000;
};

// Records admissions; `faults` are the answers to the next ones, empty for success.
class NotingAdmitter : public Admitter {
 public:
  explicit NotingAdmitter(Journal& journal) : journal_(journal) {}
  std::string admit(const OpenDoor& door) override {
    if (on_admit) on_admit();
    return answer("let in " + text(door));
  }
  std::vector<std::string> dismiss(std::span<const OpenDoor> doors) override {
    calls_to_dismiss += 1;
    std::vector<std::string> answers;
    for (const OpenDoor& door : doors) answers.push_back(answer("dismiss " + text(door)));
    return answers;
  }

  std::function<void()> on_admit;
  std::deque<std::string> faults;
  int calls_to_dismiss = 0;

 private:
  static std::string text(const OpenDoor& door) {
    return admitted_text(*door.admission) + ' ' + door.source.to_string();
  }
  std::string answer(std::string entry) {
    journal_.push_back(std::move(entry));
    if (faults.empty()) return {};
    std::string fault = std::move(faults.front());
    faults.pop_front();
    return fault;
  }

  Journal& journal_;
};

class DoorKeeperFixture : public ::testing::Test {
 protected:
  void SetUp() override {
    now_ = Instant(std::chrono::hours(1));
    begin();
  }
  // A keeper that restores what an earlier one left.
  void begin() {
    keeper_.reset();
    runner_.running.clear();
    loop_ = std::make_unique<EventLoop>(+[] { return now_; });
    keeper_ = std::make_unique<DoorKeeper>(
        *loop_, log_, runner_, admitter_,
        [](const IpAddress& source) { return '<' + source.to_string() + '>'; },
        [this](const UseSequence& use) {
          journal_.push_back("use sequence");
          using_ = use;
          if (is_used_at_once_) keeper_->sequence_used(use.opening, sequence_can_be_used_);
        },
        [this] { return may_log_; }, calls_);
    keeper_->take_up(state_file_);
    turn();
  }
  Terms ssh(Duration open_for = std::chrono::seconds(10)) {
    Terms terms;
    terms.door = "ssh";
    terms.start = "open %IP%";
    terms.stop = "close %IP%";
    terms.open_for = open_for;
    return terms;
  }
  // The same with a port and no commands.
  Terms ssh_port(Duration open_for = std::chrono::seconds(10)) {
    Terms terms = ssh(open_for);
    terms.start.clear();
    terms.stop.clear();
    terms.admission = Admission{{{22, Protocol::kTcp}}, {}, 128};
    return terms;
  }
  void knock(const Terms& terms, const std::string& source = "192.0.2.7") {
    keeper_->knocked(
        {std::make_shared<const Terms>(terms), IpAddress::parse(source).value(), "eth0", 3, kRule});
  }
  Result<OpenedByHand> open_by_hand(const Terms& terms) {
    return keeper_->open_by_hand({std::make_shared<const Terms>(terms),
                                  IpAddress::parse("192.0.2.7").value(), "", 0, kNoDoor},
                                 0);
  }
  // Ends the loop's turn: knocks are recorded and begin.
  void turn() { loop_->poll(); }
  void pass(Duration time) {
    now_ += time;
    turn();
  }
  void end(const std::string& command, int status = 0) {
    const pid_t pid = runner_.take(command);
    ASSERT_NE(pid, 0) << command << " does not run";
    EXPECT_TRUE(keeper_->child_ended(pid, status));
    turn();
  }
  Journal take_journal() { return std::exchange(journal_, {}); }
  // Only the commands of the journal.
  Journal take_commands() {
    Journal commands = take_journal();
    std::erase_if(commands, [](const std::string& entry) { return !entry.starts_with("run "); });
    return commands;
  }

  static constexpr DoorNumber kRule = 7;
  static inline Instant now_;
  TemporaryFolder folder_;
  const std::string state_file_ = folder_ / "open-doors";
  Journal journal_;
  NotingCalls calls_{journal_};
  NotingRunner runner_{journal_};
  NotingAdmitter admitter_{journal_};
  RecordingLog log_;
  bool sequence_can_be_used_ = true;
  bool is_used_at_once_ = true;
  UseSequence using_;
  bool may_log_ = true;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<DoorKeeper> keeper_;
};

}  // namespace knockd
