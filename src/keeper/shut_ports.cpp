// SPDX-License-Identifier: MIT
#include "knockd/keeper/shut_ports.h"

#include <algorithm>
#include <cerrno>
#include <map>
#include <utility>

#include "knockd/knock/event_text.h"

namespace knockd {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A ruleset is often changed many times in a row: one look is enough for all of them.
constexpr Duration kLookAfter = milliseconds(10);
constexpr Duration kFirstPause = milliseconds(50);
constexpr Duration kLongestPause = seconds(5);
// After so long without a repair the next one is prompt again.
constexpr Duration kCalm = seconds(30);
// An element that differs by more than this from its time is not as we put it.
constexpr Duration kSlack = seconds(1);
// Elements of one batch.
constexpr size_t kMostAtOnce = 500;

bool is_near(Duration one, Duration other) {
  return one <= other + kSlack && other <= one + kSlack;
}

// Whether a table shuts its ports wherever the other is to.
bool covers(const ShutTable& table, const ShutTable& wanted) {
  if (table.interfaces.empty()) return true;
  return !wanted.interfaces.empty() && std::ranges::includes(table.interfaces, wanted.interfaces);
}

}  // namespace

ShutPorts::ShutPorts(EventLoop& loop, Log& log, std::string table, std::string lock_folder)
    : loop_(loop),
      log_(log),
      own_(std::move(table), std::move(lock_folder)),
      nft_(loop),
      check_(loop, [this] { check(); }),
      pause_(kFirstPause, kLongestPause) {}

ShutPorts::~ShutPorts() { stop_watching(); }

void ShutPorts::stop_watching() {
  if (monitor_) loop_.unwatch(monitor_->fd());
  monitor_.reset();
  check_.set(std::nullopt);
  nft_.stop();
  change_.reset();
  next_.reset();
}

// What every use of the ruleset needs. Empty, or what is missing.
std::string ShutPorts::begin() {
  if (sets_) return {};
  auto sets = NftSets::create();
  if (!sets) return sets.error().text;
  auto monitor = RulesetMonitor::create(sets->port());
  if (!monitor) return monitor.error().text;
  sets_.emplace(*std::move(sets));
  monitor_.emplace(*std::move(monitor));
  if (!loop_.watch(monitor_->fd(), EPOLLIN, [this] { on_change(); })) {
    sets_.reset();
    return fault_of("epoll").text;
  }
  return {};
}

// What is to be done for this to be the table; nothing if it is.
std::optional<ShutPorts::Change> ShutPorts::plan(const ShutTable& wanted) {
  ShutTable table = wanted;
  if (table.name != own_.table().name) {
    log_.warning("the table stays " + own_.table().name + " until the next start");
    table.name = own_.table().name;
  }
  keep_held_prefixes(table);
  if (table == own_.table() && !table.ports.empty() && !own_.is_changed(*sets_)) return {};
  if (table.ports.empty() && own_.table().ports.empty()) return {};
  return Change{std::move(table), {}, false};
}

// What comes before nft. Empty, or why the table cannot be changed.
std::string ShutPorts::prepare(Change& change) {
  std::string fault = begin();
  if (fault.empty()) fault = own_.take();
  if (fault.empty()) fault = own_.begin_load(*sets_, change.table);
  if (fault.empty()) change.before = own_.shut_in_kernel(*sets_);
  return fault;
}

bool ShutPorts::shut(const ShutTable& wanted) {
  while (nft_.runs()) nft_.wait();
  auto change = plan(wanted);
  if (!change) return true;
  std::string fault = prepare(*change);
  if (fault.empty()) fault = run_nft(OwnTable::ruleset_of(change->table));
  return end(*change, std::move(fault));
}

void ShutPorts::change(const ShutTable& wanted) {
  if (nft_.runs()) {
    next_ = wanted;
  } else if (auto change = plan(wanted)) {
    run(*std::move(change));
  }
}

void ShutPorts::run(Change change) {
  std::string fault = prepare(change);
  if (fault.empty()) {
    fault = nft_.start(OwnTable::ruleset_of(change.table), [this](const std::string& why) {
      const Change done = *std::exchange(change_, std::nullopt);
      end(done, why);
      if (next_) this->change(*std::exchange(next_, std::nullopt));
    });
  }
  if (!fault.empty()) {
    end(change, std::move(fault));
  } else {
    change_ = std::move(change);
  }
}

// What comes after nft. False, and logged, if the table is not what it was to be.
bool ShutPorts::end(const Change& change, std::string fault) {
  loop_.refresh_clock();  // nft may be slow
  if (fault.empty()) fault = own_.end_load(*sets_, change.table);
  if (fault.empty()) keep(change.table);
  if (change.is_repair) return end_repair(fault);
  check_.set(loop_.now() + kLookAfter);  // for what others changed while nft ran
  if (!fault.empty()) {
    report_not_shut(change.table, fault);
    return false;
  }
  for (const Knock& port : change.before) {
    if (!change.table.has(port)) log_.notice(no_longer_shut_text(port));
  }
  for (const SetName& set : admissions_.sets()) put_right(set);
  return true;
}

// Who is in by a prefix that no door has any more stays in for the time that was promised.
void ShutPorts::keep_held_prefixes(ShutTable& table) const {
  const std::set<SetName> held = admissions_.sets();
  const auto keep = [&](const std::set<uint8_t>& prefixes, bool is_v4, std::set<uint8_t>& kept) {
    for (const uint8_t prefix : prefixes) {
      const SetName set{TableFamily::kInet, own_.table().name, own_set_name(is_v4, prefix)};
      if (held.contains(set)) kept.insert(prefix);
    }
  };
  keep(own_.table().prefixes_v4, true, table.prefixes_v4);
  keep(own_.table().prefixes_v6, false, table.prefixes_v6);
}

// The table stays as it was. What it did not shut is open, or all ports at an interface that it did
// not cover.
void ShutPorts::report_not_shut(const ShutTable& wanted, const std::string& fault) {
  const bool is_covered = covers(own_.table(), wanted);
  bool is_said = false;
  for (const ShutPort& port : wanted.ports) {
    if (is_covered && own_.table().has(port.port)) continue;
    log_.error(not_shut_text(port.port, fault));
    is_said = true;
  }
  if (!is_said) log_.error("table " + own_.table().name + " stays as it was: " + fault);
}

// Waits for nft.
std::string ShutPorts::load(const ShutTable& table) {
  std::string fault = own_.load(*sets_, table);
  loop_.refresh_clock();
  if (fault.empty()) keep(table);
  return fault;
}

void ShutPorts::keep(const ShutTable& table) {
  if (table.ports.empty()) {
    // Not to come back with a faulty configuration.
    if (kept_.name() == table.name) kept_.forget();
    return;
  }
  // One that is still there is to be known to the next start.
  if (!remove_former(table)) return;
  const std::string not_kept = kept_.keep(table);
  if (!not_kept.empty()) log_.warning(not_kept);
}

// The table that an earlier run had, under the name that `Table` was then: it would go on to shut
// its ports, for everyone. False if it is still there.
bool ShutPorts::remove_former(const ShutTable& table) {
  const std::string name = kept_.name();
  if (name.empty() || name == table.name) return true;
  OwnTable former(name, own_.lock_folder());
  const std::vector<Knock> ports = former.shut_in_kernel(*sets_);
  if (ports.empty()) return true;
  std::string fault = former.take();
  ShutTable none;
  none.name = name;
  if (fault.empty()) fault = former.load(*sets_, none);
  if (!fault.empty()) {
    log_.error("table " + name + " of an earlier run stays: " + fault);
    return false;
  }
  for (const Knock& port : ports) {
    if (!table.has(port)) log_.notice(no_longer_shut_text(port));
  }
  return true;
}

std::string ShutPorts::remove() {
  ShutTable none;
  none.name = own_.table().name;
  std::string fault = begin();
  return fault.empty() ? load(none) : fault;
}

void ShutPorts::report_left_behind() {
  // Only where there was one: a daemon without such doors is not to load the kernel's modules.
  const std::string name = kept_.name();
  if (!own_.table().ports.empty() || name.empty() || !begin().empty()) return;
  OwnTable left(name, own_.lock_folder());
  if (!left.take().empty()) return;
  for (const Knock& port : left.shut_in_kernel(*sets_)) log_.warning(left_shut_text(port));
}

bool ShutPorts::is_own(const SetName& set) const {
  return set.family == TableFamily::kInet && set.table == own_.table().name;
}

// By what is known of it, if nobody has changed the ruleset since.
Result<NftSets::Description, int> ShutPorts::describe(const SetName& set) {
  if (!monitor_) return sets_->describe(set);
  on_change();
  if (const auto known = descriptions_.find(set); known != descriptions_.end()) {
    return known->second;
  }
  auto description = sets_->describe(set);
  if (description) descriptions_.emplace(set, *description);
  return description;
}

ShutPorts::Place ShutPorts::place_of(const OpenDoor& door) {
  const Admission& admission = *door.admission;
  const IpAddress address = network_of(door.source, admission.prefix);
  Place place;
  const auto add_ports = [&](const SetName& set) {
    for (const Knock& port : admission.ports) {
      place.elements.push_back({set, set_key(address, port)});
    }
  };
  if (!admission.set) {
    add_ports(
        {TableFamily::kInet, own_.table().name, own_set_name(address.is_v4(), admission.prefix)});
    return place;
  }
  const SetName& set = *admission.set;
  const auto description = describe(set);
  if (!description) {
    place.fault = description.error() == ENOENT
                      ? "there is no set " + to_string(set)
                      : to_string(set) + ": " + nft_reason(description.error());
  } else if (!description->key || description->is_v4 != address.is_v4()) {
    place.fault = "set " + to_string(set) + " is not of type " +
                  (address.is_v4() ? "ipv4_addr" : "ipv6_addr") +
                  ", alone or with . inet_proto . inet_service";
  } else if (!description->has_timeout) {
    place.fault = "set " + to_string(set) + " has no 'flags timeout'";
  } else if (*description->key == SetKey::kAddress) {
    place.elements.push_back({set, set_key(address)});
  } else if (admission.ports.empty()) {
    place.fault = "set " + to_string(set) + " wants ports (Open)";
  } else {
    add_ports(set);
  }
  return place;
}

// Whether an element of the administrator's set was put there by somebody else, to stay at least as
// long as we would have it.
bool ShutPorts::is_others(const SetElement& element, Instant until) {
  if (is_own(element.set)) return false;
  const auto found = sets_->find(element);
  if (!found || !*found) return false;
  return !(*found)->left || *(*found)->left > until - loop_.now() + kSlack;
}

// Who was let in by an earlier run, by a prefix that no door has any more, stays in as was
// promised.
std::string ShutPorts::make_own_set_for(const OpenDoor& door) {
  ShutTable table = own_.table();
  auto& prefixes = door.source.is_v4() ? table.prefixes_v4 : table.prefixes_v6;
  // Over IPv6 nobody is let in, if no door lets anybody in.
  if (door.admission->set || table.ports.empty() || prefixes.empty() ||
      !prefixes.insert(door.admission->prefix).second) {
    return {};
  }
  if (nft_.runs()) {
    nft_.wait();
    return make_own_set_for(door);
  }
  std::string fault = load(table);
  for (const SetName& set : admissions_.sets()) put_right(set);
  return fault;
}

std::string ShutPorts::admit(const OpenDoor& door) {
  // The table that is being made is the one that is to let in.
  while (change_ && !change_->is_repair && !door.admission->set) nft_.wait();
  std::string unready = begin();
  if (unready.empty()) unready = make_own_set_for(door);
  if (!unready.empty()) return unready;
  Place place = place_of(door);
  if (!place.fault.empty()) return place.fault;
  std::erase_if(place.elements, [&](const SetElement& element) {
    return is_others(element, admissions_.until(element).value_or(door.deadline));
  });
  const std::vector<SetElement> before = admissions_.of(door.id);
  admissions_.hold(door.id, place.elements, door.deadline);
  std::string fault = put(place.elements);
  // One that is being repaired gets all that is held; until then nothing may be shut at all.
  if (nft_.runs() && !door.admission->set) return {};
  if (!fault.empty() && before.empty()) admissions_.release(door.id);
  return fault;
}

// As long as they are held.
std::string ShutPorts::put(const std::vector<SetElement>& elements) {
  std::vector<TimedElement> timed;
  for (const SetElement& element : elements) {
    const auto until = admissions_.until(element);
    if (until && *until > loop_.now()) timed.push_back({element, *until - loop_.now()});
  }
  for (size_t at = 0; at < timed.size(); at += kMostAtOnce) {
    const size_t size = std::min(kMostAtOnce, timed.size() - at);
    const int error = sets_->put({timed.data() + at, size});
    if (error != 0) return to_string(timed[at].element.set) + ": " + nft_reason(error);
  }
  return {};
}

// All of one set.
std::string ShutPorts::remove(const std::vector<SetElement>& elements) {
  for (size_t at = 0; at < elements.size(); at += kMostAtOnce) {
    const size_t size = std::min(kMostAtOnce, elements.size() - at);
    const int error = sets_->remove({elements.data() + at, size});
    // Without its set, or its table, nobody is let in.
    if (error != 0 && error != ENOENT) {
      return to_string(elements.front().set) + ": " + nft_reason(error);
    }
  }
  return {};
}

// Set by set: what fails in one does not keep the others from it.
std::vector<std::string> ShutPorts::dismiss(std::span<const OpenDoor> doors) {
  const std::string unready = begin();
  std::vector<std::string> faults(doors.size(), unready);
  if (!unready.empty()) return faults;
  std::map<SetName, std::map<SetElement, Instant>> held;  // until when
  std::vector<std::set<SetName>> sets_of(doors.size());
  for (size_t i = 0; i < doors.size(); ++i) {
    // Of an opening of an earlier run that is overdue already nothing is held yet.
    std::vector<SetElement> elements = admissions_.of(doors[i].id);
    if (elements.empty()) elements = place_of(doors[i]).elements;
    for (const SetElement& element : elements) {
      held[element.set][element] = admissions_.until(element).value_or(loop_.now());
      sets_of[i].insert(element.set);
    }
  }
  for (const OpenDoor& door : doors) admissions_.release(door.id);
  for (const auto& [set, elements] : held) {
    std::vector<SetElement> last;
    std::vector<SetElement> shared;
    for (const auto& [element, until] : elements) {
      if (admissions_.until(element)) {
        shared.push_back(element);
      } else if (!is_others(element, until)) {
        last.push_back(element);
      }
    }
    std::string fault = remove(last);
    if (std::string other = put(shared); fault.empty()) fault = std::move(other);
    for (size_t i = 0; i < doors.size() && !fault.empty(); ++i) {
      if (sets_of[i].contains(set)) faults[i] = fault;
    }
  }
  return faults;
}

// --- When others change the ruleset --------------------------------------------------------------

void ShutPorts::on_change() {
  if (!monitor_->read()) return;
  descriptions_.clear();
  if (check_.when()) return;
  const Duration since = loop_.now() - repaired_;
  if (since > kCalm) pause_.reset();
  check_.set(loop_.now() + kLookAfter);
}

void ShutPorts::check() {
  if (nft_.runs()) return;  // it is looked at again when that has ended
  if (!own_.table().ports.empty() && own_.is_changed(*sets_)) return run({own_.table(), {}, true});
  failing_ = false;
  bool repaired = false;
  for (const SetName& set : admissions_.sets()) repaired |= put_right(set);
  if (repaired) pause_repairs();
}

bool ShutPorts::end_repair(const std::string& fault) {
  if (fault.empty()) {
    log_.warning("table " + own_.table().name + " was changed by another program: made anew");
    for (const SetName& set : admissions_.sets()) put_right(set);
  } else if (!failing_) {
    for (const ShutPort& port : own_.table().ports) {
      log_.error(not_shut_text(port.port, fault));
    }
  }
  failing_ = !fault.empty();
  pause_repairs();
  return !failing_;
}

void ShutPorts::pause_repairs() {
  repaired_ = loop_.now();
  // Our own program's change is heard as another's; and what failed is tried again.
  check_.set(loop_.now() + pause_.next());
}

// Puts in what is missing in a set, and takes out of an own one what nobody holds. True if there
// was any.
bool ShutPorts::put_right(const SetName& set) {
  const auto found = sets_->list(set);
  if (!found) return false;  // there is none: its table may come back, and is looked at then
  std::map<std::string_view, std::optional<Duration>> present;
  for (const NftSets::Found& one : *found) present[one.key] = one.left;
  std::vector<SetElement> wrong;
  admissions_.for_each_of(set, [&](const SetElement& element, Instant until) {
    const auto there = present.find(element.key);
    const bool is_right =
        there != present.end() &&
        (!is_own(set) || (there->second && is_near(*there->second, until - loop_.now())));
    if (!is_right && until > loop_.now()) wrong.push_back(element);
  });
  std::vector<SetElement> strange;
  if (is_own(set)) {
    for (const NftSets::Found& one : *found) {
      const SetElement element{set, one.key};
      if (!admissions_.until(element)) strange.push_back(element);
    }
  }
  if (wrong.empty() && strange.empty()) return false;
  const std::string fault = put(wrong);
  if (!fault.empty()) log_.error("cannot let in again: " + fault);
  const std::string not_removed = remove(strange);
  if (!not_removed.empty()) log_.error(not_removed);
  return true;
}

}  // namespace knockd
