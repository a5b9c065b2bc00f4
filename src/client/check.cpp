// SPDX-License-Identifier: MIT
#include "knockd/client/check.h"

#include <netinet/tcp.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

namespace knockd::client {
namespace {

using std::chrono::milliseconds;

// The daemon needs a few milliseconds to run a firewall command.
constexpr Duration kFirstStep = milliseconds(10);
constexpr Duration kLongestStep = milliseconds(500);
// With the longest step this gives an attempt 4 s for its answer.
constexpr size_t kMostAttempts = 8;

int poll_time(Duration duration) {
  const auto rounded = std::chrono::ceil<milliseconds>(std::max(duration, Duration::zero()));
  return static_cast<int>(rounded.count());
}

int connection_error(int fd) {
  int error = 0;
  socklen_t size = sizeof(error);
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
  return error;
}

// Whether the first segment of this connection was answered. The system repeats a lost one after a
// second, when the port may have been opened.
bool was_answered_at_once(int fd) {
  tcp_info info{};
  socklen_t size = sizeof(info);
  return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 && info.tcpi_total_retrans == 0;
}

// An attempt that has begun; empty on failure, with errno.
UniqueFd begin_attempt(UniqueFd fd, const Endpoint& to) {
  if (connect(fd.get(), to.get(), to.size()) == 0 || errno == EINPROGRESS) return fd;
  return {};
}

// The unanswered attempts, oldest first.
class Attempts {
 public:
  Attempts(const Knocker& knocker, uint16_t port, UniqueFd early)
      : knocker_(knocker), port_(port), early_(std::move(early)) {}

  std::optional<Failure> begin_one() {
    if (fds_.size() == kMostAttempts) fds_.erase(fds_.begin());
    auto fd = knocker_.open_socket(SOCK_STREAM);
    if (!fd) return std::move(fd.error());
    UniqueFd begun = begin_attempt(*std::move(fd), knocker_.at(port_));
    if (begun) {
      fds_.push_back(std::move(begun));
    } else {
      last_error_ = errno;
    }
    return std::nullopt;
  }

  // Waits at most `at_most`; drops failed attempts.
  UniqueFd wait(Duration at_most) {
    std::vector<pollfd> polled;
    for (const UniqueFd& fd : fds_) polled.push_back({fd.get(), POLLOUT, 0});
    polled.push_back({early_.get(), POLLOUT, 0});  // poll() ignores -1
    if (poll(polled.data(), polled.size(), poll_time(at_most)) <= 0) return {};
    if (polled.back().revents != 0 && connection_error(early_.get()) == 0) {
      was_open_ = was_answered_at_once(early_.get());
      return std::move(early_);
    }
    if (polled.back().revents != 0) early_.reset();
    for (size_t i = fds_.size(); i-- > 0;) {
      if (polled[i].revents == 0) continue;
      const int error = connection_error(fds_[i].get());
      if (error == 0) return std::move(fds_[i]);
      last_error_ = error;
      fds_.erase(fds_.begin() + static_cast<std::ptrdiff_t>(i));
    }
    return {};
  }

  int last_error() const { return last_error_; }
  bool was_open() const { return was_open_; }

 private:
  const Knocker& knocker_;
  uint16_t port_;
  std::vector<UniqueFd> fds_;
  UniqueFd early_;  // from before the knocks
  bool was_open_ = false;
  int last_error_ = 0;
};

}  // namespace

UniqueFd begin_early_attempt(const Knocker& knocker, uint16_t port) {
  auto fd = knocker.open_socket(SOCK_STREAM);
  return fd ? begin_attempt(*std::move(fd), knocker.at(port)) : UniqueFd();
}

OrFailure<CheckResult> wait_until_open(const Knocker& knocker, uint16_t port, Duration timeout,
                                       UniqueFd early) {
  const Instant start = BootClock::now();
  const Instant end = start + timeout;
  Attempts attempts(knocker, port, std::move(early));
  Instant next = start;
  Duration step = kFirstStep;

  CheckResult result;
  for (Instant now = start; !result.connection; now = BootClock::now()) {
    if (now >= end) break;
    if (now >= next) {
      if (auto failure = attempts.begin_one()) return std::move(*failure);
      next = now + step;
      step = std::min(step * 2, kLongestStep);
    }
    result.connection = attempts.wait(std::min(next, end) - now);
  }
  result.was_open = attempts.was_open();
  result.took = BootClock::now() - start;
  result.error = attempts.last_error();
  return result;
}

}  // namespace knockd::client
