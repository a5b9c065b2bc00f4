// SPDX-License-Identifier: MIT
// Runs a whole keeper in this process with the test's own listener, a fake that may send anything.
// Needs no privileges and no network.
#pragma once

#include <linux/sockios.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "knockd/base/privileges.h"
#include "knockd/keeper/keeper.h"
#include "tests/base/temporary_folder.h"

namespace knockd {

class KeeperRun {
 public:
  // The listener's actions, in a separate process.
  using Act = std::function<void(const ListenerSettings&, const Channel&)>;

  // The signals sent to the keeper. SIGINT ends it, so that SIGTERM still ends a fuzzer.
  static constexpr int kSignals[] = {SIGINT, SIGHUP, SIGUSR1, SIGCHLD};

  KeeperRun() {
    config_.state_file = folder_ / "open-doors";
    config_.log_file = folder_ / "log";
    config_.control = "";
    options_.interfaces = {"any"};
    void* const page =
        mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) std::abort();
    shared_ = new (page) Shared();
  }
  ~KeeperRun() { munmap(shared_, sizeof(Shared)); }
  KeeperRun(const KeeperRun&) = delete;
  KeeperRun& operator=(const KeeperRun&) = delete;

  Config& config() { return config_; }
  KeeperOptions& options() { return options_; }
  const TemporaryFolder& folder() const { return folder_; }

  // Runs until the first listener has acted and the keeper has read its messages, then ends the
  // keeper. Returns its exit status. `reload` is called for each SIGHUP.
  int run(Act act, Keeper::Reload reload = nullptr) {
    sigset_t before;
    sigprocmask(SIG_SETMASK, nullptr, &before);
    act_ = std::move(act);
    current_ = this;
    const auto begin = std::chrono::steady_clock::now();
    if (!reload) reload = [this] { return config_; };
    int status;
    {
      Keeper keeper(config_, options_, listen, std::move(reload), [] {});
      status = keeper.run();
    }
    seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    // The listeners have been killed, if they have not left. (A sanitizer may have children, too.)
    for (const pid_t pid : shared_->pids) {
      if (pid != 0) waitpid(pid, nullptr, 0);
    }
    forget_signals();
    sigprocmask(SIG_SETMASK, &before, nullptr);
    return status;
  }

  // Acts like a start with a faulty configuration.
  void close_what_is_due() {
    sigset_t before;
    sigprocmask(SIG_SETMASK, nullptr, &before);
    Keeper(config_, options_, listen, nullptr, nullptr).close_what_is_due();
    sigprocmask(SIG_SETMASK, &before, nullptr);
  }

  // Its log, without time stamps.
  std::vector<std::string> lines() const {
    constexpr size_t kStamp = sizeof("[YYYY-MM-DD HH:MM] ") - 1;
    std::vector<std::string> lines;
    std::ifstream file(config_.log_file);
    for (std::string line; std::getline(file, line);) {
      lines.push_back(line.size() < kStamp ? line : line.substr(kStamp));
    }
    return lines;
  }
  // Resets everything, as if nothing had run.
  void forget() {
    unlink(config_.log_file.c_str());
    new (shared_) Shared();
  }
  double seconds() const { return seconds_; }
  // Listeners that were started.
  int starts() const { return shared_->starts; }

  // For the listener: waits until the keeper has read all. False: it has closed the channel.
  static bool wait_until_read(const Channel& channel) {
    const auto begin = std::chrono::steady_clock::now();
    for (;;) {
      pollfd end{channel.fd(), 0, 0};
      if (poll(&end, 1, 1) > 0) return false;
      int unread = 0;
      if (ioctl(channel.fd(), SIOCOUTQ, &unread) != 0 || unread == 0) return true;
      if (std::chrono::steady_clock::now() - begin > std::chrono::minutes(1)) {
        std::fprintf(stderr, "the keeper has not read for a minute\n");
        std::abort();
      }
    }
  }

 private:
  struct Shared {
    std::atomic<int> starts = 0;
    std::array<std::atomic<pid_t>, 64> pids{};
  };

  // The listener's process. For any but the first the test is over.
  static int listen(const ListenerSettings& settings, Channel channel) {
    const pid_t keeper = getppid();
    close_inherited(channel.fd());  // otherwise it would also hold the keeper's end
    const int earlier = current_->shared_->starts++;
    current_->shared_->pids.at(static_cast<size_t>(earlier)) = getpid();
    if (earlier == 0) {
      current_->act_(settings, channel);
      wait_until_read(channel);
    }
    kill(keeper, SIGINT);
    pollfd end{channel.fd(), 0, 0};
    poll(&end, 1, -1);
    return 0;
  }

  // Channels of further listeners, which the test does not need.
  static void forget_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : kSignals) sigaddset(&set, signal);
    const timespec at_once{};
    while (sigtimedwait(&set, nullptr, &at_once) > 0) {
    }
  }

  static inline KeeperRun* current_ = nullptr;

  TemporaryFolder folder_;
  Config config_;
  KeeperOptions options_;
  Act act_;
  Shared* shared_;
  double seconds_ = 0;
};

}  // namespace knockd
