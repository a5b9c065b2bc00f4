// SPDX-License-Identifier: MIT
#include "knockd/knock/sequence.h"

#include "knockd/base/text.h"

namespace knockd {
namespace {

size_t offset_in(std::string_view whole, std::string_view part) {
  return static_cast<size_t>(part.data() - whole.data());
}

}  // namespace

std::variant<Knock, TextFault> parse_knock(std::string_view text, Protocol unsaid) {
  Knock knock{0, unsaid};
  const size_t colon = text.find(':');
  const std::string_view port = trim(text.substr(0, colon));
  const auto number = parse_number(port, 65535);
  if (!number || *number == 0) {
    const size_t offset = port.empty() ? 0 : offset_in(text, port);
    return TextFault{
        offset, format("port \"%s\": expected a number from 1 to 65535", printable(port).c_str())};
  }
  knock.port = static_cast<uint16_t>(*number);
  if (colon != std::string_view::npos) {
    const std::string_view protocol = trim(text.substr(colon + 1));
    if (equals_ignoring_case(protocol, "udp")) {
      knock.protocol = Protocol::kUdp;
    } else if (equals_ignoring_case(protocol, "tcp")) {
      knock.protocol = Protocol::kTcp;
    } else {
      return TextFault{protocol.empty() ? colon : offset_in(text, protocol),
                       format("protocol \"%s\": expected tcp or udp", printable(protocol).c_str())};
    }
  }
  return knock;
}

std::string empty_sequence() {
  return "empty sequence: expected a list of ports like 7000,8000:udp,9000";
}

std::string too_many_knocks() {
  return format("too many knocks: expected at most %zu", kMaxKnocks);
}

std::variant<Sequence, TextFault> parse_sequence(std::string_view text, Protocol unsaid) {
  if (trim(text).empty()) return TextFault{0, empty_sequence()};
  Sequence sequence;
  for (const std::string_view part : split(text, ',')) {
    auto result = parse_knock(part, unsaid);
    if (auto* fault = std::get_if<TextFault>(&result)) {
      fault->offset += offset_in(text, part);
      return std::move(*fault);
    }
    if (sequence.size() == kMaxKnocks) {
      return TextFault{offset_in(text, part), too_many_knocks()};
    }
    sequence.push_back(std::get<Knock>(result));
  }
  return sequence;
}

std::string to_string(const Sequence& sequence) {
  std::string text;
  for (const Knock& knock : sequence) {
    if (!text.empty()) text += ',';
    text += format("%u%s", knock.port, knock.protocol == Protocol::kUdp ? ":udp" : "");
  }
  return text;
}

}  // namespace knockd
