// SPDX-License-Identifier: MIT
// A loop, a log and real commands for tests of who starts commands. Commands tell what happens by
// lines in a file, and wait for files that the test makes: nothing waits for a time.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <filesystem>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "knockd/base/event_loop.h"
#include "knockd/keeper/commands.h"
#include "tests/base/temporary_folder.h"
#include "tests/keeper/recording_log.h"

namespace knockd {

class CommandFixture : public ::testing::Test {
 protected:
  // Patient, for a slow machine takes more than ten seconds to end what a test has started.
  explicit CommandFixture(Duration patience = std::chrono::hours(1))
      : commands_(loop_, log_, patience) {}

  // A command that notes `word`.
  std::string note(const std::string& word) { return "echo " + word + " >>" + (folder_ / "notes"); }
  // A command that does not end before release(name).
  std::string wait_for(const std::string& name) {
    return "until [ -e " + (folder_ / name) + " ]; do sleep 0.01; done";
  }
  void release(const std::string& name) { write_file(folder_ / name, ""); }
  // The words noted so far.
  std::vector<std::string> notes() const {
    std::istringstream text(read_file(folder_ / "notes"));
    std::vector<std::string> words;
    for (std::string word; text >> word;) words.push_back(word);
    return words;
  }

  // Does the keeper's part: alarms ring, children are reaped. Until `done`; ctest ends what hangs.
  void run_until(const std::function<bool()>& done) {
    EventLoop::Alarm tick(loop_, [] {});
    while (!done()) {
      tick.set(BootClock::now() + std::chrono::milliseconds(2));
      loop_.turn();
      int status = 0;
      for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        EXPECT_TRUE(commands_.child_ended(pid, status));
      }
    }
  }
  void run_until_idle() {
    run_until([this] { return commands_.running() == 0 && commands_.waiting() == 0; });
  }
  void run_until_noted(const std::vector<std::string>& words) {
    run_until([&] { return notes() == words; });
  }

  TemporaryFolder folder_;
  EventLoop loop_;
  RecordingLog log_;
  Commands commands_;
};

}  // namespace knockd
