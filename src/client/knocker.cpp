// SPDX-License-Identifier: MIT
#include "knockd/client/knocker.h"

#include <fcntl.h>
#include <net/if.h>
#include <sys/random.h>

#include <cerrno>
#include <cstring>

#include "knockd/base/text.h"
#include "knockd/client/failure.h"
#include "knockd/client/segment.h"

namespace knockd::client {
namespace {

[[noreturn]] void fail(int error, const std::string& what) {
  const bool forbidden = error == EPERM || error == EACCES;
  throw Failure(forbidden ? ExitStatus::kNoPermission : ExitStatus::kNotOpened,
                format("%s: %s", what.c_str(), std::strerror(error)));
}

// A number that nobody can foresee; never blocks for long, as the pool is filled since boot.
uint32_t random_number() {
  uint32_t number = 0;
  if (getrandom(&number, sizeof(number), 0) != sizeof(number)) fail(errno, "random number");
  return number;
}

// From the range of RFC 6335, 6 for short-lived ports.
uint16_t random_port() { return static_cast<uint16_t>(49152 + random_number() % 16384); }

}  // namespace

Knocker::Knocker(const Endpoint& host, const Options& options)
    : host_(host), interface_(options.interface), flags_(options.flags) {
  if (!interface_.empty()) {
    const unsigned index = if_nametoindex(interface_.c_str());
    if (index == 0) {
      throw Failure(ExitStatus::kUsage, format("interface \"%s\": there is none of this name",
                                               printable(interface_).c_str()));
    }
    host_ = host_.in_zone(index);
  }
  if (options.source) source_ = Endpoint(*options.source);
  if (flags_) {
    raw_ = UniqueFd(socket(host_.family(), SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
    if (!raw_) fail(errno, "--flags needs a raw socket (CAP_NET_RAW)");
    bind(raw_.get());
    raw_source_ = local_address().address();
  }
}

void Knocker::send(const Knock& knock) {
  if (knock.protocol == Protocol::kUdp) {
    send_datagram(knock);
  } else if (flags_) {
    send_segment(knock);
  } else {
    send_connection_attempt(knock);
  }
}

UniqueFd Knocker::open_socket(int type) const {
  UniqueFd fd(socket(host_.family(), type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) fail(errno, "socket");
  bind(fd.get());
  return fd;
}

void Knocker::bind(int fd) const {
  if (!interface_.empty() && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface_.c_str(),
                                        static_cast<socklen_t>(interface_.size())) != 0) {
    fail(errno, format("interface \"%s\"", printable(interface_).c_str()));
  }
  if (source_ && ::bind(fd, source_->get(), source_->size()) != 0) {
    const int error = errno;
    const std::string what = "source " + source_->to_string();
    if (error == EADDRNOTAVAIL) {
      throw Failure(ExitStatus::kUsage, what + ": not an address of this host");
    }
    fail(error, what);
  }
}

// Closing the socket ends the attempt: the system repeats nothing and answers what comes by RST.
void Knocker::send_connection_attempt(const Knock& knock) {
  const UniqueFd fd = open_socket(SOCK_STREAM);
  const Endpoint to = at(knock.port);
  if (connect(fd.get(), to.get(), to.size()) == 0) return;
  // On this host itself the refusal is there before connect() returns: the knock was heard.
  if (errno == EINPROGRESS || errno == ECONNREFUSED) return;
  fail(errno, to.to_string());
}

void Knocker::send_datagram(const Knock& knock) {
  const UniqueFd fd = open_socket(SOCK_DGRAM);
  const Endpoint to = at(knock.port);
  const uint8_t payload = 0;
  if (sendto(fd.get(), &payload, sizeof(payload), 0, to.get(), to.size()) != 1) {
    fail(errno, to.to_string());
  }
}

void Knocker::send_segment(const Knock& knock) {
  Segment segment;
  segment.source = raw_source_;
  segment.destination = host_.address();
  segment.source_port = random_port();
  segment.destination_port = knock.port;
  segment.sequence = random_number();
  segment.flags = *flags_;
  const TcpHeader bytes = encode(segment);
  // A raw socket takes no port in the address: the header has it.
  const Endpoint to = at(0);
  if (sendto(raw_.get(), bytes.data(), bytes.size(), 0, to.get(), to.size()) !=
      static_cast<ssize_t>(bytes.size())) {
    fail(errno, to.to_string());
  }
}

// The address that the routes choose for packets to the host. Connecting a datagram socket asks
// them and sends nothing.
Endpoint Knocker::local_address() const {
  const UniqueFd fd = open_socket(SOCK_DGRAM);
  const Endpoint to = at(1);
  if (connect(fd.get(), to.get(), to.size()) != 0) fail(errno, to.to_string());
  sockaddr_storage own{};
  socklen_t size = sizeof(own);
  if (getsockname(fd.get(), reinterpret_cast<sockaddr*>(&own), &size) != 0) {
    fail(errno, "own address");
  }
  return Endpoint(reinterpret_cast<const sockaddr*>(&own), size);
}

}  // namespace knockd::client
