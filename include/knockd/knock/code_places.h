// SPDX-License-Identifier: MIT
// Sequences in which some places change with time: "7000,totp,totp,totp,totp" or
// "7000,400xx,401xx,402xx,403xx". Here is which places those are, and the ports of a code at them.
// How a secret becomes ports is said in code/code_ports.h; nothing here knows a secret.
#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "knockd/knock/sequence.h"

namespace knockd {

inline constexpr size_t kMostCodePlaces = 4;

// Computed places get ports from here up to 65535: above all that browsers refuse.
inline constexpr uint16_t kFirstComputedPort = 10081;
inline constexpr uint32_t kComputedPorts = 55455;

// A typed place has the hundred ports from its first one.
inline constexpr uint16_t kTypedPorts = 100;

// Which places of a sequence are those of a code. All of one sequence are of one kind.
struct CodePlaces {
  uint32_t places = 0;  // bit n: the n-th knock, from 0
  bool typed = false;   // else computed

  bool empty() const { return places == 0; }
  bool contains(size_t place) const { return (places >> place & 1) != 0; }
  size_t count() const { return static_cast<size_t>(std::popcount(places)); }
  // How many stand before this place: which of a code's ports belongs there.
  size_t before(size_t place) const {
    return static_cast<size_t>(std::popcount(places & ((uint64_t{1} << place) - 1)));
  }
  friend bool operator==(const CodePlaces&, const CodePlaces&) = default;
};

// A sequence with its places. There a tcp knock stands at the first port of its range.
struct CodedSequence {
  Sequence sequence;
  CodePlaces places;
};

// Whose code it is, and of which step: for the keeper, which alone knows the users.
struct CodeTag {
  uint16_t user = 0;  // in the order of the door's secrets
  uint16_t step = 0;  // its low 15 bits, and above them the address family: 0 IPv4, 1 IPv6
  friend auto operator<=>(const CodeTag&, const CodeTag&) = default;
};

// The ports of one user's code at the places, in order; 0 behind the last.
struct Code {
  std::array<uint16_t, kMostCodePlaces> ports{};
  CodeTag tag{};
  friend auto operator<=>(const Code&, const Code&) = default;
};

// Among sorted codes: the first that has the same ports as `like` at its first `places`, and
// `port` next. Nothing if none has.
std::optional<uint16_t> find_code(std::span<const Code> codes, const Code& like, size_t places,
                                  uint16_t port);
// The same without a next one.
std::optional<uint16_t> find_code(std::span<const Code> codes, const Code& like, size_t places);

// After so many wrong codes in a step a door takes no typed one until the next.
inline constexpr uint8_t kMostWrongCodes = 3;

// So many of one source, and it is no longer one that may try again because it is known.
inline constexpr uint8_t kMostGuesses = 16;

inline constexpr size_t kMostCodes = 65535;  // of a door

// Like parse_sequence(), and reads "totp" and "400xx" as well. At most kMostCodePlaces, of one
// kind, tcp; typed ones are three or four different hundreds behind a fixed port.
std::variant<CodedSequence, TextFault> parse_coded_sequence(std::string_view text);

// "7000,totp,totp": as parse_coded_sequence() reads it.
std::string to_string(const CodedSequence& sequence);

// The sequence with a code at its places.
Sequence with_code(const CodedSequence& sequence, const Code& code);

}  // namespace knockd
