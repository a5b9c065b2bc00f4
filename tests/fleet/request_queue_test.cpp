// SPDX-License-Identifier: MIT
#include "knockd/fleet/request_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace knockd {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;

class RequestQueueTest : public ::testing::Test {
 protected:
  static DoorAddress place(const char* door) { return {door, *IpAddress::parse("192.0.2.7")}; }
  void open(const char* door, int end) {
    queue_.add(FleetOpen{place(door), Instant(seconds(end)), "gw2", ""});
  }
  void close(const char* door) { queue_.add(FleetClose{place(door), "gw2"}); }
  std::vector<std::string> all() {
    std::vector<std::string> lines;
    while (const auto request = queue_.take()) {
      lines.push_back(request_text(*request, Instant()).value_or("nothing"));
      for (char& c : lines.back()) c = c == '\t' ? ' ' : c;
    }
    return lines;
  }

  RequestQueue queue_;
};

TEST_F(RequestQueueTest, KeepTheirOrder_ExceptForCodes) {
  open("ssh", 10);
  close("web");
  queue_.add(FleetShared{7});
  EXPECT_THAT(all(), ElementsAre("fleet-shared 7", "fleet-open ssh 192.0.2.7 10.000 gw2",
                                 "fleet-close web 192.0.2.7 gw2"));
}

TEST_F(RequestQueueTest, OnlyTheLatestRequestOfADoorWaits) {
  for (int i = 1; i <= 1000; ++i) open("ssh", i);
  open("web", 10);
  open("ssh", 2000);
  EXPECT_EQ(queue_.size(), 2);
  EXPECT_THAT(all(), ElementsAre("fleet-open ssh 192.0.2.7 2000.000 gw2",
                                 "fleet-open web 192.0.2.7 10.000 gw2"));
  // A request taken from the queue no longer waits.
  open("ssh", 3000);
  EXPECT_THAT(all(), ElementsAre("fleet-open ssh 192.0.2.7 3000.000 gw2"));
}

TEST_F(RequestQueueTest, OpenedAndClosedAgainAndAgainIsClosedAndThenOpened) {
  for (int i = 1; i <= 1000; ++i) {
    open("ssh", i);
    close("ssh");
  }
  EXPECT_EQ(queue_.size(), 1);
  open("ssh", 2000);
  EXPECT_THAT(
      all(), ElementsAre("fleet-close ssh 192.0.2.7 gw2", "fleet-open ssh 192.0.2.7 2000.000 gw2"));
  open("ssh", 1);
  queue_.clear();
  open("ssh", 2);
  close("ssh");
  EXPECT_THAT(all(), ElementsAre("fleet-close ssh 192.0.2.7 gw2"));
}

}  // namespace
}  // namespace knockd
