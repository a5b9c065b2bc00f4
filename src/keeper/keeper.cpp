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
#include "knockd/knock/event_text.h"

namespace knockd {
namespace {

// Listeners and the resolver, also those no longer used.
constexpr size_t kOtherChildrenInATurn = 64;
// How long a start with a faulty configuration waits for stop commands that are due.
constexpr Duration kLongestClosing = std::chrono::seconds(30);

}  // namespace

Keeper::Keeper(Config config, KeeperOptions options, ListenerEntry entry, Reload reload,
               Ready ready)
    : options_(std::move(options)),
      config_(std::move(config)),
      reload_(std::move(reload)),
      ready_(std::move(ready)),
      terms_(config_),
      ports_(loop_, log_, config_.table),
      doors_(
          loop_, log_, CommandRunner::real(), ports_,
          [this](const IpAddress& source) { return name_source(source); },
          [this](const UseSequence& use) {
            has_codes(use.door) ? codes_.use(use) : sequences_.use(use);
          },
          [this] { return line_rate_.allows(); }),
      sequences_(
          loop_, log_, config_.doors,
          [this](uint64_t opening, bool used) { doors_.sequence_used(opening, used); },
          [this](const NextSequence& next) { slots_.send(next); }),
      sharing_(loop_, log_, [this](uint64_t opening) { doors_.sequence_used(opening, true); }),
      codes_(
          loop_, log_, config_,
          [this](uint64_t opening, bool used) {
            used ? sharing_.wait_for(opening) : doors_.sequence_used(opening, false);
          },
          [this](const std::vector<DoorCodes>& codes) {
            for (const CodesPart& part : codes_parts(codes)) slots_.send(part);
          },
          [this](uint64_t opening, const Door& door, const std::string& user,
                 const CodeKnock& knock) {
            chronicle_.code_used(opening, door.name, user, knock);
          }),
      slots_(loop_, log_, entry, *this),
      chronicle_(loop_),
      control_(loop_, log_, *this),
      started_(loop_.now()),
      config_read_(started_),
      config_marks_(marks_of_config()),
      line_rate_(loop_, log_),
      exit_(loop_, log_, doors_, [this] { loop_.stop(); }) {
  doors_.set_watcher(chronicle_);
  chronicle_.set_follower(control_);
  if (options_.debug) debug_ = make_descriptor_sink(STDOUT_FILENO);
}

Keeper::~Keeper() = default;

int Keeper::run() {
  open_log();
  // Before the pid file is written: a reader of it may send a signal, which by default would end
  // this process.
  loop_.watch_signals({SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD},
                      [this](int signal) { on_signal(signal); });
  if (!take_pid_file()) return 1;
  if (const Status ready = set_up(); !ready) {
    log_.error(ready.error().text);
    return 1;
  }
  line_rate_.set_limit(config_.bounds.log_rate);
  choose_interfaces();
  ports_.keep_in(kept_table_file(config_));
  if (!ports_.shut(shut_table())) return 1;
  ports_.report_left_behind();
  doors_.take_up(config_.state_file);
  sequences_.renew();
  codes_.renew();
  open_control();
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
  const size_t open = doors_.open_doors();
  if (open == 0) return;
  log_.warning(counted(open, "door") + (open == 1 ? " stays" : " stay") +
               " open until a start without errors");
}

// Sets up what everything else needs.
Status Keeper::set_up() {
  signal(SIGPIPE, SIG_IGN);
  if (options_.lookup) {
    auto resolver = Resolver::create(loop_, log_, [this] { forget_secrets(); });
    if (!resolver) return resolver.error();
    resolver_ = *std::move(resolver);
  }
  if (Status begun = slots_.begin(); !begun) return begun;
  return loop_.fault() ? Status(*loop_.fault()) : Status();
}

// Called in a child, which has a copy of all memory.
void Keeper::forget_secrets() {
  for (Door& door : config_.doors) door.users.clear();
}

// --- What listeners report ---------------------------------------------------------------------

ListenerSettings Keeper::listener_settings() const {
  ListenerSettings settings;
  settings.doors = rules().all();
  for (size_t rule = 0; rule < settings.doors.size(); ++rule) {
    const DoorNumber door = rules().door_of(static_cast<DoorNumber>(rule));
    settings.generations.push_back(generation(door));
  }
  codes_.add_to(settings.doors);
  settings.bounds = config_.bounds;
  settings.only_v4 = options_.only_v4;
  settings.explain = options_.debug;
  return settings;
}

bool Keeper::has_codes(DoorNumber door) const { return !config_.doors[door].rule.places.empty(); }

uint32_t Keeper::generation(DoorNumber door) const {
  return has_codes(door) ? codes_.generation() : sequences_.generation(door);
}

bool Keeper::is_forwarded(DoorNumber rule) const { return rules().all()[rule].target.has_value(); }

void Keeper::on_event(const KnockEvent& event, const std::string& interface) {
  if (event.kind == EventKind::kOpen) return knocked(event, interface);
  const DoorNumber number = rules().door_of(event.door);
  const std::string& door = config_.doors[number].name;
  chronicle_.heard(event, door, interface, expected(event));
  if (event.kind == EventKind::kWrongCode) return codes_.wrong(number);
  if (event.kind == EventKind::kWrong || !line_rate_.allows()) return;
  log_.notice(event_line(event, door, name_source(event.source)));
}

// The knock that the attempt expects or expected; nothing if its sequence is no longer in force.
std::optional<Knock> Keeper::expected(const KnockEvent& event) const {
  const Sequence& sequence = rules().all()[event.door].sequence;
  const DoorNumber door = rules().door_of(event.door);
  if (event.generation != generation(door) || event.stage >= sequence.size()) return {};
  if (rules().all()[event.door].places.contains(event.stage)) return {};  // one of many codes
  return sequence[event.stage];
}

std::vector<std::string> Keeper::door_names() const {
  std::vector<std::string> names;
  for (size_t rule = 0; rule < rules().all().size(); ++rule) {
    names.push_back(config_.doors[rules().door_of(static_cast<DoorNumber>(rule))].name);
  }
  return names;
}

void Keeper::on_count(const std::string& door, const DoorCount& count) {
  chronicle_.add(door, count);
}

void Keeper::on_interface(const std::string& interface, const std::string& waits_because) {
  chronicle_.interface_changed(interface, waits_because);
}

void Keeper::on_explanation(const Explanation& explanation) {
  if (!debug_) return;
  const DoorNumber number = rules().door_of(explanation.door);
  const std::string_view door =
      number == kNoDoor ? "" : std::string_view(config_.doors[number].name);
  debug_->write(LogLevel::kInfo, explanation_line(explanation, door));
}

void Keeper::on_lines_left_out(uint64_t lines) { line_rate_.add_left_out(lines); }

void Keeper::knocked(const KnockEvent& event, const std::string& interface) {
  const DoorNumber door = rules().door_of(event.door);
  CompleteKnock knock{terms_.of(door, event.source), event.source, interface, event.stage,
                      event.door};
  if (!has_codes(door)) {
    // Another listener may have been faster with this one.
    if (sequences_.is_in_force(event)) doors_.knocked(knock);
  } else if (event.generation == codes_.generation()) {
    knock.code = event.code;
    // The listener may still be in the previous step and no longer report wrong codes of this one.
    // Without this a flood could meanwhile try all codes.
    if (event.wrong_codes_untold != 0) codes_.too_many_wrong(door);
    if (may_open(knock, door, event)) doors_.knocked(knock);
  }
}

// Whether the code may open the door; if so, the knock gets its user.
bool Keeper::may_open(CompleteKnock& knock, DoorNumber number, const KnockEvent& event) {
  const std::string& door = config_.doors[number].name;
  CodeLedger::Judgement judgement =
      codes_.judge(number, knock.source, event.code, event.took, event.guesses != 0);
  const std::string line = code_line(name_source(knock.source), door, judgement.text);
  if (debug_) debug_->write(LogLevel::kInfo, line);
  if (judgement.refused.empty()) {
    knock.user = std::move(judgement.user);
    return true;
  }
  if (judgement.is_of_other_family) {
    codes_.overheard(number, knock.source, event.code);
    return false;
  }
  chronicle_.code_refused(knock, door, judgement.refused);
  if (line_rate_.allows()) log_.notice(line);
  return false;
}

// --- Interfaces --------------------------------------------------------------------------------

void Keeper::choose_interfaces() {
  slots_.choose(options_.interfaces.empty() ? config_.interfaces : options_.interfaces,
                options_.only_v4);
}

ShutTable Keeper::shut_table() const {
  return shut_table_of(config_, slots_.entrances(), !options_.only_v4);
}

void Keeper::on_network() {
  if (!exit_.has_begun()) ports_.change(shut_table());
}

void Keeper::on_settled() {
  if (is_ready_ || exit_.has_begun()) return;
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
  // Warnings go to standard error as well, later only in the foreground without another log.
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
      return control_.log_status();
    default:
      return begin_shutdown();
  }
}

void Keeper::reap() {
  // Each ended command makes room for another, which may end before this loop does. A turn handles
  // at most as many as there were at its beginning, so that closing many doors delays nothing else.
  int status = 0;
  pid_t pid = 0;
  size_t left = doors_.running() + kOtherChildrenInATurn;
  for (; left > 0 && !exit_.is_overdue() && (pid = waitpid(-1, &status, WNOHANG)) > 0; --left) {
    if (doors_.child_ended(pid, status) || ports_.child_ended(pid, status)) continue;
    slots_.reaped(pid, status);
    if (resolver_ && resolver_->pid() == pid) resolver_->reaped(status);
  }
  // The remaining ones have ended already: no other signal will report them.
  if (left == 0) raise(SIGCHLD);
  exit_.go_on();
}

void Keeper::reload() {
  if (exit_.has_begun()) return;
  log_.notice("re-reading config file: " + config_.file);
  sequences_.give_up();  // before the lists are reloaded
  auto fresh = reload_();
  if (!fresh) {
    for (const Complaint& complaint : fresh.error().complaints) log_.error(complaint.to_string());
    log_.error("the configuration is faulty, the old one stays in force");
    return chronicle_.reloaded(false);
  }
  const bool has_same_bounds = config_.bounds == fresh->bounds;
  const bool has_same_users =
      std::ranges::equal(config_.doors, fresh->doors, {}, &Door::users, &Door::users);
  config_ = *std::move(fresh);
  config_read_ = loop_.now();
  config_marks_ = marks_of_config();
  terms_ = DoorTerms(config_);
  doors_.change_state_file(config_.state_file);
  const std::string& file = options_.log_file.empty() ? config_.log_file : options_.log_file;
  if (!file.empty()) log_.notice("re-opening log file: " + file);
  open_log();
  line_rate_.set_limit(config_.bounds.log_rate);
  // A listener with unchanged rules continues: a new one misses packets until it is ready.
  const bool has_same_rules = sequences_.renew();
  // Messages of listeners sent meanwhile stay valid if their meaning is unchanged.
  if (!has_same_rules || !has_same_users) codes_.forget_users();
  codes_.renew();
  slots_.renew(!has_same_rules || !has_same_bounds);
  choose_interfaces();
  ports_.keep_in(kept_table_file(config_));
  ports_.change(shut_table());
  slots_.update();
  codes_.announce();
  open_control();
  chronicle_.reloaded(true);
}

void Keeper::begin_shutdown() {
  if (exit_.has_begun()) return;
  log_.notice("shutting down");
  slots_.stop();
  sequences_.stop();
  ports_.stop_watching();
  exit_.begin(config_.shutdown == Shutdown::kClose, is_ready_ ? config_.on_stop : "");
}

void Keeper::on_no_rights(const std::string& why) {
  log_.error(why);
  // A daemon with open doors must stay to close them.
  if (is_ready_) return;
  status_ = 1;
  exit_.leave_at_once();
}

}  // namespace knockd
