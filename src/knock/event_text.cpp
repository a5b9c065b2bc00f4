// SPDX-License-Identifier: MIT
#include "knockd/knock/event_text.h"

#include "knockd/base/text.h"
#include "knockd/net/tcp_flags.h"

namespace knockd {
namespace {

std::string endpoint(const IpAddress& address, uint16_t port) {
  return format(address.is_v4() ? "%s:%u" : "[%s]:%u", address.to_string().c_str(), port);
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

std::string addresses_text(const std::vector<IpAddress>& addresses) {
  constexpr size_t kMostShown = 16;
  std::vector<std::string> texts;
  for (const IpAddress& address : addresses) {
    if (texts.size() == kMostShown) {
      texts.push_back(format("and %zu more", addresses.size() - kMostShown));
      break;
    }
    texts.push_back(address.to_string());
  }
  return texts.empty() ? "no address" : join(texts, ", ");
}

std::string source_text(const IpAddress& source, std::string_view name) {
  std::string text = source.to_string();
  if (!name.empty()) {
    text += " (";
    text += name;
    text += ')';
  }
  return text;
}

std::string event_line(const KnockEvent& event, std::string_view door, std::string_view source) {
  std::string prefix(source);
  prefix += ": ";
  prefix += door;
  prefix += ": ";
  const unsigned stage = event.stage;
  switch (event.kind) {
    case EventKind::kStage:
      return prefix + stage_text(stage);
    case EventKind::kTimeout:
      return prefix + format("sequence timeout (stage %u)", stage);
    case EventKind::kScan:
      return prefix + "port scan, knock discarded";
    case EventKind::kOpen:  // its opening logs the outcome
    case EventKind::kWrongCode:
    case EventKind::kWrong:  // anyone can cause these: only the status counts them
      break;
  }
  return "";
}

std::string stage_text(unsigned stage) { return format("Stage %u", stage); }
std::string too_many_wrong_codes_line(std::string_view door) {
  return std::string(door) + format(": %u wrong codes, no typed code is taken before the next step",
                                    unsigned{kMostWrongCodes});
}

// `text`: "code of alice, refused: it, or a later one, was used before"
std::string code_line(std::string_view source, std::string_view door, std::string_view text) {
  return std::string(source) + ": " + std::string(door) + ": " + std::string(text);
}

std::string knock_of_text(std::string_view user) { return "knock of " + std::string(user); }
std::string open_sesame_text() { return "OPEN SESAME"; }
std::string already_open_text(bool extended) {
  return extended ? "already open, time extended" : "already open";
}
std::string command_timeout_text() { return "command timeout"; }
std::string shutting_down_text() { return "closing, knockd is shutting down"; }
std::string is_open_text(const Terms& terms, const IpAddress& source, Duration left) {
  const uint8_t prefix = terms.admission ? terms.admission->prefix : terms.prefix;
  std::string text = terms.door + " is open to " + network_text(source, prefix);
  if (terms.stop.empty() && !terms.admission) return text;
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left).count();
  return text + format(" for %lld s", static_cast<long long>(seconds));
}
std::string opened_by_hand_text(uint32_t user) { return format("opened by hand (uid %u)", user); }
std::string closed_by_hand_text(uint32_t user) { return format("closed by hand (uid %u)", user); }
std::string opened_by_gateway_text(std::string_view gateway, std::string_view user) {
  std::string text = "opened by gateway " + std::string(gateway);
  return user.empty() ? text : text + " for " + std::string(user);
}
std::string closed_by_gateway_text(std::string_view gateway) {
  return "closed by gateway " + std::string(gateway);
}
std::string start_ended_text() { return "the start command has ended"; }
std::string still_running_text() {
  return "the start command is still running; running the stop command";
}

std::string too_many_open_text(size_t most) {
  return counted(most, "opening") + (most == 1 ? " is" : " are") + " open (Max_Open)";
}

std::string too_many_waiting_text(size_t most) {
  return counted(most, "command") + (most == 1 ? " waits" : " wait");
}

std::string too_many_of_source_text() { return "too many commands of one source wait"; }

std::string refused_line(std::string_view door, uint64_t knocks, std::string_view why) {
  return std::string(door) + ": " + counted(knocks, "knock") + " refused: " + std::string(why);
}

std::string running_line(std::string_view door, std::string_view command) {
  return std::string(door) + ": running command: " + std::string(command);
}

std::string would_run_line(std::string_view door, std::string_view command) {
  return std::string(door) + ": would run: " + std::string(command);
}

namespace {

std::string shut_port_text(const Knock& port) {
  return format("port %s%u", port.protocol == Protocol::kUdp ? "udp " : "", port.port);
}

// "tcp 22 to 192.0.2.7"
std::string admission_text(const OpenDoor& door) {
  return admitted_text(*door.admission) + " to " +
         network_text(door.source, door.admission->prefix);
}

}  // namespace

std::string not_shut_text(const Knock& port, std::string_view reason) {
  return shut_port_text(port) + " is NOT shut: " + std::string(reason);
}

std::string no_longer_shut_text(const Knock& port) {
  return shut_port_text(port) + " is no longer shut";
}

std::string left_shut_text(const Knock& port) {
  return shut_port_text(port) +
         " stays shut for all by a table of an earlier run; knockd --unshut removes it";
}

std::string opened_line(const OpenDoor& door, Duration open_for, bool would) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(open_for).count();
  return door.door + (would ? ": would open " : ": opened ") + admission_text(door) +
         format(" for %lld s", static_cast<long long>(seconds));
}

std::string closed_line(const OpenDoor& door, bool would) {
  return door.door + (would ? ": would close " : ": closed ") + admission_text(door);
}

std::string not_opened_line(const OpenDoor& door, std::string_view reason) {
  return door.door + ": cannot open " + admission_text(door) + ": " + std::string(reason);
}

std::string not_closed_line(const OpenDoor& door, std::string_view reason) {
  return door.door + ": cannot close " + admission_text(door) +
         " before its time is over: " + std::string(reason);
}

std::string could_not_run_line(std::string_view door, std::string_view reason, bool again) {
  return std::string(door) + ": command could not be started: " + std::string(reason) +
         (again ? "; trying again" : "");
}

std::string taken_up_line(size_t doors) {
  return counted(doors, "door") + (doors == 1 ? " is" : " are") + " open since an earlier run";
}

std::string stuck_line(std::string_view door, size_t running, Duration waited) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(waited).count();
  return std::string(door) + format(
                                 ": command waits: %zu others are running, and none has ended "
                                 "for %lld s",
                                 running, static_cast<long long>(seconds));
}

std::string left_out_line(uint64_t lines, uint32_t rate) {
  const std::string left_out = counted(lines, "log line") + " left out, ";
  if (rate == 0) return left_out + "too many at once";
  return left_out + format("more than %u a second (Log_Rate)", rate);
}

std::string skipped_sequences_line(std::string_view door, size_t count) {
  return std::string(door) +
         format(": one-time sequences that were skipped: %zu, marked as used as well", count);
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
