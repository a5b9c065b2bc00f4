// SPDX-License-Identifier: MIT
#include "knockd/client/knocker.h"

#include <fcntl.h>
#include <net/if.h>
#include <sys/random.h>

#include <cerrno>
#include <cstring>

#include "knockd/base/text.h"
#include "knockd/client/segment.h"

namespace knockd::client {
namespace {

// The dynamic ports of RFC 6335, 6.
constexpr uint32_t kFirstDynamicPort = 49152;
constexpr uint32_t kDynamicPorts = 16384;

Failure failure_of(int error, const std::string& what) {
  const bool forbidden = error == EPERM || error == EACCES;
  return {forbidden ? ExitStatus::kNoPermission : ExitStatus::kNotOpened,
          format("%s: %s", what.c_str(), std::strerror(error))};
}

}  // namespace

Knocker::Knocker(const Endpoint& host, const Options& options)
    : host_(host), interface_(options.interface), flags_(options.flags) {
  if (!interface_.empty()) {
    const unsigned index = if_nametoindex(interface_.c_str());
    if (index == 0) {
      failure_ = {ExitStatus::kUsage, format("interface \"%s\": there is none of this name",
                                             printable(interface_).c_str())};
      return;
    }
    host_ = host_.in_zone(index);
  }
  if (options.source) source_ = Endpoint(*options.source);
  if (flags_) failure_ = open_raw_socket();
}

std::optional<Failure> Knocker::send(const Knock& knock) {
  if (knock.protocol == Protocol::kUdp) return send_datagram(knock);
  return flags_ ? send_segment(knock) : send_connection_attempt(knock);
}

OrFailure<UniqueFd> Knocker::open_socket(int type) const {
  UniqueFd fd(socket(host_.family(), type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return failure_of(errno, "socket");
  if (auto failure = bind(fd.get())) return std::move(*failure);
  return fd;
}

std::optional<Failure> Knocker::bind(int fd) const {
  if (!interface_.empty() && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface_.c_str(),
                                        static_cast<socklen_t>(interface_.size())) != 0) {
    return failure_of(errno, format("interface \"%s\"", printable(interface_).c_str()));
  }
  if (source_ && ::bind(fd, source_->get(), source_->size()) != 0) {
    const int error = errno;
    const std::string what = "source " + source_->to_string();
    if (error != EADDRNOTAVAIL) return failure_of(error, what);
    return Failure{ExitStatus::kUsage, what + ": not an address of this host"};
  }
  return std::nullopt;
}

// Closing the socket ends the attempt: the system repeats nothing and answers with RST.
std::optional<Failure> Knocker::send_connection_attempt(const Knock& knock) {
  const auto fd = open_socket(SOCK_STREAM);
  if (!fd) return fd.error();
  const Endpoint to = at(knock.port);
  if (connect(fd->get(), to.get(), to.size()) == 0) return std::nullopt;
  // On the same host the refusal arrives before connect() returns; the knock was sent.
  if (errno == EINPROGRESS || errno == ECONNREFUSED) return std::nullopt;
  return failure_of(errno, to.to_string());
}

std::optional<Failure> Knocker::send_datagram(const Knock& knock) {
  const auto fd = open_socket(SOCK_DGRAM);
  if (!fd) return fd.error();
  const Endpoint to = at(knock.port);
  const uint8_t payload = 0;
  if (sendto(fd->get(), &payload, sizeof(payload), 0, to.get(), to.size()) == 1) {
    return std::nullopt;
  }
  return failure_of(errno, to.to_string());
}

std::optional<Failure> Knocker::send_segment(const Knock& knock) {
  // Unpredictable numbers; hardly blocks, as the pool is filled since boot.
  uint32_t random[2];
  if (getrandom(random, sizeof(random), 0) != sizeof(random)) {
    return failure_of(errno, "random number");
  }
  Segment segment;
  segment.source = raw_source_;
  segment.destination = host_.address();
  segment.source_port = static_cast<uint16_t>(kFirstDynamicPort + random[0] % kDynamicPorts);
  segment.destination_port = knock.port;
  segment.sequence = random[1];
  segment.flags = *flags_;
  const TcpHeader bytes = encode(segment);
  // A raw socket accepts no port in the address; it is in the header.
  const Endpoint to = at(0);
  if (sendto(raw_.get(), bytes.data(), bytes.size(), 0, to.get(), to.size()) ==
      static_cast<ssize_t>(bytes.size())) {
    return std::nullopt;
  }
  return failure_of(errno, to.to_string());
}

// Connecting a datagram socket looks up the route and sends nothing.
OrFailure<IpAddress> Knocker::own_address() const {
  const auto fd = open_socket(SOCK_DGRAM);
  if (!fd) return fd.error();
  const Endpoint to = at(1);
  if (connect(fd->get(), to.get(), to.size()) != 0) return failure_of(errno, to.to_string());
  sockaddr_storage own{};
  socklen_t size = sizeof(own);
  if (getsockname(fd->get(), reinterpret_cast<sockaddr*>(&own), &size) != 0) {
    return failure_of(errno, "own address");
  }
  return Endpoint(reinterpret_cast<const sockaddr*>(&own), size).address();
}

std::optional<Failure> Knocker::open_raw_socket() {
  raw_ = UniqueFd(socket(host_.family(), SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
  if (!raw_) return failure_of(errno, "--flags needs a raw socket (CAP_NET_RAW)");
  if (auto failure = bind(raw_.get())) return failure;
  const auto own = own_address();
  if (!own) return own.error();
  raw_source_ = *own;
  return std::nullopt;
}

}  // namespace knockd::client
