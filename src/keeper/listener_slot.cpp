// SPDX-License-Identifier: MIT
#include "knockd/keeper/listener_slot.h"

#include <algorithm>

namespace knockd {
namespace {

// A listener that ends sooner than this continues the series of failures.
constexpr Duration kLongLife = std::chrono::minutes(1);

}  // namespace

void ListenerSlot::stop() {
  process.reset();
  listening = false;
  is_asked = false;
  dismissed = false;
}

void ListenerSlot::listens(Instant now) {
  listening = listened = true;
  listening_since = now;
  counted = now;
  settled = true;
}

void ListenerSlot::retry_later(Instant now, Duration longest) {
  if (listening && now - listening_since >= kLongLife) pause.reset();
  dismissed = true;
  listening = false;
  is_asked = false;
  retry_at = now + std::min(pause.next(), longest);
}

InterfaceReport ListenerSlot::report(Instant now) const {
  InterfaceReport report;
  report.name = interface;
  if (!listening) {
    report.waits_because = waiting_for.empty() ? "it is about to be listened to" : waiting_for;
  }
  report.addresses = addresses;
  report.link_type = name_of(link_type);
  report.filter_in_kernel = !filter_refused;
  report.packets = past.packets + counts.packets;
  report.lost = past.lost + counts.dropped;
  report.sources = counts.sources;
  report.age = now - counted;
  return report;
}

}  // namespace knockd
