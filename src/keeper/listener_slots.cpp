// SPDX-License-Identifier: MIT
#include "knockd/keeper/listener_slots.h"

#include <algorithm>
#include <utility>

#include "knockd/base/spawn.h"
#include "knockd/base/text.h"
#include "knockd/knock/event_text.h"

namespace knockd {
namespace {

// A device that went down may come back soon, and knocks at it should not be missed for long.
constexpr Duration kLongestPauseOfDevice = std::chrono::seconds(1);
constexpr Duration kBetweenLostReports = std::chrono::minutes(1);
// How long a listener may take for its last counts.
constexpr Duration kLongestFarewell = std::chrono::seconds(1);

}  // namespace

ListenerSlots::ListenerSlots(EventLoop& loop, Log& log, ListenerEntry entry, Owner& owner)
    : loop_(loop),
      log_(log),
      entry_(entry),
      owner_(owner),
      retry_(loop, [this] { update(); }),
      picture_(loop, [this] { follow_network(); }),
      lost_(loop, [this] { report_lost_knocks(); }),
      farewell_(loop, [this] { send_off(); }) {}

ListenerSlots::~ListenerSlots() = default;

Status ListenerSlots::begin() {
  if (Status begun = monitor_.begin(); !begun) return begun;
  loop_.watch(monitor_.fd(), EPOLLIN, [this] { follow_network(); });
  return {};
}

void ListenerSlots::send(const ToListener& message) {
  for (const auto& slot : slots_) {
    if (slot->process) slot->process->send(message);
  }
}

bool ListenerSlots::ask() {
  bool is_any = false;
  for (const auto& slot : slots_) {
    if (!slot->listening) continue;
    // Avoids thousands of requests waiting for a suspended listener.
    if (!std::exchange(slot->is_asked, true)) slot->process->send(StatusRequest());
    is_any = true;
  }
  return is_any;
}

std::vector<InterfaceReport> ListenerSlots::report() const {
  std::vector<InterfaceReport> reports;
  for (const auto& slot : slots_) reports.push_back(slot->report(loop_.now()));
  return reports;
}

void ListenerSlots::reaped(pid_t pid, int status) {
  for (const auto& slot : slots_) {
    if (slot->process && slot->process->pid() == pid) slot->process->reaped(status);
  }
  for (const Leaving& leaving : leaving_) {
    if (leaving.process->pid() == pid) leaving.process->reaped(status);
  }
}

// --- What listeners report -----------------------------------------------------------------------

void ListenerSlots::on_message(ListenerProcess& from, const FromListener& message) {
  if (Leaving* const leaving = leaving_of(from)) return on_last_words(*leaving, message);
  Slot* const slot = slot_of(from);
  if (slot == nullptr || (slot->dismissed && !is_answer(message))) return;
  std::visit([&](const auto& body) { on_report(*slot, body); }, message);
}

void ListenerSlots::on_gone(ListenerProcess& from, int status) {
  Slot* const slot = slot_of(from);
  if (slot == nullptr || slot->dismissed || stopped_) return;
  const bool listened = slot->listening;
  retry_later(*slot);
  if (slot->settled && !slot->pause.is_worth_a_line()) return;
  if (from.misbehaved()) {
    return log_.error(format("%s: the listener sent an invalid message: killed, starting another",
                             slot->interface.c_str()));
  }
  if (!listened) {
    return wait_for(*slot, format("%s: the listener ended before it listened (%s); trying again",
                                  slot->interface.c_str(), end_text(status).c_str()));
  }
  log_.warning(end_line(slot->interface + ": the listener", status, slot->pause,
                        *slot->retry_at - loop_.now()));
}

void ListenerSlots::on_report(Slot& slot, const Listening& message) {
  if (message.filter_in_kernel == 0 && !slot.filter_refused) {
    log_.error(
        format("%s: the kernel refused the filter: every packet is looked at here, which "
               "costs much time (see net.core.optmem_max)",
               slot.interface.c_str()));
  }
  slot.filter_refused = message.filter_in_kernel == 0;
  slot.link_type = message.link_type;
  if (slot.listening) return;  // an answer to new addresses, logged when they were sent
  slot.listens(loop_.now());
  owner_.on_interface(slot.interface, "");
  const bool was_waited_for = !std::exchange(slot.waiting_for, {}).empty();
  if (announces_ && (was_waited_for || slot.pause.is_worth_a_line())) {
    log_.notice(format("%s: now listening on %s", slot.interface.c_str(),
                       addresses_text(slot.addresses).c_str()));
  }
  report_if_settled();
}

void ListenerSlots::on_report(Slot& slot, const KnockEvent& event) {
  if (!is_echo(slot, event)) owner_.on_event(event, interface_name(slot, event));
}

void ListenerSlots::on_report(Slot&, const Explanation& explanation) {
  owner_.on_explanation(explanation);
}

void ListenerSlots::on_report(Slot& slot, const LeftOut& left_out) {
  slot.lost_knocks += left_out.knocks;
  if (slot.lost_knocks != 0 && !lost_.when()) lost_.set(loop_.now());
  if (left_out.lines != 0) owner_.on_lines_left_out(left_out.lines);
}

void ListenerSlots::on_report(Slot& slot, const Trouble& trouble) {
  const std::string text = printable(trouble.text.data());
  switch (trouble.kind) {
    case CaptureTrouble::kNoPermission:
      return fail(format("%s: no right to capture packets: run as root or with CAP_NET_RAW (%s)",
                         slot.interface.c_str(), text.c_str()));
    case CaptureTrouble::kSandbox:
      return fail(format("%s: the listener could not give up its rights: %s",
                         slot.interface.c_str(), text.c_str()));
    case CaptureTrouble::kNoDevice:
    case CaptureTrouble::kDown:
      // The interface monitor is about to report it, or has already.
      return retry_later(slot, kLongestPauseOfDevice);
    case CaptureTrouble::kLinkType:
    case CaptureTrouble::kOther:
      break;
  }
  wait_for(slot,
           format("cannot listen on %s: %s; trying again", slot.interface.c_str(), text.c_str()));
  retry_later(slot);
}

void ListenerSlots::on_report(Slot& slot, const ListenerStatus& status) {
  slot.counts = status;
  slot.counted = loop_.now();
  slot.is_asked = false;
  if (std::ranges::none_of(slots_, [](const auto& one) { return one->is_asked; })) {
    owner_.on_counted();
  }
}

void ListenerSlots::on_report(Slot& slot, const DoorCounts& counts) {
  add_counts(slot.doors, counts);
}

void ListenerSlots::add_counts(const std::vector<std::string>& doors, const DoorCounts& counts) {
  for (size_t i = 0; i < counts.count; ++i) {
    const DoorCount& count = counts.doors[i];
    if (count.door < doors.size()) owner_.on_count(doors[count.door], count);
  }
}

// Of what it still sends only the counts matter.
void ListenerSlots::on_last_words(Leaving& leaving, const FromListener& message) {
  if (const auto* const counts = std::get_if<DoorCounts>(&message)) {
    add_counts(leaving.doors, *counts);
  } else if (const auto* const status = std::get_if<ListenerStatus>(&message)) {
    const auto slot = std::ranges::find(slots_, leaving.interface,
                                        [](const auto& one) { return one->interface; });
    if (slot != slots_.end()) {
      (*slot)->past.packets += status->packets - leaving.counts.packets;
      (*slot)->past.lost += status->dropped - leaving.counts.dropped;
    }
    leaving.end = loop_.now();
    farewell_.set(loop_.now());  // not from within its own call
  }
}

void ListenerSlots::send_off() {
  std::erase_if(leaving_, [&](const Leaving& leaving) {
    return leaving.end <= loop_.now() || !leaving.process->is_there();
  });
  std::optional<Instant> next;
  for (const Leaving& leaving : leaving_) next = std::min(next.value_or(leaving.end), leaving.end);
  farewell_.set(next);
}

void ListenerSlots::report_lost_knocks() {
  for (const auto& slot : slots_) {
    if (slot->lost_knocks == 0) continue;
    const Instant due = slot->lost_reported + kBetweenLostReports;
    if (slot->lost_reported != Instant{} && loop_.now() < due) {
      if (!lost_.when()) lost_.set(due);
      continue;
    }
    log_.warning(slot->interface + ": " +
                 counted(std::exchange(slot->lost_knocks, 0), "complete knock") +
                 " lost, too many at once");
    slot->lost_reported = loop_.now();
  }
}

// --- Interfaces ----------------------------------------------------------------------------------

void ListenerSlots::choose(const std::vector<std::string>& named, bool only_v4) {
  wanted_ = {named.empty() ? std::vector{interface_to_choose()} : named, only_v4};
  if (named.empty()) {
    log_.info(format("no interface is named, choosing %s", wanted_.names().front().c_str()));
  }
}

std::string ListenerSlots::interface_to_choose() {
  constexpr char kUsual[] = "eth0";
  if (monitor_.find(kUsual) != nullptr) return kUsual;
  const auto device = default_route_interface();
  if (!device) log_.warning(device.error().text);
  return device && *device ? **device : kUsual;
}

void ListenerSlots::follow_network() {
  if (monitor_.read()) {
    owner_.on_network();
    update();
  }
  if (monitor_.is_stale()) picture_.set(loop_.now() + Slot::kFirstPause);
}

void ListenerSlots::renew(bool all) {
  for (auto& slot : slots_) {
    if (!all && slot->listening) {
      slot->doors = owner_.door_names();
      continue;
    }
    let_leave(*slot);
    auto fresh = std::make_unique<Slot>();
    fresh->interface = slot->interface;
    fresh->past = slot->past;
    slot = std::move(fresh);
  }
}

void ListenerSlots::update() {
  if (stopped_) return;
  std::erase_if(slots_, [&](const auto& slot) {
    if (wanted_.contain(slot->interface)) return false;
    let_leave(*slot);
    return true;
  });
  for (const std::string& name : wanted_.names()) {
    const bool known = std::any_of(slots_.begin(), slots_.end(),
                                   [&](const auto& slot) { return slot->interface == name; });
    if (known) continue;
    slots_.push_back(std::make_unique<Slot>());
    slots_.back()->interface = name;
  }
  std::optional<Instant> next;
  for (const auto& slot : slots_) {
    update(*slot);
    if (slot->retry_at && (!next || *slot->retry_at < *next)) next = slot->retry_at;
  }
  retry_.set(next);
  report_if_settled();
}

void ListenerSlots::update(Slot& slot) {
  if (slot.dismissed) stop_listener(slot);
  const bool any = slot.interface == kAnyInterface;
  const Interface* const found = any ? nullptr : monitor_.find(slot.interface);
  if (!any && (found == nullptr || !found->up)) {
    stop_listener(slot);
    slot.retry_at.reset();
    if (found != nullptr) {
      return wait_for(slot, format("interface %s is down, waiting for it", slot.interface.c_str()));
    }
    std::vector<std::string> names;
    for (const auto& [number, interface] : monitor_.interfaces()) names.push_back(interface.name);
    return wait_for(slot,
                    format("interface %s does not exist, waiting for it", slot.interface.c_str()),
                    format(" (there are: %s)", join(names, ", ").c_str()));
  }
  const uint32_t index = any ? 0 : found->index;
  if (slot.process && slot.index != index) stop_listener(slot);
  std::vector<IpAddress> addresses =
      wanted_.addresses_on(slot.interface, index, monitor_.interfaces());
  if (!slot.process) {
    if (!slot.may_start(loop_.now())) return;
    return start_listener(slot, index, std::move(addresses));
  }
  if (addresses == slot.addresses) return;
  slot.addresses = std::move(addresses);
  for (const AddressPart& part : address_parts(slot.addresses)) slot.process->send(part);
  if (slot.listening && announces_) {
    log_.notice(format("%s: now listening on %s", slot.interface.c_str(),
                       addresses_text(slot.addresses).c_str()));
  }
}

void ListenerSlots::start_listener(Slot& slot, uint32_t index, std::vector<IpAddress> addresses) {
  ListenerSettings settings = owner_.listener_settings();
  settings.interface = slot.interface;
  settings.own_addresses = addresses;
  slot.index = index;
  slot.addresses = std::move(addresses);
  slot.listening = false;
  slot.listened = false;
  slot.doors = owner_.door_names();
  slot.retry_at.reset();
  ListenerProcess::Owner& owner = *this;
  auto process = ListenerProcess::create(loop_, settings, entry_, owner);
  if (!process) {
    wait_for(slot, format("%s: no listener could be started: %s; trying again",
                          slot.interface.c_str(), process.error().text.c_str()));
    return retry_later(slot);
  }
  slot.process = *std::move(process);
}

// Asks the listener for its counts since the last request, and ends it when it has answered; at
// once if it has none.
void ListenerSlots::let_leave(Slot& slot) {
  const bool has_words = slot.process && slot.listened && slot.process->is_there();
  if (has_words) {
    if (!slot.is_asked) slot.process->send(StatusRequest());
    leaving_.push_back({slot.interface, std::move(slot.doors), std::move(slot.process), slot.counts,
                        loop_.now() + kLongestFarewell});
    if (!farewell_.when()) farewell_.set(leaving_.back().end);
  }
  slot.process.reset();
  slot.past.add(std::exchange(slot.counts, {}));
}

void ListenerSlots::stop_listener(Slot& slot) {
  let_leave(slot);
  slot.stop();
}

// Waits for the interface from now on; logs why, unless that was the last reason logged.
void ListenerSlots::wait_for(Slot& slot, const std::string& why, const std::string& details) {
  if (slot.waiting_for != why) {
    log_.warning(why + details);
    owner_.on_interface(slot.interface, why);
  }
  slot.waiting_for = why;
  slot.settled = true;
}

void ListenerSlots::retry_later(Slot& slot, Duration longest) {
  slot.retry_later(loop_.now(), longest);
  if (!retry_.when() || *slot.retry_at < *retry_.when()) retry_.set(slot.retry_at);
}

ListenerSlots::Leaving* ListenerSlots::leaving_of(const ListenerProcess& process) {
  const auto found = std::ranges::find_if(
      leaving_, [&](const Leaving& one) { return one.process.get() == &process; });
  return found == leaving_.end() ? nullptr : &*found;
}

ListenerSlots::Slot* ListenerSlots::slot_of(const ListenerProcess& process) {
  for (const auto& slot : slots_) {
    if (slot->process.get() == &process) return slot.get();
  }
  return nullptr;
}

std::string ListenerSlots::interface_name(const Slot& slot, const KnockEvent& event) const {
  if (slot.interface != kAnyInterface) return slot.interface;
  const Interface* const found = monitor_.entrance(event.interface_index, event.destination);
  return found == nullptr ? slot.interface : found->name;
}

// Whether another interface has already reported this packet.
bool ListenerSlots::is_echo(const Slot& slot, const KnockEvent& event) {
  if (slot.interface == kAnyInterface) {
    return event.interface_index != 0 &&
           echo_filter_.is_echo(event, event.interface_index, loop_.now());
  }
  return slots_.size() > 1 && owner_.is_forwarded(event.door) &&
         echo_filter_.is_echo(event, slot.index, loop_.now());
}

void ListenerSlots::report_if_settled() {
  const bool settled =
      std::all_of(slots_.begin(), slots_.end(), [](const auto& slot) { return slot->settled; });
  if (settled && !stopped_) owner_.on_settled();
}

// Privileges do not come back, but a daemon that stays because of open doors retries.
void ListenerSlots::fail(const std::string& why) {
  owner_.on_no_rights(why);
  for (const auto& slot : slots_) {
    if (!slot->listening) retry_later(*slot);
  }
}

}  // namespace knockd
