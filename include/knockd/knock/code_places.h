// SPDX-License-Identifier: MIT
// Sequences in which some places change with time: "7000,totp,totp,totp,totp" or
// "7000,400xx,401xx,402xx,403xx". This file has those places and the ports of a code at them.
// code/code_ports.h derives ports from a secret; nothing here uses secrets.
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

// Computed places get ports from here up to 65535, above all ports that browsers refuse.
inline constexpr uint16_t kFirstComputedPort = 10081;
inline constexpr uint32_t kComputedPorts = 55455;

// A typed place has the hundred ports from its first one.
inline constexpr uint16_t kTypedPorts = 100;

// The places of a sequence that belong to a code. All of one sequence are of one kind.
struct CodePlaces {
  uint32_t places = 0;  // bit n: the n-th knock, from 0
  bool typed = false;   // else computed

  bool empty() const { return places == 0; }
  bool contains(size_t place) const { return (places >> place & 1) != 0; }
  size_t count() const { return static_cast<size_t>(std::popcount(places)); }
  // The number of code places before this one: the index of its port in a code.
  size_t before(size_t place) const {
    return static_cast<size_t>(std::popcount(places & ((uint64_t{1} << place) - 1)));
  }
  friend bool operator==(const CodePlaces&, const CodePlaces&) = default;
};

// A sequence with its places. At a place it has a tcp knock with the first port of the range.
struct CodedSequence {
  Sequence sequence;
  CodePlaces places;
};

// The user and step of a code; only the keeper knows the users.
struct CodeTag {
  uint16_t user = 0;  // in the order of the door's secrets
  uint16_t step = 0;  // the low 15 bits; the top bit is the address family: 0 IPv4, 1 IPv6
  friend auto operator<=>(const CodeTag&, const CodeTag&) = default;
};

// The ports of one user's code at the places, in order; 0 after the last.
struct Code {
  std::array<uint16_t, kMostCodePlaces> ports{};
  CodeTag tag{};
  friend auto operator<=>(const Code&, const Code&) = default;
};

// The first of the sorted codes that has the same ports as `like` at its first `places`, and `port`
// next. Nothing if there is none.
std::optional<uint16_t> find_code(std::span<const Code> codes, const Code& like, size_t places,
                                  uint16_t port);
// The same without a next port.
std::optional<uint16_t> find_code(std::span<const Code> codes, const Code& like, size_t places);

// After this many wrong codes in a step a door accepts no typed code until the next step.
inline constexpr uint8_t kMostWrongCodes = 3;

// After this many from one source, being known no longer lets that source try again.
inline constexpr uint8_t kMostGuesses = 16;

inline constexpr size_t kMostCodes = 65535;  // of a door

// Like parse_sequence(), but also reads "totp" and "400xx". At most kMostCodePlaces places, of one
// kind, tcp; typed ones are three or four different hundreds after a fixed port.
std::variant<CodedSequence, TextFault> parse_coded_sequence(std::string_view text);

// "7000,totp,totp": as parse_coded_sequence() reads it.
std::string to_string(const CodedSequence& sequence);

// The sequence with a code at its places.
Sequence with_code(const CodedSequence& sequence, const Code& code);

}  // namespace knockd
