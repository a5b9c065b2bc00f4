// SPDX-License-Identifier: MIT
// The monitor with the real kernel, each test in its own network namespace. The kernel queues most
// events before the command that caused them returns; that of a new IPv6 address comes from a work
// queue, maybe later.
#include "knockd/keeper/interface_monitor.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "knockd/base/text.h"
#include "knockd/base/unique_fd.h"

namespace knockd {
namespace {

// If set, sees the kernel's datagrams before they are read; returns true to report lost ones first.
std::function<bool(nlmsghdr*, int)> on_datagram;

}  // namespace
}  // namespace knockd

// Replaces libnl's function and calls it: the only way to disturb a dump at a chosen moment.
extern "C" int nl_recv(nl_sock* socket, sockaddr_nl* sender, unsigned char** bytes,
                       ucred** credentials) {
  static const auto real = reinterpret_cast<decltype(&nl_recv)>(dlsym(RTLD_NEXT, "nl_recv"));
  constexpr int kLost = -5;  // -NLE_NOMEM, which libnl makes of ENOBUFS
  static unsigned char* held = nullptr;
  static int held_length = 0;
  if (held != nullptr) {
    *sender = {};
    *bytes = std::exchange(held, nullptr);
    return held_length;
  }
  const int length = real(socket, sender, bytes, credentials);
  if (length <= 0 || !knockd::on_datagram) return length;
  if (!knockd::on_datagram(reinterpret_cast<nlmsghdr*>(*bytes), length)) return length;
  held = std::exchange(*bytes, nullptr);
  held_length = length;
  return kLost;
}

namespace knockd {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

IpAddress address(const std::string& text) { return IpAddress::parse(text).value(); }

// wan is an Ethernet device with a cable to lan; it gets no address by itself.
InterfaceMonitor begun() {
  InterfaceMonitor monitor;
  const Status begun = monitor.begin();
  EXPECT_TRUE(begun) << begun.error().text;
  return monitor;
}

class InterfaceMonitorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    UniqueFd home = this_namespace();
    if (geteuid() != 0 || unshare(CLONE_NEWNET) != 0) {
      home_.reset();  // no namespace to return to
      GTEST_SKIP() << "needs root, to make a network namespace";
    }
    home_ = std::move(home);
    ip("link add wan type veth peer name lan");
    for (const char* name : {"wan", "lan"}) {
      ip(format("link set %s addrgenmode none", name));
      ip(format("link set %s up", name));
    }
  }
  void TearDown() override {
    if (home_) {
      ASSERT_EQ(setns(home_.get(), CLONE_NEWNET), 0);
    }
  }

  static UniqueFd this_namespace() {
    return UniqueFd(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  }
  // Runs ip(8).
  static void ip(const std::string& arguments) { ASSERT_TRUE(ip_succeeds(arguments)) << arguments; }
  static bool ip_succeeds(const std::string& arguments) {
    return std::system(("ip " + arguments).c_str()) == 0;
  }
  static bool sees_a_change(InterfaceMonitor& monitor) {
    while (!monitor.read()) {
      pollfd readable{monitor.fd(), POLLIN, 0};
      if (poll(&readable, 1, 10'000) != 1) {
        ADD_FAILURE() << "no event within 10 s";
        return false;
      }
    }
    return true;
  }
  // Runs many commands at once, in order.
  static void ip_batch(const std::vector<std::string>& commands) {
    FILE* batch = popen("ip -batch -", "w");
    ASSERT_NE(batch, nullptr);
    for (const std::string& command : commands) std::fprintf(batch, "%s\n", command.c_str());
    ASSERT_EQ(pclose(batch), 0);
  }
  static std::vector<std::string> for_each_of_1000_addresses(const char* action) {
    std::vector<std::string> commands;
    for (int i = 0; i < 1000; ++i) {
      commands.push_back(format("address %s 10.1.%d.%d/32 dev wan", action, i / 250, i % 250 + 1));
    }
    return commands;
  }

 private:
  UniqueFd home_;
};

TEST_F(InterfaceMonitorTest, KnowsExistingDevicesAtStart) {
  ip("address add 192.0.2.1/24 dev wan");
  ip("address add 2001:db8::1/64 dev wan nodad");
  InterfaceMonitor monitor = begun();
  const Interface* wan = monitor.find("wan");
  ASSERT_NE(wan, nullptr);
  EXPECT_EQ(wan->index, if_nametoindex("wan"));
  EXPECT_TRUE(wan->up);
  EXPECT_THAT(wan->addresses, ElementsAre(address("192.0.2.1"), address("2001:db8::1")));
  EXPECT_EQ(monitor.find(wan->index), wan);
  EXPECT_FALSE(monitor.find("lo")->up);
  EXPECT_EQ(monitor.find("ppp0"), nullptr);
  EXPECT_EQ(monitor.find(9999u), nullptr);
  EXPECT_THAT(monitor.interfaces(), SizeIs(3));
}

TEST_F(InterfaceMonitorTest, ReadReportsNoChange_WithoutOne) {
  InterfaceMonitor monitor = begun();
  EXPECT_FALSE(monitor.read());
  ip("link set wan promisc on");
  EXPECT_FALSE(monitor.read());
}

// Root can send to any netlink socket.
TEST_F(InterfaceMonitorTest, MessageOfAnotherProcessIsIgnored) {
  InterfaceMonitor monitor = begun();
  sockaddr_nl to{};
  socklen_t length = sizeof(to);
  ASSERT_EQ(getsockname(monitor.fd(), reinterpret_cast<sockaddr*>(&to), &length), 0);
  to.nl_groups = 0;
  struct {
    nlmsghdr header{sizeof(nlmsghdr) + sizeof(ifinfomsg), RTM_DELLINK, 0, 0, 0};
    ifinfomsg link{};
  } forged;
  forged.link.ifi_index = static_cast<int>(if_nametoindex("wan"));
  const UniqueFd liar(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  ASSERT_EQ(sendto(liar.get(), &forged, sizeof(forged), 0, reinterpret_cast<const sockaddr*>(&to),
                   sizeof(to)),
            static_cast<ssize_t>(sizeof(forged)));
  EXPECT_FALSE(monitor.read());
  EXPECT_NE(monitor.find("wan"), nullptr);
}

TEST_F(InterfaceMonitorTest, FollowsAddresses) {
  InterfaceMonitor monitor = begun();
  ip("address add 192.0.2.1/24 dev wan");
  EXPECT_TRUE(sees_a_change(monitor));
  EXPECT_THAT(monitor.find("wan")->addresses, ElementsAre(address("192.0.2.1")));
  ip("address add 2001:db8::1/64 dev wan nodad");
  EXPECT_TRUE(sees_a_change(monitor));
  EXPECT_THAT(monitor.find("wan")->addresses,
              ElementsAre(address("192.0.2.1"), address("2001:db8::1")));
  ip("address del 192.0.2.1/24 dev wan");
  EXPECT_TRUE(sees_a_change(monitor));
  EXPECT_THAT(monitor.find("wan")->addresses, ElementsAre(address("2001:db8::1")));
  ip("address del 2001:db8::1/64 dev wan");
  EXPECT_TRUE(sees_a_change(monitor));
  EXPECT_THAT(monitor.find("wan")->addresses, IsEmpty());
}

TEST_F(InterfaceMonitorTest, FollowsAnAddressThatIsReplaced) {
  ip("address add 192.0.2.1/24 dev wan");
  InterfaceMonitor monitor = begun();
  ip("address add 198.51.100.7/24 dev wan");
  ip("address del 192.0.2.1/24 dev wan");
  EXPECT_TRUE(sees_a_change(monitor));
  EXPECT_THAT(monitor.find("wan")->addresses, ElementsAre(address("198.51.100.7")));
}

TEST_F(InterfaceMonitorTest, PointToPointCountsOurEndNotThePeer) {
  ip("address add 192.0.2.1 peer 198.51.100.1/32 dev wan");
  ip("address add 2001:db8::1 peer 2001:db8::2/128 dev wan nodad");
  InterfaceMonitor monitor = begun();
  EXPECT_THAT(monitor.find("wan")->addresses,
              ElementsAre(address("192.0.2.1"), address("2001:db8::1")));
}

TEST_F(InterfaceMonitorTest, AddressStays_WhenOneOfItsTwoAssignmentsGoes) {
  ip("address add 192.0.2.1/24 dev wan");
  ip("address add 192.0.2.1/32 dev wan");
  InterfaceMonitor monitor = begun();
  EXPECT_THAT(monitor.find("wan")->addresses, ElementsAre(address("192.0.2.1")));
  ip("address del 192.0.2.1/24 dev wan");
  EXPECT_FALSE(monitor.read());
  EXPECT_THAT(monitor.find("wan")->addresses, ElementsAre(address("192.0.2.1")));
  ip("address del 192.0.2.1/32 dev wan");
  EXPECT_TRUE(sees_a_change(monitor));
  EXPECT_THAT(monitor.find("wan")->addresses, IsEmpty());
}

TEST_F(InterfaceMonitorTest, TentativeAndDeprecatedAddressesCount) {
  ip("link set lan down");  // without a carrier an address stays tentative
  ip("address add 2001:db8::1/64 dev wan");
  ip("address add 2001:db8::2/64 dev wan nodad preferred_lft 0");
  InterfaceMonitor monitor = begun();
  EXPECT_THAT(monitor.find("wan")->addresses,
              ElementsAre(address("2001:db8::1"), address("2001:db8::2")));
}

TEST_F(InterfaceMonitorTest, FollowsDownAndUp) {
  ip("address add 192.0.2.1/24 dev wan");
  InterfaceMonitor monitor = begun();
  ip("link set wan down");
  EXPECT_TRUE(sees_a_change(monitor));
  EXPECT_FALSE(monitor.find("wan")->up);
  EXPECT_THAT(monitor.find("wan")->addresses, ElementsAre(address("192.0.2.1")));
  ip("link set wan up");
  EXPECT_TRUE(sees_a_change(monitor));
  EXPECT_TRUE(monitor.find("wan")->up);
}

TEST_F(InterfaceMonitorTest, StaysUp_WhenTheCableIsPulled) {
  InterfaceMonitor monitor = begun();
  ip("link set lan down");
  monitor.read();
  EXPECT_TRUE(monitor.find("wan")->up);
}

TEST_F(InterfaceMonitorTest, RecreatedDeviceHasANewIndex) {
  ip("address add 192.0.2.1/24 dev wan");
  InterfaceMonitor monitor = begun();
  const uint32_t before = monitor.find("wan")->index;
  ip("link del wan");
  EXPECT_TRUE(sees_a_change(monitor));
  EXPECT_EQ(monitor.find("wan"), nullptr);
  EXPECT_EQ(monitor.find(before), nullptr);
  ip("link add wan type veth peer name lan");
  ip("address add 198.51.100.7/24 dev wan");
  EXPECT_TRUE(sees_a_change(monitor));
  EXPECT_NE(monitor.find("wan")->index, before);
  EXPECT_THAT(monitor.find("wan")->addresses, ElementsAre(address("198.51.100.7")));
}

TEST_F(InterfaceMonitorTest, FollowsADeviceThatIsRenamedAwayAndBack) {
  ip("address add 192.0.2.1/24 dev wan");
  InterfaceMonitor monitor = begun();
  const Interface before = *monitor.find("wan");
  ip("link set wan down");
  ip("link set wan name wan-old");
  EXPECT_TRUE(sees_a_change(monitor));
  EXPECT_EQ(monitor.find("wan"), nullptr);
  EXPECT_EQ(monitor.find("wan-old")->index, before.index);
  EXPECT_THAT(monitor.find("wan-old")->addresses, ElementsAre(address("192.0.2.1")));
  ip("link set wan-old name wan");
  ip("link set wan up");
  EXPECT_TRUE(sees_a_change(monitor));
  EXPECT_EQ(*monitor.find("wan"), before);
}

TEST_F(InterfaceMonitorTest, DeviceThatLeavesABridgeIsStillThere) {
  ip("address add 192.0.2.1/24 dev wan");
  ip("link add br0 type bridge");
  ip("link set wan master br0");
  InterfaceMonitor monitor = begun();
  EXPECT_EQ(monitor.find("wan")->port_of, monitor.find("br0")->index);
  ip("link set wan nomaster");
  EXPECT_TRUE(sees_a_change(monitor));
  EXPECT_EQ(monitor.find("wan")->port_of, 0u);
  EXPECT_EQ(monitor.interfaces(), begun().interfaces());
}

TEST_F(InterfaceMonitorTest, DeviceThatMovesToAnotherNamespaceIsGone) {
  InterfaceMonitor monitor = begun();
  const UniqueFd here = this_namespace();
  ASSERT_EQ(unshare(CLONE_NEWNET), 0);
  const UniqueFd there = this_namespace();
  ASSERT_EQ(setns(here.get(), CLONE_NEWNET), 0);
  ip(format("link set wan netns /proc/%d/fd/%d", getpid(), there.get()));
  EXPECT_TRUE(sees_a_change(monitor));
  EXPECT_EQ(monitor.find("wan"), nullptr);
  EXPECT_NE(monitor.find("lan"), nullptr);
}

TEST_F(InterfaceMonitorTest, HundredChangesAreOneUpdate) {
  InterfaceMonitor monitor = begun();
  std::vector<std::string> commands;
  for (int i = 0; i < 50; ++i) {
    commands.push_back(format("address add 192.0.2.%d/32 dev wan", i + 1));
    if (i > 0) commands.push_back(format("address del 192.0.2.%d/32 dev wan", i));
  }
  ip_batch(commands);
  EXPECT_TRUE(sees_a_change(monitor));
  EXPECT_THAT(monitor.find("wan")->addresses, ElementsAre(address("192.0.2.50")));
  EXPECT_FALSE(monitor.read());
}

TEST_F(InterfaceMonitorTest, ThousandAddresses_AtStartAndAsEvents) {
  ip_batch(for_each_of_1000_addresses("add"));
  InterfaceMonitor monitor = begun();
  EXPECT_THAT(monitor.find("wan")->addresses, SizeIs(1000));
  EXPECT_EQ(monitor.find("wan")->addresses.back(), address("10.1.3.250"));
  ip_batch(for_each_of_1000_addresses("del"));
  EXPECT_TRUE(sees_a_change(monitor));
  EXPECT_THAT(monitor.find("wan")->addresses, IsEmpty());
  ip_batch(for_each_of_1000_addresses("add"));
  EXPECT_TRUE(sees_a_change(monitor));
  EXPECT_EQ(monitor.interfaces(), begun().interfaces());
}

// With such a small buffer an event may disturb even a dump, so repeat it like the owner. True if
// anything changed.
bool read_until_true(InterfaceMonitor& monitor) {
  bool changed = monitor.read();
  for (int tries = 0; tries < 1000 && monitor.is_stale(); ++tries) changed |= monitor.read();
  return changed && !monitor.is_stale();
}

TEST_F(InterfaceMonitorTest, DumpRecoversLostEvents) {
  ip("address add 192.0.2.1/24 dev wan");
  InterfaceMonitor monitor = begun();
  const int least = 1;  // the kernel raises it to its minimum, about 2 KiB
  ASSERT_EQ(setsockopt(monitor.fd(), SOL_SOCKET, SO_RCVBUF, &least, sizeof(least)), 0);
  ip_batch(for_each_of_1000_addresses("add"));
  ip("address del 192.0.2.1/24 dev wan");
  ip("link del wan");
  ip("link add new type veth peer name lan");
  ip("address add 203.0.113.9/24 dev new");
  EXPECT_TRUE(read_until_true(monitor));
  EXPECT_EQ(monitor.find("wan"), nullptr);
  ASSERT_NE(monitor.find("new"), nullptr);
  EXPECT_EQ(monitor.interfaces(), begun().interfaces());
  EXPECT_FALSE(monitor.read());
}

TEST_F(InterfaceMonitorTest, FollowsEventsAfterALoss) {
  InterfaceMonitor monitor = begun();
  const int least = 1;
  ASSERT_EQ(setsockopt(monitor.fd(), SOL_SOCKET, SO_RCVBUF, &least, sizeof(least)), 0);
  ip_batch(for_each_of_1000_addresses("add"));
  ASSERT_TRUE(read_until_true(monitor));
  ip("address add 192.0.2.1/24 dev wan");
  EXPECT_TRUE(sees_a_change(monitor));
  EXPECT_THAT(monitor.find("wan")->addresses, SizeIs(1001));
}

// A kernel whose first answer lacks a device, because the list changed meanwhile.
class DisturbedDumpTest : public InterfaceMonitorTest {
 protected:
  void TearDown() override {
    on_datagram = nullptr;
    InterfaceMonitorTest::TearDown();
  }
  // Turns messages of this type about wan into no-ops, only in the first dump. True if there was
  // one.
  static bool take_out(nlmsghdr* message, int length, uint16_t type) {
    bool found = false;
    const int wan = static_cast<int>(if_nametoindex("wan"));
    for (; NLMSG_OK(message, static_cast<unsigned>(length));
         message = NLMSG_NEXT(message, length)) {
      // Both kinds have the index in the same place.
      const auto* const link = static_cast<const ifinfomsg*>(NLMSG_DATA(message));
      if (message->nlmsg_type != type || link->ifi_index != wan) continue;
      message->nlmsg_type = NLMSG_NOOP;
      found = true;
    }
    return found;
  }
  void expect_repeated(const std::function<bool(nlmsghdr*, int)>& disturb) {
    ip("address add 192.0.2.1/24 dev wan");
    for (const uint16_t type : {uint16_t{RTM_NEWLINK}, uint16_t{RTM_NEWADDR}}) {
      bool is_over = false;
      on_datagram = [&](nlmsghdr* first, int length) {
        if (is_over || !take_out(first, length, type)) return false;
        is_over = true;
        return disturb(first, length);
      };
      InterfaceMonitor monitor = begun();
      EXPECT_TRUE(is_over);
      EXPECT_FALSE(monitor.is_stale());
      ASSERT_NE(monitor.find("wan"), nullptr) << "the picture without it was kept";
      EXPECT_THAT(monitor.find("wan")->addresses, ElementsAre(address("192.0.2.1")));
    }
  }
};

TEST_F(DisturbedDumpTest, InterruptedOneIsRepeated) {
  expect_repeated([](nlmsghdr* message, int length) {
    for (; NLMSG_OK(message, static_cast<unsigned>(length));
         message = NLMSG_NEXT(message, length)) {
      message->nlmsg_flags |= NLM_F_DUMP_INTR;
    }
    return false;
  });
}

TEST_F(DisturbedDumpTest, OneInWhichEventsWereLostIsRepeated) {
  expect_repeated([](nlmsghdr*, int) { return true; });
}

TEST_F(InterfaceMonitorTest, VlanDeviceNamesItsParent) {
  if (!ip_succeeds("link add link wan name wan.10 type vlan id 10 2>/dev/null")) {
    GTEST_SKIP() << "this kernel has no VLAN devices (CONFIG_VLAN_8021Q)";
  }
  InterfaceMonitor monitor = begun();
  EXPECT_EQ(monitor.find("wan.10")->parent, monitor.find("wan")->index);
}

TEST_F(InterfaceMonitorTest, VethAndMacvlanHaveNoParent) {
  ip("link add link wan name mac0 type macvlan");
  InterfaceMonitor monitor = begun();
  EXPECT_EQ(monitor.find("wan")->parent, 0u);
  EXPECT_EQ(monitor.find("mac0")->parent, 0u);
}

using DefaultRouteTest = InterfaceMonitorTest;

TEST_F(DefaultRouteTest, NoneWithoutARoute) {
  ip("address add 192.0.2.1/24 dev wan");
  EXPECT_EQ(*default_route_interface(), std::nullopt);
}

TEST_F(DefaultRouteTest, LowestMetricWins) {
  ip("address add 192.0.2.1/24 dev wan");
  ip("address add 198.51.100.1/24 dev lan");
  ip("route add default via 192.0.2.254 metric 200");
  EXPECT_EQ(*default_route_interface(), "wan");
  ip("route add default via 198.51.100.254 metric 100");
  EXPECT_EQ(*default_route_interface(), "lan");
  ip("route add default via 192.0.2.254");  // no metric is the lowest
  EXPECT_EQ(*default_route_interface(), "wan");
}

TEST_F(DefaultRouteTest, OtherTablesAndPrefixesDoNotCount) {
  ip("address add 192.0.2.1/24 dev wan");
  ip("route add default via 192.0.2.254 table 100");
  ip("route add 0.0.0.0/1 via 192.0.2.254");
  ip("route add unreachable default metric 4000");
  EXPECT_EQ(*default_route_interface(), std::nullopt);
}

TEST_F(DefaultRouteTest, FirstOfSeveralNextHops) {
  ip("address add 192.0.2.1/24 dev wan");
  ip("address add 198.51.100.1/24 dev lan");
  ip("route add default nexthop via 198.51.100.254 nexthop via 192.0.2.254");
  EXPECT_EQ(*default_route_interface(), "lan");
}

TEST_F(DefaultRouteTest, IPv6Counts_WhereIPv4HasNone) {
  ip("address add 192.0.2.1/24 dev wan");
  ip("address add 2001:db8::1/64 dev lan nodad");
  ip("-6 route add default via 2001:db8::2");
  EXPECT_EQ(*default_route_interface(), "lan");
  ip("route add default via 192.0.2.254 metric 9999");
  EXPECT_EQ(*default_route_interface(), "wan");
}

}  // namespace
}  // namespace knockd
