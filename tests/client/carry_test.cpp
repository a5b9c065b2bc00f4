// SPDX-License-Identifier: MIT
#include "knockd/client/carry.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <csignal>
#include <string>
#include <thread>

#include "knockd/base/unique_fd.h"

namespace knockd::client {
namespace {

struct Pair {
  Pair() {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    inner.reset(fds[0]);
    outer.reset(fds[1]);
  }
  UniqueFd inner;  // carry()'s
  UniqueFd outer;  // the test's
};

void send_all(int fd, const std::string& bytes) {
  for (size_t sent = 0; sent < bytes.size();) {
    const ssize_t size = write(fd, bytes.data() + sent, bytes.size() - sent);
    ASSERT_GT(size, 0);
    sent += static_cast<size_t>(size);
  }
}

std::string read_to_end(int fd) {
  std::string bytes;
  char part[4096];
  for (ssize_t size; (size = read(fd, part, sizeof(part))) > 0;) {
    bytes.append(part, static_cast<size_t>(size));
  }
  return bytes;
}

class Carry : public testing::Test {
 protected:
  Carry() {
    signal(SIGPIPE, SIG_IGN);
    // The form that wait_until_open() returns.
    fcntl(peer_.inner.get(), F_SETFL, O_NONBLOCK);
    carrier_ = std::thread([this] {
      good_ = carry(input_.inner.get(), output_.inner.get(), peer_.inner.get());
      output_.inner.reset();
    });
  }
  ~Carry() override {
    if (carrier_.joinable()) carrier_.join();
  }

  Pair input_;
  Pair output_;
  Pair peer_;
  bool good_ = false;
  std::thread carrier_;
};

TEST_F(Carry, BothDirections_MuchMoreThanABuffer) {
  std::string up;
  for (int i = 0; i < 200'000; ++i) up += std::to_string(i);
  const std::string down(up.rbegin(), up.rend());

  std::thread user([&] {
    send_all(input_.outer.get(), up);
    input_.outer.reset();
  });
  std::string heard;
  std::thread server([&] {
    heard = read_to_end(peer_.outer.get());  // ends because the end of the input is passed on
    send_all(peer_.outer.get(), down);
    peer_.outer.reset();
  });
  EXPECT_EQ(read_to_end(output_.outer.get()), down);
  user.join();
  server.join();
  carrier_.join();
  EXPECT_EQ(heard, up);
  EXPECT_TRUE(good_);
}

TEST_F(Carry, EndsWhenThePeerEnds_WhileTheInputIsOpen) {
  send_all(peer_.outer.get(), "bye");
  peer_.outer.reset();
  EXPECT_EQ(read_to_end(output_.outer.get()), "bye");
  carrier_.join();
  EXPECT_TRUE(good_);
}

TEST_F(Carry, EndsWhenNobodyReadsTheOutput) {
  output_.outer.reset();
  send_all(peer_.outer.get(), "lost");
  carrier_.join();
  EXPECT_FALSE(good_);
}

}  // namespace
}  // namespace knockd::client
