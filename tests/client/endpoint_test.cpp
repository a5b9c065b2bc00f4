// SPDX-License-Identifier: MIT
#include "knockd/client/endpoint.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include "knockd/client/failure.h"

namespace knockd::client {
namespace {

IpAddress ip(const char* text) { return *IpAddress::parse(text); }

TEST(Endpoint, KeepsAddressAndPort) {
  for (const char* text : {"192.0.2.1", "2001:db8::1"}) {
    const Endpoint endpoint = Endpoint(ip(text)).with_port(7000);
    EXPECT_EQ(endpoint.address(), ip(text));
    EXPECT_EQ(endpoint.to_string(), text);
  }
  const Endpoint v4 = Endpoint(ip("192.0.2.1")).with_port(7000);
  const auto* raw = reinterpret_cast<const sockaddr_in*>(v4.get());
  EXPECT_EQ(v4.size(), sizeof(sockaddr_in));
  EXPECT_EQ(raw->sin_port, htons(7000));
}

TEST(Endpoint, ZoneIsAcceptedForLinkLocalAddressesOnly) {
  const auto zone = [](const Endpoint& endpoint) {
    return reinterpret_cast<const sockaddr_in6*>(endpoint.get())->sin6_scope_id;
  };
  EXPECT_EQ(zone(Endpoint(ip("fe80::1")).in_zone(7)), 7u);
  EXPECT_EQ(zone(Endpoint(ip("fe80::1")).in_zone(7).in_zone(8)), 7u);
  EXPECT_EQ(zone(Endpoint(ip("2001:db8::1")).in_zone(7)), 0u);
  EXPECT_EQ(Endpoint(ip("192.0.2.1")).in_zone(7).address(), ip("192.0.2.1"));
}

TEST(Resolve, AddressesNeedNoNameServer) {
  EXPECT_EQ(resolve("192.0.2.1", Family::kAny)->address(), ip("192.0.2.1"));
  EXPECT_EQ(resolve("2001:db8::1", Family::kV6)->address(), ip("2001:db8::1"));
}

TEST(Resolve, NameWithoutAddress_IsNotFound) {
  for (const auto& [host, family] :
       {std::pair{"127.0.0.1", Family::kV6}, std::pair{"::1", Family::kV4},
        std::pair{"123.456.789.012", Family::kAny}, std::pair{"", Family::kAny}}) {
    const auto endpoint = resolve(host, family);
    ASSERT_FALSE(endpoint) << host;
    EXPECT_EQ(endpoint.error().status, ExitStatus::kNameNotFound) << host;
  }
}

}  // namespace
}  // namespace knockd::client
