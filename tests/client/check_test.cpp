// SPDX-License-Identifier: MIT
// Over the loopback interface, with the test's own listeners. End-to-end tests cover ports that
// drop packets.
#include "knockd/client/check.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <thread>

namespace knockd::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class Check : public testing::Test {
 protected:
  // A bound socket, which refuses connections until listen().
  Check() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const Endpoint any = localhost_.with_port(0);
    EXPECT_EQ(bind(socket_.get(), any.get(), any.size()), 0);
    sockaddr_in own{};
    socklen_t size = sizeof(own);
    EXPECT_EQ(getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&own), &size), 0);
    port_ = ntohs(own.sin_port);
  }

  // The error of a connection to a shut port; the kernel reports it as errno or as SO_ERROR.
  bool system_errors_agree() const {
    const UniqueFd at_once(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const UniqueFd later(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const Endpoint shut = localhost_.with_port(port_);
    EXPECT_NE(connect(at_once.get(), shut.get(), shut.size()), 0);
    const int number = errno;
    EXPECT_NE(connect(later.get(), shut.get(), shut.size()), 0);
    if (errno != EINPROGRESS) return errno == number;
    pollfd refused{later.get(), POLLOUT, 0};
    poll(&refused, 1, -1);
    int error = 0;
    socklen_t size = sizeof(error);
    EXPECT_EQ(getsockopt(later.get(), SOL_SOCKET, SO_ERROR, &error, &size), 0);
    return error == number;
  }

  void listen() { EXPECT_EQ(::listen(socket_.get(), 10), 0); }

  const Endpoint localhost_{*IpAddress::parse("127.0.0.1")};
  const Knocker knocker_{localhost_, Options{}};
  UniqueFd socket_;
  uint16_t port_ = 0;
};

TEST_F(Check, OpenPort_GivesAConnection) {
  listen();
  const CheckResult result = *wait_until_open(knocker_, port_, seconds(30));
  EXPECT_TRUE(result.connection);
  EXPECT_LT(result.took, seconds(30));
}

TEST_F(Check, PortOpenBeforeTheKnocks_IsReportedAsSuch) {
  listen();
  UniqueFd early = begin_early_attempt(knocker_, port_);
  const CheckResult result = *wait_until_open(knocker_, port_, seconds(30), std::move(early));
  EXPECT_TRUE(result.connection);
  EXPECT_TRUE(result.was_open);
}

TEST_F(Check, PortThatOpensAfterTheEarlyAttempt_CountsAsOpened) {
  UniqueFd early = begin_early_attempt(knocker_, port_);
  listen();
  const CheckResult result = *wait_until_open(knocker_, port_, seconds(30), std::move(early));
  EXPECT_TRUE(result.connection);
  EXPECT_FALSE(result.was_open);
}

TEST_F(Check, ShutPort_FailsWithTheReason_AfterTheTimeLimit) {
  const CheckResult result = *wait_until_open(knocker_, port_, milliseconds(50));
  EXPECT_FALSE(result.connection);
  EXPECT_GE(result.took, milliseconds(50));
  if (!system_errors_agree()) {
    GTEST_SKIP() << "SO_ERROR holds another machine's error numbers: qemu does not translate them";
  }
  EXPECT_EQ(result.error, ECONNREFUSED);
}

TEST_F(Check, PortThatOpensLater_IsFound) {
  std::thread door([this] {
    std::this_thread::sleep_for(milliseconds(100));
    listen();
  });
  const CheckResult result = *wait_until_open(knocker_, port_, seconds(30));
  door.join();
  EXPECT_TRUE(result.connection);
}

}  // namespace
}  // namespace knockd::client
