// SPDX-License-Identifier: MIT
// A caller of the control socket, for tests with both ends in one process.
#pragma once

#include <sys/socket.h>

#include <cerrno>
#include <string>

#include "knockd/base/unique_fd.h"
#include "knockd/control/control_path.h"

namespace knockd {

// Never waits.
class Call {
 public:
  explicit Call(const std::string& path) {
    const auto place = place_of_socket(path);
    fd_.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    is_connected_ = place && connect(fd_.get(), reinterpret_cast<const sockaddr*>(&place->address),
                                     sizeof(place->address)) == 0;
  }
  bool is_connected() const { return is_connected_; }
  // False if nobody reads it.
  bool say(const std::string& text) {
    return send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL) >= 0;
  }
  // The data received so far.
  const std::string& heard() {
    char buffer[65536];
    ssize_t length;
    while ((length = recv(fd_.get(), buffer, sizeof(buffer), 0)) > 0) {
      heard_.append(buffer, static_cast<size_t>(length));
    }
    is_over_ = length == 0 || (errno != EAGAIN && errno != EINTR);
    return heard_;
  }
  // Reads and discards the received data; returns its size.
  size_t drop() {
    heard();
    const size_t size = heard_.size();
    heard_ = std::string();
    return size;
  }
  bool is_over() {
    heard();
    return is_over_;
  }
  void say_no_more() { shutdown(fd_.get(), SHUT_WR); }
  void hang_up() { fd_.reset(); }

 private:
  UniqueFd fd_;
  bool is_connected_ = false;
  bool is_over_ = false;
  std::string heard_;
};

}  // namespace knockd
