// SPDX-License-Identifier: MIT
// A network namespace for one test: "wan" with a cable to "lan", both up, wan with the addresses
// 198.51.100.1 and 2001:db8::1. It is removed after the test. Skips the test without root.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <utility>

#include "knockd/base/unique_fd.h"

namespace knockd {

class OwnNetwork : public ::testing::Test {
 protected:
  void SetUp() override {
    UniqueFd home(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    if (geteuid() != 0 || unshare(CLONE_NEWNET) != 0) {
      home_.reset();  // no namespace to return to
      GTEST_SKIP() << "needs root, to make a network namespace";
    }
    home_ = std::move(home);
    ip("link add wan type veth peer name lan");
    for (const std::string name : {"wan", "lan"}) {
      ip("link set " + name + " addrgenmode none up");
    }
    // Until the kernel has noticed the carrier, a device silently drops what it should send.
    for (const std::string name : {"wan", "lan"}) wait_until_up(name);
    ip("address add 198.51.100.1/24 dev wan");
    ip("address add 2001:db8::1/64 dev wan nodad");
  }
  void TearDown() override {
    if (home_) {
      ASSERT_EQ(setns(home_.get(), CLONE_NEWNET), 0);
    }
  }
  static void ip(const std::string& arguments) {
    ASSERT_EQ(std::system(("ip " + arguments).c_str()), 0) << arguments;
  }
  // ctest's timeout bounds this.
  static void wait_until_up(const std::string& name) {
    const std::string look = "ip link show " + name + " | grep -q 'state UP'";
    while (std::system(look.c_str()) != 0) usleep(1000);
  }

 private:
  UniqueFd home_;
};

}  // namespace knockd
