// fuzzes: fleet
// longest: 2000
// SPDX-License-Identifier: MIT
// A conversation of a gateway with its broker and daemon: lines "TOPIC PAYLOAD", and those of the
// daemon, which begin with "{". An accepted message must be written as it was read. The result must
// open only the shared door, for a single host, no longer than the door allows.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <variant>

#include "knockd/base/name.h"
#include "knockd/base/text.h"
#include "knockd/fleet/daemon_text.h"
#include "knockd/fleet/fleet_config.h"
#include "knockd/fleet/ledger.h"
#include "knockd/fleet/message.h"
#include "knockd/fleet/topic.h"

namespace {

using namespace knockd;

constexpr Duration kOpenFor = std::chrono::seconds(600);
const std::string kFleet = "f";
const Clocks kNow{Instant(std::chrono::hours(1)), std::chrono::seconds(1766000000)};

void require(bool condition) {
  if (!condition) std::abort();
}

template <typename Message, typename Parse>
void check_round_trip(std::string_view payload, Parse parse) {
  const std::optional<Message> message = parse(payload);
  if (message) require(parse(to_json(*message)) == message);
}

struct Check {
  void operator()(const Publish& publish) const {
    require(publish.topic.gateway == "us");
    const std::string text = to_text(kFleet, publish.topic);
    require(parse_topic(kFleet, text) == publish.topic);
    require(text.find_first_of("+#") == text.npos);
    require(publish.payload.size() <= kLongestMessage);
    require(publish.payload.empty() || publish.expiry > 0);
  }
  void operator()(const FleetOpen& open) const {
    require(open.place.door == "ssh" && open.place.address.is_unicast());
    require(open.end <= kNow.boot + kOpenFor || open.gateway == "us");
    require(is_name(open.gateway, kLongestGateway));
    const auto line = request_text(open, kNow.boot);
    require(!line || split(*line, '\t').size() == (open.user.empty() ? 5u : 6u));
  }
  void operator()(const FleetClose& close) const {
    require(close.place.door == "ssh" && is_name(close.gateway, kLongestGateway));
  }
  void operator()(const FleetUsed& used) const {
    require(used.secret.size() == 16 && is_name(used.gateway, kLongestGateway));
    require(used.code.step <= step_at(1766000000) + 2);
  }
  void operator()(const FleetShare&) const {}
  void operator()(const FleetShared&) const {}
  void operator()(const Say& say) const {
    for (const char c : say.text) require(c >= 0x20 && c < 0x7f);
  }
};

void hear(Ledger& ledger, std::string_view line) {
  const size_t blank = std::min(line.find(' '), line.size());
  const auto topic = parse_topic(kFleet, line.substr(0, blank));
  const std::string_view payload = blank < line.size() ? line.substr(blank + 1) : "";
  check_round_trip<OpenMessage>(payload, parse_open_message);
  check_round_trip<CloseMessage>(payload, parse_close_message);
  check_round_trip<CodeMessage>(payload, parse_code_message);
  if (!topic) return ledger.received_garbage(line, kNow);
  require(to_text(kFleet, *topic) == line.substr(0, blank));
  ledger.received(*topic, payload, std::chrono::seconds(payload.size()), kNow);
}

void follow(Ledger& ledger, std::string_view line) {
  if (const auto status = parse_status(line)) return ledger.daemon_is(*status, kNow);
  const DaemonEvent event = parse_event(line);
  if (const auto* opening = std::get_if<LocalOpening>(&event)) ledger.opened(*opening, kNow);
  if (const auto* closed = std::get_if<DaemonClosed>(&event)) {
    ledger.closed(closed->place, closed->id, closed->by, kNow);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)parse_fleet_config(text, "f", "host");
  Ledger ledger("us", {"ssh"});
  ledger.daemon_is({{{"ssh", {kOpenFor, true}}}, {}}, kNow);
  ledger.broker_connected();
  for (const std::string_view line : split(text, '\n')) {
    if (line == "synced") {
      ledger.broker_synced(kNow);
    } else if (line == "lost") {
      ledger.broker_lost();
      ledger.broker_connected();
    } else if (line.starts_with('{')) {
      follow(ledger, line);
      // A status may differ in its terms.
      ledger.daemon_is({{{"ssh", {kOpenFor, true}}}, {}}, kNow);
      ledger.take_actions();
    } else {
      hear(ledger, line);
    }
    for (const FleetAction& action : ledger.take_actions()) std::visit(Check{}, action);
  }
  ledger.time_passed({kNow.boot + std::chrono::hours(24 * 30), kNow.wall});
  require(ledger.messages_kept() == 0);
  return 0;
}
