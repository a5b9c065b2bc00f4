// SPDX-License-Identifier: MIT
#include "knockd/knock/event_text.h"

#include "knockd/base/text.h"
#include "knockd/net/tcp_flags.h"

namespace knockd {
namespace {

std::string endpoint(const IpAddress& address, uint16_t port) {
  return format(address.is_v4() ? "%s:%u" : "[%s]:%u", address.to_string().c_str(), port);
}

std::string flags_text(uint8_t flags) {
  std::string text;
  for (const auto& [bit, name] : kTcpFlagNames) {
    if ((flags & bit) == 0) continue;
    if (!text.empty()) text += ',';
    text += name;
  }
  return text.empty() ? "no flags" : text;
}

std::string reason(const Explanation& explanation, const char* door) {
  const unsigned stage = explanation.stage;
  switch (explanation.verdict) {
    case Verdict::kNotAddressed:
      return "to an address at which no door is";
    case Verdict::kPortOfNoDoor:
      return "port of no door";
    case Verdict::kFlagsRefused:
      return explanation.door == kNoDoor ? "a door has this port, but not with these tcp flags"
                                         : format("%s: these tcp flags do not count here", door);
    case Verdict::kRetransmission:
      return "retransmission of a knock accepted before, ignored";
    case Verdict::kAccepted:
      return format("%s: knock %u accepted", door, stage);
    case Verdict::kRepeated:
      return format("%s: knock %u repeated, ignored", door, stage);
    case Verdict::kWrongKnock:
      return format("%s: wrong knock after stage %u, attempt over", door, stage);
    case Verdict::kCoolingDown:
      return format("%s: cooling down, ignored", door);
    case Verdict::kFirstOfNone:
      return "a knock, but the first of no door, and no attempt waits for it";
    case Verdict::kScanCounted:
      return format("%s: no knock of this door, counted as a port scan", door);
  }
  return "";
}

}  // namespace

std::string source_text(const IpAddress& source, std::string_view name) {
  std::string text = source.to_string();
  if (!name.empty()) {
    text += " (";
    text += name;
    text += ')';
  }
  return text;
}

std::vector<std::string> event_lines(const KnockEvent& event, std::string_view door,
                                     std::string_view source) {
  std::string prefix(source);
  prefix += ": ";
  prefix += door;
  prefix += ": ";
  const unsigned stage = event.stage;
  switch (event.kind) {
    case EventKind::kStage:
      return {prefix + format("Stage %u", stage)};
    case EventKind::kOpen:
      return {prefix + format("Stage %u", stage), prefix + "OPEN SESAME"};
    case EventKind::kTimeout:
      return {prefix + format("sequence timeout (stage %u)", stage)};
    case EventKind::kScan:
      return {prefix + "port scan, knock discarded"};
  }
  return {};
}

std::string no_more_sequences_line(std::string_view door, std::string_view file) {
  std::string text(door);
  text += ": no more sequences in the one time sequences file ";
  text += file;
  text += ", door disabled";
  return text;
}

std::string explanation_line(const Explanation& explanation, std::string_view door) {
  const Packet& packet = explanation.packet;
  const std::string name(door);
  std::string text =
      format("%s: %s -> %s %u bytes", protocol_name(packet.protocol),
             endpoint(packet.source, packet.source_port).c_str(),
             endpoint(packet.destination, packet.destination_port).c_str(), packet.length);
  if (packet.protocol == Protocol::kTcp) text += ", " + flags_text(packet.tcp_flags);
  return text + ": " + reason(explanation, name.c_str());
}

}  // namespace knockd
