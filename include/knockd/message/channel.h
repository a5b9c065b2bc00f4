// SPDX-License-Identifier: MIT
// One end of the socket pair between the keeper and a listener: whole messages, in order.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "knockd/base/result.h"
#include "knockd/base/unique_fd.h"

namespace knockd {

enum class Sent : uint8_t { kYes, kFull, kClosed };

class Channel {
 public:
  // Both ends, close-on-exec and non-blocking.
  static Result<std::pair<Channel, Channel>> make_pair();

  explicit Channel(UniqueFd fd) : fd_(std::move(fd)) {}
  int fd() const { return fd_.get(); }

  // REQUIRES: SIGPIPE is ignored. Uses write(2), the only call for which the sandbox can check the
  // descriptor on every architecture.
  Sent send(std::span<const uint8_t> message) const;
  // Waits until the other end has room. False: it is closed.
  bool send_waiting(std::span<const uint8_t> message) const;

  struct Received {
    enum class Kind : uint8_t { kMessage, kNothing, kClosed } kind;
    size_t length = 0;  // of the message; 0 if it was longer than the buffer
  };
  Received receive(std::span<uint8_t> buffer) const;

 private:
  UniqueFd fd_;
};

}  // namespace knockd
