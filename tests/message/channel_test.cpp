// SPDX-License-Identifier: MIT
#include "knockd/message/channel.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <span>
#include <string>
#include <thread>
#include <utility>

namespace knockd {
namespace {

using Kind = Channel::Received::Kind;

class ChannelTest : public ::testing::Test {
 protected:
  static std::span<const uint8_t> bytes(const std::string& text) {
    return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
  }
  static Sent send(const Channel& channel, const std::string& text) {
    return channel.send(bytes(text));
  }
  static std::string receive(const Channel& channel) {
    std::array<uint8_t, 16> buffer;
    const Channel::Received received = channel.receive(buffer);
    if (received.kind == Kind::kNothing) return "nothing";
    if (received.kind == Kind::kClosed) return "closed";
    if (received.length == 0) return "too long";
    return {reinterpret_cast<const char*>(buffer.data()), received.length};
  }
  // Sends until there is no room; returns the number of messages sent.
  static int fill(const Channel& channel) {
    int sent = 0;
    while (send(channel, "x") == Sent::kYes) ++sent;
    EXPECT_EQ(send(channel, "x"), Sent::kFull);
    return sent;
  }
  void close_b() { b_ = Channel(UniqueFd()); }

  std::pair<Channel, Channel> pair_ = *Channel::make_pair();
  Channel& a_ = pair_.first;
  Channel& b_ = pair_.second;
};

TEST_F(ChannelTest, CarriesWholeMessagesInOrder_BothWays) {
  EXPECT_EQ(send(a_, "one"), Sent::kYes);
  EXPECT_EQ(send(a_, "two"), Sent::kYes);
  EXPECT_EQ(send(b_, "back"), Sent::kYes);
  EXPECT_EQ(receive(b_), "one");
  EXPECT_EQ(receive(b_), "two");
  EXPECT_EQ(receive(b_), "nothing");
  EXPECT_EQ(receive(a_), "back");
}

TEST_F(ChannelTest, TooLongMessageIsRecognized_AndTheNextIsWhole) {
  send(a_, "0123456789abcdef");
  send(a_, "0123456789abcdef0");
  send(a_, "next");
  EXPECT_EQ(receive(b_), "0123456789abcdef");
  EXPECT_EQ(receive(b_), "too long");
  EXPECT_EQ(receive(b_), "next");
}

TEST_F(ChannelTest, IsCloseOnExec) {
  EXPECT_EQ(fcntl(a_.fd(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  EXPECT_EQ(fcntl(b_.fd(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

TEST_F(ChannelTest, FullChannelDoesNotBlock_AndLosesNoSentMessage) {
  const int sent = fill(a_);
  EXPECT_GT(sent, 0);
  for (int i = 0; i < sent; ++i) ASSERT_EQ(receive(b_), "x");
  EXPECT_EQ(receive(b_), "nothing");
  EXPECT_EQ(send(a_, "room again"), Sent::kYes);
}

TEST_F(ChannelTest, ClosedEndIsReported) {
  close_b();
  EXPECT_EQ(receive(a_), "closed");
  EXPECT_EQ(send(a_, "x"), Sent::kClosed);
  EXPECT_FALSE(a_.send_waiting(bytes("x")));
}

TEST_F(ChannelTest, LastMessagesAreReceivedBeforeTheEnd) {
  send(b_, "last words");
  close_b();
  EXPECT_EQ(receive(a_), "last words");
  EXPECT_EQ(receive(a_), "closed");
}

TEST_F(ChannelTest, LastMessagesAreReceived_FromAPeerThatDidNotReadOurs) {
  send(a_, "never read");
  send(b_, "last");
  send(b_, "words");
  close_b();
  EXPECT_EQ(receive(a_), "last");
  EXPECT_EQ(receive(a_), "words");
  EXPECT_EQ(receive(a_), "closed");
}

TEST_F(ChannelTest, SendWaitingWaitsForRoom) {
  const int sent = fill(a_);
  std::atomic<bool> done = false;
  std::thread sender([&] {
    EXPECT_TRUE(a_.send_waiting(bytes("waited")));
    done = true;
  });
  for (int i = 0; i < sent; ++i) ASSERT_EQ(receive(b_), "x");
  sender.join();
  EXPECT_TRUE(done);
  EXPECT_EQ(receive(b_), "waited");
}

TEST_F(ChannelTest, SendWaitingEnds_WhenTheOtherEndIsClosedMeanwhile) {
  fill(a_);
  std::thread sender([&] { EXPECT_FALSE(a_.send_waiting(bytes("x"))); });
  close_b();
  sender.join();
}

}  // namespace
}  // namespace knockd
