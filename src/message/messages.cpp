// SPDX-License-Identifier: MIT
#include "knockd/message/messages.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace knockd {
namespace {

// A message is a header of 8 bytes, the first of which is the alternative, and the alternative's
// bytes.
constexpr size_t kHeader = 8;

template <typename Message>
MessageBytes encode_any(const Message& message) {
  return std::visit(
      [&](const auto& body) {
        using Body = std::decay_t<decltype(body)>;
        static_assert(std::is_trivially_copyable_v<Body>);
        MessageBytes bytes(kHeader + sizeof(Body));
        bytes[0] = static_cast<uint8_t>(message.index());
        std::memcpy(bytes.data() + kHeader, &body, sizeof(Body));
        return bytes;
      },
      message);
}

template <typename Message, size_t kIndex = 0>
std::optional<Message> decode_any(std::span<const uint8_t> bytes) {
  if constexpr (kIndex == std::variant_size_v<Message>) {
    return std::nullopt;
  } else {
    if (bytes.size() < kHeader) return std::nullopt;
    if (bytes[0] != kIndex) return decode_any<Message, kIndex + 1>(bytes);
    using Body = std::variant_alternative_t<kIndex, Message>;
    if (bytes.size() != kHeader + sizeof(Body)) return std::nullopt;
    Body body;
    std::memcpy(&body, bytes.data() + kHeader, sizeof(Body));
    return body;
  }
}

template <typename Enum>
bool in_range(Enum value, Enum last) {
  return static_cast<uint8_t>(value) <= static_cast<uint8_t>(last);
}

bool is_protocol(Protocol protocol) {
  return protocol == Protocol::kTcp || protocol == Protocol::kUdp;
}

struct Sound {
  size_t doors;

  bool operator()(const Listening& message) const {
    return message.filter_in_kernel <= 1 && in_range(message.link_type, LinkType::kLoopback);
  }
  bool operator()(const KnockEvent& event) const {
    return in_range(event.kind, EventKind::kWrongCode) && event.door < doors && event.stage >= 1 &&
           event.stage <= kMaxKnocks && event.source.is_unicast() &&
           event.wrong_codes_untold <= 1 && event.guesses <= 1 && event.took >= Duration::zero() &&
           is_protocol(event.came.protocol);
  }
  bool operator()(const Explanation& explanation) const {
    return in_range(explanation.verdict, Verdict::kScanCounted) &&
           is_protocol(explanation.packet.protocol) &&
           (explanation.door == kNoDoor || explanation.door < doors) &&
           explanation.stage <= kMaxKnocks && explanation.packet.source.is_unicast();
  }
  bool operator()(const LeftOut& left_out) const {
    return left_out.lines != 0 || left_out.knocks != 0;
  }
  bool operator()(const Trouble& trouble) const {
    return in_range(trouble.kind, CaptureTrouble::kOther) && trouble.text.back() == '\0';
  }
  bool operator()(const ListenerStatus&) const { return true; }
  bool operator()(const DoorCounts& counts) const {
    return counts.count >= 1 && counts.count <= DoorCounts::kMost &&
           std::all_of(counts.doors.begin(),
                       counts.doors.begin() + static_cast<ptrdiff_t>(counts.count),
                       [this](const DoorCount& one) { return one.door < doors; });
  }

  bool operator()(const AddressPart& part) const {
    return part.first <= 1 && part.last <= 1 && part.count <= AddressPart::kMost;
  }
  bool operator()(const NextSequence& next) const {
    return next.count <= kMaxKnocks &&
           std::all_of(
               next.knocks.begin(), next.knocks.begin() + next.count,
               [](const Knock& knock) { return knock.port != 0 && is_protocol(knock.protocol); });
  }
  bool operator()(const CodesPart& part) const {
    return part.first <= 1 && part.last <= 1 && part.count <= CodesPart::kMost;
  }
  bool operator()(const StatusRequest&) const { return true; }
};

template <typename Message>
std::optional<Message> sound(std::optional<Message> message, size_t doors) {
  if (message && !std::visit(Sound{doors}, *message)) return std::nullopt;
  return message;
}

}  // namespace

std::vector<CodesPart> codes_parts(const std::vector<DoorCodes>& codes) {
  std::vector<CodesPart> parts;
  for (const DoorCodes& door : codes) {
    const CodesPart empty{.door = door.door, .generation = door.generation};
    parts.push_back(empty);
    parts.back().first = 1;
    for (const Code& code : door.codes) {
      if (parts.back().count == CodesPart::kMost) parts.push_back(empty);
      parts.back().codes[parts.back().count++] = code;
    }
  }
  if (!parts.empty()) parts.back().last = 1;
  return parts;
}

std::vector<AddressPart> address_parts(const std::vector<IpAddress>& addresses) {
  std::vector<AddressPart> parts(1);
  parts.front().first = 1;
  for (const IpAddress& address : addresses) {
    if (parts.back().count == AddressPart::kMost) parts.emplace_back();
    AddressPart& part = parts.back();
    part.addresses[part.count++] = address;
  }
  parts.back().last = 1;
  return parts;
}

MessageBytes encode(const FromListener& message) { return encode_any(message); }
MessageBytes encode(const ToListener& message) { return encode_any(message); }

std::optional<FromListener> decode_from_listener(std::span<const uint8_t> bytes, size_t doors) {
  return sound(decode_any<FromListener>(bytes), doors);
}

std::optional<ToListener> decode_to_listener(std::span<const uint8_t> bytes) {
  return sound(decode_any<ToListener>(bytes), 0);
}

}  // namespace knockd
