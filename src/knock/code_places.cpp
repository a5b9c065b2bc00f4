// SPDX-License-Identifier: MIT
#include "knockd/knock/code_places.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "knockd/base/text.h"

namespace knockd {
namespace {

constexpr uint64_t kLastHundred = 654;  // 65499; the next one has less than a hundred ports

struct CodePlace {
  bool typed = false;
  uint16_t port = kFirstComputedPort;  // the first of its range
};

// The place that "totp" or "400xx" means; nothing for other text.
std::optional<CodePlace> parse_name(std::string_view name) {
  if (equals_ignoring_case(name, "totp")) return CodePlace{};
  if (name.size() < 3 || !equals_ignoring_case(name.substr(name.size() - 2), "xx")) return {};
  const auto hundred = parse_number(name.substr(0, name.size() - 2), kLastHundred);
  return CodePlace{true, static_cast<uint16_t>(hundred.value_or(0) * kTypedPorts)};
}

// Why this place cannot be next; empty if it can.
std::string expected_instead(const CodePlace& place, std::string_view protocol,
                             const CodedSequence& before) {
  const auto& [sequence, places] = before;
  if (place.port == 0) return "1xx to 654xx";
  if (!protocol.empty() && !equals_ignoring_case(trim(protocol.substr(1)), "tcp")) return "tcp";
  if (!places.empty() && places.typed != place.typed) return "computed or typed places, not both";
  if (places.count() == kMostCodePlaces) return format("at most %zu such places", kMostCodePlaces);
  if (!place.typed) return {};
  if (sequence.size() == places.count()) return "a fixed port before it";
  for (size_t i = 0; i < sequence.size(); ++i) {
    if (places.contains(i) && sequence[i].port == place.port) return "another hundred";
  }
  return {};
}

// Reads the next part of a list and appends it.
std::optional<TextFault> read_next(std::string_view part, CodedSequence& coded) {
  if (coded.sequence.size() == kMaxKnocks) return TextFault{0, too_many_knocks()};
  const size_t colon = std::min(part.find(':'), part.size());
  const auto place = parse_name(trim(part.substr(0, colon)));
  if (!place) {
    auto knock = parse_knock(part);
    if (auto* fault = std::get_if<TextFault>(&knock)) return std::move(*fault);
    coded.sequence.push_back(std::get<Knock>(knock));
    return {};
  }
  const std::string expected = expected_instead(*place, part.substr(colon), coded);
  if (!expected.empty()) {
    return TextFault{0, "place " + ('"' + printable(trim(part))) + "\": expected " + expected};
  }
  coded.places.places |= uint32_t{1} << coded.sequence.size();
  coded.places.typed = place->typed;
  coded.sequence.push_back({place->port, Protocol::kTcp});
  return {};
}

}  // namespace

std::optional<uint16_t> find_code(std::span<const Code> codes, const Code& like, size_t places) {
  const auto order = [places](const Code& one, const Code& other) {
    const auto end = static_cast<ptrdiff_t>(places);
    return std::lexicographical_compare(one.ports.begin(), one.ports.begin() + end,
                                        other.ports.begin(), other.ports.begin() + end);
  };
  const auto found = std::lower_bound(codes.begin(), codes.end(), like, order);
  if (found == codes.end() || order(like, *found)) return {};
  return static_cast<uint16_t>(found - codes.begin());
}

std::optional<uint16_t> find_code(std::span<const Code> codes, const Code& like, size_t places,
                                  uint16_t port) {
  Code wanted = like;
  wanted.ports[places] = port;
  return find_code(codes, wanted, places + 1);
}

std::variant<CodedSequence, TextFault> parse_coded_sequence(std::string_view text) {
  if (trim(text).empty()) return TextFault{0, empty_sequence()};
  CodedSequence coded;
  for (const std::string_view part : split(text, ',')) {
    auto fault = read_next(part, coded);
    if (!fault) continue;
    fault->offset += static_cast<size_t>(part.data() - text.data());
    return std::move(*fault);
  }
  if (coded.places.typed && coded.places.count() < 3) {
    return TextFault{0, "typed places: expected three or four, for the pairs of 6 or 8 digits"};
  }
  return coded;
}

std::string to_string(const CodedSequence& coded) {
  std::string text;
  for (size_t i = 0; i < coded.sequence.size(); ++i) {
    if (i > 0) text += ',';
    const Knock& knock = coded.sequence[i];
    if (!coded.places.contains(i)) {
      text += to_string(Sequence{knock});
    } else {
      text += coded.places.typed ? format("%uxx", knock.port / kTypedPorts) : "totp";
    }
  }
  return text;
}

Sequence with_code(const CodedSequence& coded, const Code& code) {
  Sequence sequence = coded.sequence;
  for (size_t i = 0; i < sequence.size(); ++i) {
    if (coded.places.contains(i)) sequence[i].port = code.ports[coded.places.before(i)];
  }
  return sequence;
}

}  // namespace knockd
