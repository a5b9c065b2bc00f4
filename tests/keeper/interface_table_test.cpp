// SPDX-License-Identifier: MIT
// Hand-made messages for devices that the test machine's kernel may lack (VLANs), and for messages
// that no kernel sends.
#include "knockd/keeper/interface_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace knockd {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// A message that grows by what is appended to it.
class Message {
 public:
  template <typename Header>
  Message(uint16_t type, const Header& header) {
    append(nlmsghdr{0, type, 0, 0, 0});
    append(header);
  }

  template <typename Value>
  Message& with(uint16_t type, const Value& value) {
    return with(type, &value, sizeof(value));
  }
  Message& with(uint16_t type, const char* text) { return with(type, text, std::strlen(text) + 1); }
  Message& with(uint16_t type, const IpAddress& address) {
    const size_t skip = address.is_v4() ? 12 : 0;
    return with(type, address.bytes().data() + skip, address.bytes().size() - skip);
  }
  // An attribute that holds one other.
  Message& with_nested(uint16_t outer, uint16_t inner, const std::string& text) {
    append(rtattr{static_cast<uint16_t>(sizeof(rtattr) + RTA_SPACE(text.size() + 1)), outer});
    return with(inner, text.c_str());
  }
  Message& cut_to(size_t length) {
    bytes_.resize(length);
    return *this;
  }

  const nlmsghdr& operator*() {
    auto* header = reinterpret_cast<nlmsghdr*>(bytes_.data());
    header->nlmsg_len = static_cast<uint32_t>(bytes_.size());
    return *header;
  }

 private:
  template <typename Value>
  void append(const Value& value) {
    append(&value, sizeof(value));
  }
  void append(const void* bytes, size_t length) {
    const size_t start = bytes_.size();
    bytes_.resize(start + RTA_ALIGN(length));
    std::memcpy(bytes_.data() + start, bytes, length);
  }
  Message& with(uint16_t type, const void* value, size_t length) {
    append(rtattr{static_cast<uint16_t>(RTA_LENGTH(length)), type});
    append(value, length);
    return *this;
  }

  std::vector<char> bytes_;
};

Message link(uint16_t type, int index, unsigned flags = 0, uint8_t family = AF_UNSPEC) {
  ifinfomsg header{};
  header.ifi_family = family;
  header.ifi_index = index;
  header.ifi_flags = flags;
  return Message(type, header);
}

Message address_on(uint32_t index, uint8_t prefix = 24, uint16_t type = RTM_NEWADDR) {
  ifaddrmsg header{};
  header.ifa_index = index;
  header.ifa_prefixlen = prefix;
  return Message(type, header);
}

IpAddress ip(const char* text) { return IpAddress::parse(text).value(); }

TEST(InterfaceTableTest, VlanDeviceNamesItsParent) {
  InterfaceTable table;
  EXPECT_TRUE(table.take(*link(RTM_NEWLINK, 3)
                              .with(IFLA_IFNAME, "eth0.10")
                              .with(IFLA_LINK, uint32_t{2})
                              .with_nested(IFLA_LINKINFO, IFLA_INFO_KIND, "vlan")));
  EXPECT_EQ(table.find("eth0.10")->parent, 2u);
}

TEST(InterfaceTableTest, OtherStackedDevicesHaveNoParent) {
  InterfaceTable table;
  table.take(*link(RTM_NEWLINK, 3)
                  .with(IFLA_IFNAME, "veth0")
                  .with(IFLA_LINK, uint32_t{2})
                  .with_nested(IFLA_LINKINFO, IFLA_INFO_KIND, "veth"));
  table.take(*link(RTM_NEWLINK, 4).with(IFLA_IFNAME, "ipip0").with(IFLA_LINK, uint32_t{2}));
  EXPECT_EQ(table.find("veth0")->parent, 0u);
  EXPECT_EQ(table.find("ipip0")->parent, 0u);
}

TEST(InterfaceTableTest, VlanDeviceWithoutParent_WhenThatIsInAnotherNamespace) {
  InterfaceTable table;
  table.take(*link(RTM_NEWLINK, 3)
                  .with(IFLA_IFNAME, "eth0.10")
                  .with(IFLA_LINK, uint32_t{2})
                  .with(IFLA_LINK_NETNSID, uint32_t{0})
                  .with_nested(IFLA_LINKINFO, IFLA_INFO_KIND, "vlan"));
  EXPECT_EQ(table.find("eth0.10")->parent, 0u);
}

TEST(InterfaceTableTest, NothingChanges_WhenALinkIsReportedAgain) {
  InterfaceTable table;
  EXPECT_TRUE(table.take(*link(RTM_NEWLINK, 2, IFF_UP).with(IFLA_IFNAME, "eth0")));
  EXPECT_FALSE(table.take(*link(RTM_NEWLINK, 2, IFF_UP | IFF_PROMISC).with(IFLA_IFNAME, "eth0")));
  EXPECT_TRUE(table.take(*link(RTM_NEWLINK, 2, IFF_PROMISC).with(IFLA_IFNAME, "eth0")));
}

TEST(InterfaceTableTest, BridgeMessagesAreIgnored) {
  InterfaceTable table;
  table.take(*link(RTM_NEWLINK, 2, IFF_UP).with(IFLA_IFNAME, "eth0"));
  EXPECT_FALSE(table.take(*link(RTM_DELLINK, 2, IFF_UP, AF_BRIDGE).with(IFLA_IFNAME, "eth0")));
  EXPECT_NE(table.find("eth0"), nullptr);
}

TEST(InterfaceTableTest, AddressesGoWithTheirInterface) {
  InterfaceTable table;
  table.take(*link(RTM_NEWLINK, 2).with(IFLA_IFNAME, "ppp0"));
  table.take(*address_on(2).with(IFA_LOCAL, ip("192.0.2.1")));
  EXPECT_TRUE(table.take(*link(RTM_DELLINK, 2).with(IFLA_IFNAME, "ppp0")));
  table.take(*link(RTM_NEWLINK, 2).with(IFLA_IFNAME, "ppp0"));
  EXPECT_THAT(table.find("ppp0")->addresses, IsEmpty());
  EXPECT_TRUE(table.take(*address_on(2).with(IFA_LOCAL, ip("192.0.2.1"))));
  EXPECT_THAT(table.find("ppp0")->addresses, ElementsAre(ip("192.0.2.1")));
}

// eth0 and eth1 are ports of br0, and VLANs 10 and 20 are devices on that.
InterfaceTable table_of_a_router() {
  InterfaceTable table;
  for (const auto& [index, name] : {std::pair(2, "eth0"), std::pair(3, "eth1")}) {
    table.take(*link(RTM_NEWLINK, index)
                    .with(IFLA_IFNAME, name)
                    .with(IFLA_MASTER, uint32_t{4})
                    .with_nested(IFLA_LINKINFO, IFLA_INFO_SLAVE_KIND, "bridge"));
  }
  table.take(*link(RTM_NEWLINK, 4).with(IFLA_IFNAME, "br0"));
  for (const auto& [index, name] : {std::pair(5, "br0.10"), std::pair(6, "br0.20")}) {
    table.take(*link(RTM_NEWLINK, index)
                    .with(IFLA_IFNAME, name)
                    .with(IFLA_LINK, uint32_t{4})
                    .with_nested(IFLA_LINKINFO, IFLA_INFO_KIND, "vlan"));
  }
  table.take(*link(RTM_NEWLINK, 7).with(IFLA_IFNAME, "wan"));
  table.take(*address_on(4).with(IFA_LOCAL, ip("192.0.2.1")));
  table.take(*address_on(5).with(IFA_LOCAL, ip("198.51.100.1")));
  table.take(*address_on(7).with(IFA_LOCAL, ip("203.0.113.1")));
  return table;
}

TEST(InterfaceTableTest, EntranceIsTheBridgeOrTheVlanThatHasTheAddress) {
  const InterfaceTable table = table_of_a_router();
  EXPECT_EQ(table.entrance(2, ip("192.0.2.1"))->name, "br0");
  EXPECT_EQ(table.entrance(4, ip("192.0.2.1"))->name, "br0");
  EXPECT_EQ(table.entrance(2, ip("198.51.100.1"))->name, "br0.10");
  EXPECT_EQ(table.entrance(4, ip("198.51.100.1"))->name, "br0.10");
  EXPECT_EQ(table.entrance(5, ip("198.51.100.1"))->name, "br0.10");
}

TEST(InterfaceTableTest, EntranceIsWhereItWasHeard_WhenTheAddressIsElsewhere) {
  const InterfaceTable table = table_of_a_router();
  EXPECT_EQ(table.entrance(7, ip("192.0.2.1"))->name, "wan");
  EXPECT_EQ(table.entrance(6, ip("198.51.100.1"))->name, "br0.20");
  EXPECT_EQ(table.entrance(4, ip("203.0.113.1"))->name, "br0");
  EXPECT_EQ(table.entrance(3, ip("203.0.113.9"))->name, "br0");
  EXPECT_EQ(table.entrance(99, ip("192.0.2.1")), nullptr);
}

TEST(InterfaceTableTest, PortOfAVrfIsNotABridgePort) {
  InterfaceTable table;
  table.take(*link(RTM_NEWLINK, 2)
                  .with(IFLA_IFNAME, "eth0")
                  .with(IFLA_MASTER, uint32_t{4})
                  .with_nested(IFLA_LINKINFO, IFLA_INFO_SLAVE_KIND, "vrf"));
  EXPECT_EQ(table.find("eth0")->port_of, 0u);
}

TEST(InterfaceTableTest, MalformedMessagesAreIgnored) {
  InterfaceTable table;
  table.take(*link(RTM_NEWLINK, 2).with(IFLA_IFNAME, "eth0"));
  const auto before = table.by_index();
  for (size_t length = sizeof(nlmsghdr); length < sizeof(nlmsghdr) + sizeof(ifinfomsg); ++length) {
    EXPECT_FALSE(table.take(*link(RTM_DELLINK, 2).cut_to(length))) << length;
  }
  EXPECT_FALSE(table.take(*link(RTM_NEWLINK, 3)));                            // no name
  EXPECT_FALSE(table.take(*link(RTM_NEWLINK, 0).with(IFLA_IFNAME, "eth9")));  // no index
  EXPECT_FALSE(table.take(*address_on(7).with(IFA_LOCAL, ip("192.0.2.1"))));  // of no interface
  EXPECT_FALSE(table.take(*address_on(2)));                                   // no address
  EXPECT_FALSE(table.take(*address_on(2).with(IFA_LOCAL, uint16_t{7})));      // of no family
  EXPECT_FALSE(table.take(*address_on(2, 24, RTM_DELADDR).with(IFA_LOCAL, ip("192.0.2.1"))));
  EXPECT_FALSE(table.take(*Message(RTM_NEWROUTE, rtmsg{})));
  EXPECT_EQ(table.by_index(), before);
}

}  // namespace
}  // namespace knockd
