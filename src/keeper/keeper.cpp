// SPDX-License-Identifier: MIT
#include "knockd/keeper/keeper.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "knockd/base/spawn.h"
#include "knockd/base/text.h"
#include "knockd/config/one_time_list.h"
#include "knockd/knock/event_text.h"

namespace knockd {
namespace {

constexpr char kOnStop[] = "On_Stop";
// SIGTERM is obeyed within 2 s; what is not closed by then stays in the state file.
constexpr Duration kLongestShutdown = std::chrono::milliseconds(1500);
// Listeners and the resolver, also those that are no longer wanted.
constexpr size_t kMostOtherChildren = 64;
// How long a start with a faulty configuration waits for the stop commands of what is due.
constexpr Duration kLongestClosing = std::chrono::seconds(30);
// A one-time file that another program has locked: how often to try, and for how long.
constexpr Duration kLockPause = std::chrono::milliseconds(20);
constexpr Duration kLockPatience = std::chrono::seconds(2);

std::string duration_text(Duration duration) {
  const auto seconds =
      static_cast<long long>(std::chrono::duration_cast<std::chrono::seconds>(duration).count());
  return format("%lldd %02lld:%02lld:%02lld", seconds / 86400, seconds / 3600 % 24,
                seconds / 60 % 60, seconds % 60);
}

// Whether a listener that was started with one configuration does what the other says.
bool are_heard_alike(const Config& one, const Config& other) {
  return one.scan_limit == other.scan_limit && one.max_sources == other.max_sources &&
         one.log_rate == other.log_rate && one.doors.size() == other.doors.size();
}

}  // namespace

Keeper::Keeper(Config config, KeeperOptions options, ListenerEntry entry, Reload reload,
               Ready ready)
    : options_(std::move(options)),
      config_(std::move(config)),
      reload_(std::move(reload)),
      ready_(std::move(ready)),
      terms_(config_),
      doors_(
          loop_, log_, CommandRunner::real(),
          [this](const IpAddress& source) { return name_source(source); },
          [this](const UseSequence& use) { use_sequence(use); }, [this] { return may_log(); }),
      slots_(loop_, log_, entry, *this),
      started_(loop_.now()),
      left_out_(loop_, [this] { report_left_out(); }),
      give_up_(loop_, [this] { give_up(); }),
      list_uses_due_(loop_, [this] { use_lists(); }) {
  if (options_.debug) debug_ = make_descriptor_sink(STDOUT_FILENO);
}

Keeper::~Keeper() = default;

int Keeper::run() {
  open_log();
  if (!take_pid_file()) return 1;
  if (const auto fault = set_up()) {
    log_.error(fault->text);
    return 1;
  }
  states_.assign(config_.doors.size(), {});
  rules_ = DoorRules(config_.doors);
  rate_ = RateLimit(config_.log_rate);
  choose_interfaces();
  doors_.take_up(config_.state_file);
  warn_of_disabled_doors();
  slots_.start();
  loop_.run();
  doors_.leave();
  return status_;
}

void Keeper::close_what_is_due() {
  if (!StateFile::is_left_behind(config_.state_file)) return;
  open_log();
  bool waits = true;
  EventLoop::Alarm patience(loop_, [&] { waits = false; });
  patience.set(loop_.now() + kLongestClosing);
  signal(SIGPIPE, SIG_IGN);
  loop_.watch_signals({SIGTERM, SIGINT, SIGCHLD}, [&](int signal) {
    if (signal == SIGCHLD) return reap();
    waits = false;
  });
  if (loop_.fault()) return log_.error(loop_.fault()->text);
  doors_.take_up(config_.state_file);
  while (waits && doors_.running() + doors_.waiting() != 0) loop_.turn();
  doors_.leave();
  if (doors_.open_doors() == 0) return;
  log_.warning(format("%zu doors stay open until a start without errors", doors_.open_doors()));
}

// What nothing works without.
std::optional<Fault> Keeper::set_up() {
  signal(SIGPIPE, SIG_IGN);
  if (options_.lookup) resolver_ = std::make_unique<Resolver>(loop_, log_);
  if (resolver_ && resolver_->fault()) return resolver_->fault();
  loop_.watch_signals({SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD},
                      [this](int signal) { on_signal(signal); });
  if (const auto fault = slots_.begin()) return fault;
  return loop_.fault();
}

// --- What listeners report ---------------------------------------------------------------------

ListenerSettings Keeper::listener_settings() const {
  ListenerSettings settings;
  settings.doors = rules_.all();
  for (size_t rule = 0; rule < settings.doors.size(); ++rule) {
    const DoorNumber door = rules_.door_of(static_cast<DoorNumber>(rule));
    settings.generations.push_back(states_[door].generation);
  }
  settings.scan_limit = config_.scan_limit;
  settings.max_sources = config_.max_sources;
  settings.log_rate = config_.log_rate;
  settings.only_v4 = options_.only_v4;
  settings.explain = options_.debug;
  return settings;
}

bool Keeper::is_forwarded(DoorNumber rule) const { return rules_.all()[rule].target.has_value(); }

void Keeper::on_event(const KnockEvent& event, const std::string& interface) {
  if (event.kind == EventKind::kOpen) return knocked(event, interface);
  if (!may_log()) return;
  const std::string& door = config_.doors[rules_.door_of(event.door)].name;
  for (const std::string& line : event_lines(event, door, name_source(event.source))) {
    log_.notice(line);
  }
}

void Keeper::on_explanation(const Explanation& explanation) {
  if (!debug_) return;
  const DoorNumber number = rules_.door_of(explanation.door);
  const std::string_view door =
      number == kNoDoor ? "" : std::string_view(config_.doors[number].name);
  debug_->write(LogLevel::kInfo, explanation_line(explanation, door));
}

void Keeper::on_lines_left_out(uint64_t lines) {
  rate_.add_refused(lines);
  report_left_out_at(loop_.now());
}

void Keeper::knocked(const KnockEvent& event, const std::string& interface) {
  const DoorNumber door = rules_.door_of(event.door);
  // Another listener was faster with this sequence.
  if (event.generation != states_[door].generation || states_[door].uses_list) return;
  doors_.knocked({terms_.of(door, event.source), event.source, interface, event.stage, event.door});
}

void Keeper::use_sequence(const UseSequence& use) {
  states_[use.door].uses_list = true;
  list_uses_.push_back({use.opening, use.rule, loop_.now() + kLockPatience});
  use_lists();
}

// Knocks at other doors do not wait for a file that is locked.
void Keeper::use_lists() {
  std::erase_if(list_uses_, [this](const ListUse& use) { return use_list(use); });
  if (!list_uses_.empty()) list_uses_due_.set(loop_.now() + kLockPause);
}

// Marks the sequence that was knocked as used, on disk, and lets the opening begin. False: to be
// tried again.
bool Keeper::use_list(const ListUse& waiting) {
  const DoorNumber number = rules_.door_of(waiting.rule);
  const Door& door = config_.doors[number];
  const std::vector<Sequence> skipped = rules_.sequences_before(waiting.rule);
  const OneTimeUse use =
      use_one_time_sequence(door.one_time_file, rules_.sequence(waiting.rule), skipped);
  const bool is_busy = use.outcome == OneTimeUse::Outcome::kBusy;
  if (is_busy && loop_.now() < waiting.give_up_at) return false;
  states_[number].uses_list = false;
  if (!is_busy) give_sequences(number, use.in_force);
  doors_.sequence_used(waiting.opening, report_use(door, use, skipped.size()));
  return true;
}

// What waits for a list now, waits in vain: the doors may be others soon.
void Keeper::give_up_list_uses() {
  for (ListUse& use : std::exchange(list_uses_, {})) {
    use.give_up_at = Instant();
    use_list(use);
  }
}

// Whether the door may open.
bool Keeper::report_use(const Door& door, const OneTimeUse& use, size_t skipped) {
  const char* const name = door.name.c_str();
  const char* const file = door.one_time_file.c_str();
  switch (use.outcome) {
    case OneTimeUse::Outcome::kBusy:
      log_.error(format("%s: one-time file %s is locked by another program; the door stays closed",
                        name, file));
      return false;
    case OneTimeUse::Outcome::kFailed:
      log_.error(format("%s: one-time file %s cannot be marked: %s; the door stays closed", name,
                        file, use.error.c_str()));
      return false;
    case OneTimeUse::Outcome::kNotInForce:
      log_.warning(format("%s: this one-time sequence is no longer in force in %s", name, file));
      break;
    case OneTimeUse::Outcome::kMarked:
      if (skipped != 0) log_.notice(skipped_sequences_line(door.name, skipped));
      break;
  }
  if (use.in_force.empty()) log_.warning(no_more_sequences_line(door.name, door.one_time_file));
  return use.outcome == OneTimeUse::Outcome::kMarked;
}

// Those whose one-time list was exhausted when the configuration was read.
void Keeper::warn_of_disabled_doors() {
  for (const Door& door : config_.doors) {
    if (!door.rule.sequence.empty()) continue;
    log_.warning(no_more_sequences_line(door.name, door.one_time_file));
  }
}

void Keeper::give_sequences(DoorNumber number, const std::vector<Sequence>& sequences) {
  rules_.set_sequences(number, sequences);
  ++states_[number].generation;
  for (const DoorNumber rule : rules_.of_door(number)) {
    const Sequence& sequence = rules_.sequence(rule);
    NextSequence next;
    next.door = rule;
    next.count = static_cast<uint16_t>(sequence.size());
    next.generation = states_[number].generation;
    std::copy(sequence.begin(), sequence.end(), next.knocks.begin());
    slots_.send(next);
  }
}

bool Keeper::may_log() {
  if (rate_.allow(loop_.now())) return true;
  report_left_out_at(rate_.window_end());
  return false;
}

// Or later, since listeners are not believed to report at most once a second.
void Keeper::report_left_out_at(Instant when) {
  if (!left_out_.when()) left_out_.set(std::max(when, next_left_out_));
}

void Keeper::report_left_out() {
  const uint64_t lines = rate_.take_refused();
  if (lines == 0) return;
  next_left_out_ = loop_.now() + std::chrono::seconds(1);
  log_.warning(format("%llu log lines left out, more than %u a second (Log_Rate)",
                      static_cast<unsigned long long>(lines), config_.log_rate));
}

// --- Interfaces --------------------------------------------------------------------------------

void Keeper::choose_interfaces() {
  slots_.choose(options_.interfaces.empty() ? config_.interfaces : options_.interfaces,
                options_.only_v4);
}

void Keeper::on_settled() {
  if (is_ready_ || leaving_) return;
  log_.notice("starting up, listening on " + join(slots_.interfaces(), ", "));
  is_ready_ = true;
  slots_.announce();
  open_log();
  if (ready_) std::exchange(ready_, nullptr)();
  if (!config_.on_start.empty()) doors_.run("On_Start", config_.on_start);
}

// --- Log, names --------------------------------------------------------------------------------

void Keeper::open_log() {
  std::vector<std::unique_ptr<LogSink>> sinks;
  const std::string& file = options_.log_file.empty() ? config_.log_file : options_.log_file;
  int error = 0;
  if (config_.use_syslog) sinks.push_back(make_syslog_sink());
  if (!file.empty()) sinks.push_back(make_file_sink(file, error));
  if (options_.verbose) sinks.push_back(make_descriptor_sink(STDOUT_FILENO));
  // Who starts a daemon sees what is wrong; later, only one who would see nothing otherwise.
  if (!is_ready_ || (sinks.empty() && !options_.daemon)) {
    sinks.push_back(make_descriptor_sink(STDERR_FILENO, LogLevel::kWarning, "knockd: "));
  }
  log_.set_sinks(std::move(sinks));
  if (error != 0) {
    log_.error(format("cannot open log file %s: %s", file.c_str(), strerror(error)));
  }
}

std::string Keeper::name_source(const IpAddress& source) {
  return source_text(source, resolver_ ? resolver_->name_of(source) : std::string());
}

// --- Life --------------------------------------------------------------------------------------

bool Keeper::take_pid_file() {
  if (!options_.daemon) return true;
  const std::string& path = options_.pid_file.empty() ? config_.pid_file : options_.pid_file;
  pid_t other = 0;
  switch (pid_file_.write(path, other)) {
    case PidFile::Outcome::kWritten:
      return true;
    case PidFile::Outcome::kOtherIsRunning:
      log_.error(format("already running (pid %d)", other));
      return false;
    case PidFile::Outcome::kUnwritable:
      log_.warning(format("cannot write pid file %s: %s", path.c_str(), strerror(errno)));
      return true;
  }
  return true;
}

void Keeper::on_signal(int signal) {
  switch (signal) {
    case SIGCHLD:
      return reap();
    case SIGHUP:
      return reload();
    case SIGUSR1:
      return report_status();
    default:
      return begin_shutdown();
  }
}

void Keeper::reap() {
  // Each command that has ended makes room for another, which may end before this loop does; no
  // more are taken than there were at its beginning, so that shutting many doors delays nothing
  // else. Whoever ends meanwhile has raised another SIGCHLD.
  int status = 0;
  pid_t pid = 0;
  for (size_t left = doors_.running() + kMostOtherChildren;
       left > 0 && !must_give_up() && (pid = waitpid(-1, &status, WNOHANG)) > 0; --left) {
    if (doors_.child_ended(pid, status)) continue;
    slots_.reaped(pid, status);
    if (resolver_ && resolver_->pid() == pid) resolver_->reaped(status);
  }
  finish_shutdown_if_done();
}

void Keeper::reload() {
  if (leaving_) return;
  log_.notice("re-reading config file: " + config_.file);
  give_up_list_uses();  // before the lists are read
  auto fresh = reload_();
  if (!fresh) {
    for (const Complaint& complaint : fresh.error().complaints) log_.error(complaint.to_string());
    log_.error("the configuration is faulty, the old one stays in force");
    return;
  }
  DoorRules rules(fresh->doors);
  const bool heard_alike =
      are_heard_alike(config_, *fresh) && std::ranges::equal(rules_.all(), rules.all());
  config_ = *std::move(fresh);
  rules_ = std::move(rules);
  terms_ = DoorTerms(config_);
  doors_.change_state_file(config_.state_file);
  const std::string& file = options_.log_file.empty() ? config_.log_file : options_.log_file;
  if (!file.empty()) log_.notice("re-opening log file: " + file);
  open_log();
  warn_of_disabled_doors();
  rate_ = RateLimit(config_.log_rate);
  // Who hears what it should goes on: a new listener misses what comes before it is ready.
  slots_.renew(!heard_alike);
  // Doors that are open are none of their business.
  if (!heard_alike) states_.assign(config_.doors.size(), {});
  choose_interfaces();
  slots_.update();
}

void Keeper::report_status() {
  log_.notice(format("status: up %s; %zu doors, %zu open; %zu commands running, %zu waiting",
                     duration_text(loop_.now() - started_).c_str(), config_.doors.size(),
                     doors_.open_doors(), doors_.running(), doors_.waiting()));
  slots_.report_status();
}

void Keeper::begin_shutdown() {
  if (leaving_) return;
  leaving_ = true;
  log_.notice("shutting down");
  slots_.stop();
  list_uses_.clear();
  give_up_.set(loop_.now() + kLongestShutdown);
  doors_.shut_down(config_.shutdown == Shutdown::kClose);
  finish_shutdown_if_done();
}

// Every stop command first, then On_Stop, then out.
void Keeper::finish_shutdown_if_done() {
  if (!leaving_) return;
  if (on_stop_run_) {
    if (!doors_.runs_command_of(kOnStop)) loop_.stop();
    return;
  }
  if (config_.shutdown == Shutdown::kClose && doors_.open_doors() != 0) return;
  on_stop_run_ = true;
  if (!is_ready_ || config_.on_stop.empty()) return loop_.stop();
  doors_.run(kOnStop, config_.on_stop);
}

// Whether leaving has taken too long already; the alarm would ring too late in a long turn.
bool Keeper::must_give_up() {
  if (!leaving_) return false;
  loop_.refresh_clock();
  return give_up_.when() && *give_up_.when() <= loop_.now();
}

void Keeper::give_up() {
  if (doors_.open_doors() != 0) {
    log_.warning(format("%zu doors could not be closed in time, the next start closes them",
                        doors_.open_doors()));
  }
  // Not behind commands that hang; what it has begun goes on without us.
  if (is_ready_ && !std::exchange(on_stop_run_, true) && !config_.on_stop.empty()) {
    doors_.run(kOnStop, config_.on_stop);
  }
  loop_.stop();
}

void Keeper::on_no_rights(const std::string& why) {
  log_.error(why);
  // A daemon that has open doors must close them.
  if (is_ready_) return;
  status_ = 1;
  leaving_ = true;
  loop_.stop();
}

}  // namespace knockd
