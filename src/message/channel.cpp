// SPDX-License-Identifier: MIT
#include "knockd/message/channel.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace knockd {

Result<std::pair<Channel, Channel>> Channel::make_pair() {
  int fds[2];
  // Sequenced packets keep message boundaries and report when the other end is gone.
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0) {
    return fault_of("socketpair");
  }
  return std::pair(Channel(UniqueFd(fds[0])), Channel(UniqueFd(fds[1])));
}

Sent Channel::send(std::span<const uint8_t> message) const {
  for (;;) {
    if (write(fd_.get(), message.data(), message.size()) >= 0) return Sent::kYes;
    if (errno == EINTR) continue;
    return errno == EAGAIN || errno == ENOBUFS ? Sent::kFull : Sent::kClosed;
  }
}

bool Channel::send_waiting(std::span<const uint8_t> message) const {
  for (;;) {
    const Sent sent = send(message);
    if (sent != Sent::kFull) return sent == Sent::kYes;
    pollfd room{fd_.get(), POLLOUT, 0};
    poll(&room, 1, -1);
  }
}

Channel::Received Channel::receive(std::span<uint8_t> buffer) const {
  for (;;) {
    const ssize_t length = recv(fd_.get(), buffer.data(), buffer.size(), MSG_TRUNC);
    if (length > 0) {
      const auto size = static_cast<size_t>(length);
      return {Received::Kind::kMessage, size > buffer.size() ? 0 : size};
    }
    if (length == 0) return {Received::Kind::kClosed};
    // ECONNRESET is reported once: the other end left without reading all messages. Its own last
    // messages (why it left) can still be read.
    if (errno == EINTR || errno == ECONNRESET) continue;
    return {errno == EAGAIN ? Received::Kind::kNothing : Received::Kind::kClosed};
  }
}

}  // namespace knockd
