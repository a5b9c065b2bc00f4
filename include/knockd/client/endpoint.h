// SPDX-License-Identifier: MIT
// The target of knocks: a host's address for socket calls. An IpAddress would lose the zone of a
// link-local address (fe80::1%eth0).
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <string>

#include "knockd/client/failure.h"
#include "knockd/client/options.h"
#include "knockd/net/address.h"

namespace knockd::client {

class Endpoint {
 public:
  Endpoint() = default;
  explicit Endpoint(const IpAddress& address);
  // Copies `size` bytes of an AF_INET or AF_INET6 address.
  Endpoint(const sockaddr* address, socklen_t size);

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t size() const {
    return family() == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  }
  int family() const { return storage_.ss_family; }
  IpAddress address() const;
  Endpoint with_port(uint16_t port) const;  // host order
  // The same, with the zone `interface_index` if the address is link-local and has none.
  Endpoint in_zone(unsigned interface_index) const;

  // The address alone, with its zone if it has one.
  std::string to_string() const;

 private:
  sockaddr_storage storage_{};
};

// The first address of the host, which ssh and others also try first (ordered by RFC 6724), or
// kNameNotFound.
OrFailure<Endpoint> resolve(const std::string& host, Family family);

}  // namespace knockd::client
