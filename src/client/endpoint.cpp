// SPDX-License-Identifier: MIT
#include "knockd/client/endpoint.h"

#include <netdb.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "knockd/base/text.h"

namespace knockd::client {
namespace {

int address_family(Family family) {
  switch (family) {
    case Family::kV4:
      return AF_INET;
    case Family::kV6:
      return AF_INET6;
    default:
      return AF_UNSPEC;
  }
}

sockaddr_in& as_v4(sockaddr_storage& storage) { return reinterpret_cast<sockaddr_in&>(storage); }
sockaddr_in6& as_v6(sockaddr_storage& storage) { return reinterpret_cast<sockaddr_in6&>(storage); }

}  // namespace

Endpoint::Endpoint(const IpAddress& address) {
  const IpAddress::Bytes& bytes = address.bytes();
  if (address.is_v4()) {
    storage_.ss_family = AF_INET;
    std::memcpy(&as_v4(storage_).sin_addr, bytes.data() + 12, 4);
  } else {
    storage_.ss_family = AF_INET6;
    std::memcpy(&as_v6(storage_).sin6_addr, bytes.data(), 16);
  }
}

Endpoint::Endpoint(const sockaddr* address, socklen_t size) {
  std::memcpy(&storage_, address, std::min<size_t>(size, sizeof(storage_)));
}

IpAddress Endpoint::address() const {
  Endpoint copy = *this;
  if (family() == AF_INET) {
    uint8_t bytes[4];
    std::memcpy(bytes, &as_v4(copy.storage_).sin_addr, sizeof(bytes));
    return IpAddress::from_v4(bytes);
  }
  uint8_t bytes[16];
  std::memcpy(bytes, &as_v6(copy.storage_).sin6_addr, sizeof(bytes));
  return IpAddress::from_v6(bytes);
}

Endpoint Endpoint::with_port(uint16_t port) const {
  Endpoint copy = *this;
  if (family() == AF_INET) {
    as_v4(copy.storage_).sin_port = htons(port);
  } else {
    as_v6(copy.storage_).sin6_port = htons(port);
  }
  return copy;
}

Endpoint Endpoint::in_zone(unsigned interface_index) const {
  Endpoint copy = *this;
  if (family() == AF_INET6) {
    sockaddr_in6& v6 = as_v6(copy.storage_);
    if (v6.sin6_scope_id == 0 && IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr)) {
      v6.sin6_scope_id = interface_index;
    }
  }
  return copy;
}

std::string Endpoint::to_string() const {
  char text[NI_MAXHOST];
  if (getnameinfo(get(), size(), text, sizeof(text), nullptr, 0, NI_NUMERICHOST) != 0) return "?";
  return text;
}

OrFailure<Endpoint> resolve(const std::string& host, Family family) {
  addrinfo hints{};
  hints.ai_family = address_family(family);
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (error != 0) {
    const char* reason = error == EAI_SYSTEM ? std::strerror(errno) : gai_strerror(error);
    return Failure{ExitStatus::kNameNotFound,
                   format("host \"%s\": %s", printable(host).c_str(), reason)};
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, freeaddrinfo);
  return Endpoint(found->ai_addr, found->ai_addrlen);
}

}  // namespace knockd::client
