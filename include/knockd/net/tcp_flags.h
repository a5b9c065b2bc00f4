// SPDX-License-Identifier: MIT
// The six classic TCP flags (RFC 9293, 3.1) and the masks of doors.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace knockd {

// The bits of byte 13 of the TCP header.
inline constexpr uint8_t kTcpFin = 0x01;
inline constexpr uint8_t kTcpSyn = 0x02;
inline constexpr uint8_t kTcpRst = 0x04;
inline constexpr uint8_t kTcpPsh = 0x08;
inline constexpr uint8_t kTcpAck = 0x10;
inline constexpr uint8_t kTcpUrg = 0x20;

struct TcpFlagName {
  uint8_t bit;
  const char* name;
};

// As configurations, log lines and clients write them.
inline constexpr std::array<TcpFlagName, 6> kTcpFlagNames = {{{kTcpFin, "fin"},
                                                              {kTcpSyn, "syn"},
                                                              {kTcpRst, "rst"},
                                                              {kTcpPsh, "psh"},
                                                              {kTcpAck, "ack"},
                                                              {kTcpUrg, "urg"}}};

// A door's condition on a segment's flags: all of `wanted` must be set and none of `excluded`.
struct FlagMask {
  uint8_t wanted = 0;
  uint8_t excluded = 0;

  constexpr bool passes(uint8_t flags) const {
    return (flags & wanted) == wanted && (flags & excluded) == 0;
  }
  friend bool operator==(const FlagMask&, const FlagMask&) = default;
};

// A new connection's first segment: SYN without ACK (RFC 9293, 3.5).
constexpr bool is_connection_attempt(uint8_t flags) {
  return (flags & (kTcpSyn | kTcpAck)) == kTcpSyn;
}

inline constexpr FlagMask kConnectionAttempt{kTcpSyn, kTcpAck};

// "syn,ack"; "no flags" without one.
std::string flags_text(uint8_t flags);

// "syn,!ack", as a configuration has it; "any" if every packet passes.
std::string to_string(const FlagMask& mask);

}  // namespace knockd
