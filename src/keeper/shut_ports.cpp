// SPDX-License-Identifier: MIT
#include "knockd/keeper/shut_ports.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "knockd/knock/event_text.h"

namespace knockd {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A ruleset is often changed many times in a row: one check is enough for all of them.
constexpr Duration kLookAfter = milliseconds(10);
constexpr Duration kFirstPause = milliseconds(50);
constexpr Duration kLongestPause = seconds(5);
// After this long without a repair the next one is immediate again.
constexpr Duration kCalm = seconds(30);

// Whether a table shuts its ports at all interfaces where the other must.
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
      allowed_(loop, log, own_.table().name),
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

// Sets up what every use of the ruleset needs. Empty, or what is missing.
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

// The change that makes this the table; nothing if it already is.
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

// The steps before nft. Empty, or why the table cannot be changed.
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

// The steps after nft. Logs and returns false if the table is not the wanted one.
bool ShutPorts::end(const Change& change, std::string fault) {
  loop_.refresh_clock();  // nft may be slow
  if (fault.empty()) fault = own_.end_load(*sets_, change.table);
  if (fault.empty()) keep(change.table);
  if (change.is_repair) return end_repair(fault);
  check_.set(loop_.now() + kLookAfter);  // for changes by others while nft ran
  if (!fault.empty()) {
    report_not_shut(change.table, fault);
    return false;
  }
  for (const Knock& port : change.before) {
    if (!change.table.has(port)) log_.notice(no_longer_shut_text(port));
  }
  allowed_.put_right(*sets_);
  return true;
}

// Sources admitted with a prefix that no door uses any more stay in for their time.
void ShutPorts::keep_held_prefixes(ShutTable& table) const {
  const std::set<SetName> held = allowed_.used_sets();
  const auto keep = [&](const std::set<uint8_t>& prefixes, bool is_v4, std::set<uint8_t>& kept) {
    for (const uint8_t prefix : prefixes) {
      const SetName set{TableFamily::kInet, own_.table().name, own_set_name(is_v4, prefix)};
      if (held.contains(set)) kept.insert(prefix);
    }
  };
  keep(own_.table().prefixes_v4, true, table.prefixes_v4);
  keep(own_.table().prefixes_v6, false, table.prefixes_v6);
}

// The table is unchanged. Ports that it did not shut are open, as are all ports at an interface
// that it did not cover.
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
    // So that a start with a faulty configuration does not restore it.
    if (kept_.name() == table.name) kept_.forget();
    return;
  }
  // If it still exists, the next start must know it.
  if (!remove_former(table)) return;
  const std::string not_kept = kept_.keep(table);
  if (!not_kept.empty()) log_.warning(not_kept);
}

// Removes the table of an earlier run with another name (`Table`): it would keep its ports shut for
// all sources. False if it still exists.
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
  // Only if one was kept: a daemon without such doors must not load the kernel's modules.
  const std::string name = kept_.name();
  if (!own_.table().ports.empty() || name.empty() || !begin().empty()) return;
  OwnTable left(name, own_.lock_folder());
  if (!left.take().empty()) return;
  for (const Knock& port : left.shut_in_kernel(*sets_)) log_.warning(left_shut_text(port));
}

// Sources admitted by an earlier run, with a prefix that no door uses any more, stay in for their
// time.
std::string ShutPorts::make_own_set_for(const OpenDoor& door) {
  ShutTable table = own_.table();
  auto& prefixes = door.source.is_v4() ? table.prefixes_v4 : table.prefixes_v6;
  // If no door admits IPv6, no IPv6 source is let in.
  if (door.admission->set || table.ports.empty() || prefixes.empty() ||
      !prefixes.insert(door.admission->prefix).second) {
    return {};
  }
  if (nft_.runs()) {
    nft_.wait();
    return make_own_set_for(door);
  }
  std::string fault = load(table);
  allowed_.put_right(*sets_);
  return fault;
}

std::string ShutPorts::admit(const OpenDoor& door) {
  // Waits for the table that is being created, which will have the element.
  while (change_ && !change_->is_repair && !door.admission->set) nft_.wait();
  std::string unready = begin();
  if (unready.empty()) unready = make_own_set_for(door);
  if (!unready.empty()) return unready;
  if (door.admission->set) on_change();
  std::string fault = allowed_.allow(*sets_, door, nft_.runs() && !door.admission->set);
  if (fault.empty() || door.admission->set || !own_.is_changed(*sets_)) return fault;
  // Others have changed the table; the notification follows, and the repair lets the source in.
  return allowed_.allow(*sets_, door, true);
}

std::vector<std::string> ShutPorts::dismiss(std::span<const OpenDoor> doors) {
  const std::string unready = begin();
  if (!unready.empty()) return std::vector(doors.size(), unready);
  on_change();
  return allowed_.withdraw(*sets_, doors);
}

// --- When others change the ruleset --------------------------------------------------------------

// Also before use: descriptions of others' sets are valid until they change.
void ShutPorts::on_change() {
  if (monitor_ && !monitor_->read()) return;
  allowed_.forget_descriptions();
  if (!monitor_ || check_.when()) return;
  const Duration since = loop_.now() - repaired_;
  if (since > kCalm) pause_.reset();
  check_.set(loop_.now() + kLookAfter);
}

void ShutPorts::check() {
  if (nft_.runs()) return;  // checked again when nft has ended
  if (!own_.table().ports.empty() && own_.is_changed(*sets_)) return run({own_.table(), {}, true});
  failing_ = false;
  if (allowed_.put_right(*sets_)) pause_repairs();
}

bool ShutPorts::end_repair(const std::string& fault) {
  if (fault.empty()) {
    log_.warning("table " + own_.table().name + " was changed by another program: made anew");
    allowed_.put_right(*sets_);
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
  // Our nft's change is reported like another program's; failed repairs are retried.
  check_.set(loop_.now() + pause_.next());
}

}  // namespace knockd
