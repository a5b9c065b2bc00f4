// fuzzes: message
// longest: 1200
// SPDX-License-Identifier: MIT
// The first byte is the number of doors, the rest a message, to either process. An accepted message
// must be within bounds and survive being sent again.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <variant>

#include "knockd/knock/event_text.h"
#include "knockd/message/messages.h"
#include "knockd/message/settings.h"

namespace {

using namespace knockd;

void require(bool condition) {
  if (!condition) std::abort();
}

// What the keeper does with a listener's message, where it depends on the message's values.
struct Use {
  size_t doors;

  void operator()(const KnockEvent& event) const {
    require(event.door < doors);
    const bool has_no_line = event.kind == EventKind::kOpen || event.kind == EventKind::kWrong ||
                             event.kind == EventKind::kWrongCode;
    require(has_no_line || !event_line(event, "door", source_text(event.source, "")).empty());
  }
  void operator()(const Explanation& explanation) const {
    require(explanation.door == kNoDoor || explanation.door < doors);
    require(!explanation_line(explanation, "door").empty());
  }
  void operator()(const Trouble& trouble) const {
    require(std::strlen(trouble.text.data()) < trouble.text.size());
  }
  template <typename Other>
  void operator()(const Other&) const {}
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const size_t doors = data[0];
  const std::span<const uint8_t> bytes(data + 1, size - 1);

  if (const auto message = decode_from_listener(bytes, doors)) {
    require(bytes.size() <= kLongestMessage);
    std::visit(Use{doors}, *message);
    require(decode_from_listener(encode(*message), doors) == message);
  }
  if (const auto settings = decode_settings(bytes)) {
    const auto again = encode(*settings);
    require(again && decode_settings(*again) == settings);
  }
  if (const auto message = decode_to_listener(bytes)) {
    require(bytes.size() <= kLongestMessage);
    const auto again = decode_to_listener(encode(*message));
    require(again && again->index() == message->index());
    if (const auto* part = std::get_if<AddressPart>(&*message)) {
      require(part->count <= part->addresses.size());
    }
    if (const auto* next = std::get_if<NextSequence>(&*message)) {
      require(next->count <= next->knocks.size());
    }
    if (const auto* part = std::get_if<CodesPart>(&*message)) {
      require(part->count <= part->codes.size());
    }
  }
  return 0;
}
