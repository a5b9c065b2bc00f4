// SPDX-License-Identifier: MIT
// Sends knocks. A tcp knock is the first segment of a connection that is aborted at once, as the
// system's own TCP sends it; a udp knock is one zero byte. Flags other than SYN need a hand-made
// segment and the right to send it.
#pragma once

#include <optional>
#include <string>

#include "knockd/base/unique_fd.h"
#include "knockd/client/endpoint.h"
#include "knockd/client/failure.h"
#include "knockd/client/options.h"

namespace knockd::client {

class Knocker {
 public:
  // Uses the source, interface and flags of `options`.
  Knocker(const Endpoint& host, const Options& options);
  // Why those cannot be used.
  const std::optional<Failure>& failure() const { return failure_; }

  // Sends one packet, without waiting for an answer. Returns why it failed.
  std::optional<Failure> send(const Knock& knock);

  // A non-blocking socket bound to the chosen source and interface. `type` is SOCK_STREAM or
  // SOCK_DGRAM.
  OrFailure<UniqueFd> open_socket(int type) const;

  // The source address of packets to the host.
  OrFailure<IpAddress> own_address() const;

  // The host at this port.
  Endpoint at(uint16_t port) const { return host_.with_port(port); }

 private:
  std::optional<Failure> send_connection_attempt(const Knock& knock);
  std::optional<Failure> send_datagram(const Knock& knock);
  std::optional<Failure> send_segment(const Knock& knock);
  std::optional<Failure> open_raw_socket();
  std::optional<Failure> bind(int fd) const;

  std::optional<Failure> failure_;
  Endpoint host_;
  std::string interface_;
  std::optional<Endpoint> source_;
  std::optional<uint8_t> flags_;
  UniqueFd raw_;  // only with flags of our own
  IpAddress raw_source_;
};

}  // namespace knockd::client
