// SPDX-License-Identifier: MIT
#include "knockd/client/carry.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>

namespace knockd::client {
namespace {

bool would_block(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

// One direction: reads when it has nothing left to write, so a slow reader slows the writer.
class Stream {
 public:
  Stream(int from, int to) : from_(from), to_(to) {}

  bool over() const { return ended_ && begin_ == end_; }
  bool failed() const { return failed_; }
  // For poll(); descriptor -1 if there is nothing to wait for.
  pollfd interest() const {
    if (over()) return {-1, 0, 0};
    return begin_ == end_ ? pollfd{from_, POLLIN, 0} : pollfd{to_, POLLOUT, 0};
  }

  void move() {
    if (begin_ == end_) {
      fill();
    } else {
      drain();
    }
  }

 private:
  void fill() {
    const ssize_t size = read(from_, buffer_.data(), buffer_.size());
    if (size < 0 && would_block(errno)) return;
    begin_ = 0;
    end_ = size > 0 ? static_cast<size_t>(size) : 0;
    ended_ = size <= 0;
    failed_ = size < 0;
  }

  void drain() {
    const ssize_t size = write(to_, buffer_.data() + begin_, end_ - begin_);
    if (size < 0 && would_block(errno)) return;
    if (size > 0) {
      begin_ += static_cast<size_t>(size);
    } else {
      begin_ = end_ = 0;
      ended_ = failed_ = true;
    }
  }

  int from_;
  int to_;
  std::array<uint8_t, 16384> buffer_;
  size_t begin_ = 0;
  size_t end_ = 0;
  bool ended_ = false;
  bool failed_ = false;
};

}  // namespace

bool carry(int input, int output, int connection) {
  Stream up(input, connection);
  Stream down(connection, output);
  bool told_peer = false;
  // Ends when the peer has ended, as the input can no longer be sent.
  while (!down.over() && !up.failed()) {
    pollfd polled[] = {up.interest(), down.interest()};
    if (poll(polled, 2, -1) < 0 && errno != EINTR) return false;
    if (polled[0].revents != 0) up.move();
    if (polled[1].revents != 0) down.move();
    if (up.over() && !told_peer) {
      shutdown(connection, SHUT_WR);
      told_peer = true;
    }
  }
  return !up.failed() && !down.failed();
}

}  // namespace knockd::client
