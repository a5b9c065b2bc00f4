// fuzzes: keeper
// longest: 400
// SPDX-License-Identifier: MIT
// A compromised listener against the whole keeper: a separate process and channel, a real log,
// state file and one-time list, commands that do nothing. The input is a script of messages, valid
// or not, signals to the keeper and pauses; see Script. The keeper must run until it is asked to
// end, and open only doors that were reported, for the reported address. Its log and memory must
// not grow beyond what the reports and Log_Rate explain.
#include <fcntl.h>
#include <malloc.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "knockd/config/door_rules.h"
#include "knockd/message/messages.h"
#include "tests/keeper/keeper_run.h"

extern "C" size_t __sanitizer_get_current_allocated_bytes() __attribute__((weak));

namespace {

using namespace knockd;

constexpr int kMostMessages = 20'000;
// Each needs two processes.
constexpr size_t kMostOpens = 12;
constexpr int kMostSignals = 8;
// Memory that a run may use beyond its start; a keeper at rest uses 200 kB.
constexpr size_t kMostMemory = 4 << 20;
constexpr size_t kLongestLine = 1200;

[[noreturn]] void fail(const std::string& why) {
  std::fprintf(stderr, "FAILED: %s\n", why.c_str());
  std::abort();
}

size_t allocated_bytes() {
  if (__sanitizer_get_current_allocated_bytes != nullptr) {
    return __sanitizer_get_current_allocated_bytes();
  }
  return mallinfo2().uordblks;
}

// What the listener's process did, as the keeper's process sees it.
struct Deeds {
  std::atomic<size_t> opens = 0;
  std::array<std::pair<DoorNumber, IpAddress>, kMostOpens> opened{};
  std::atomic<bool> lacked_rights = false;  // has reported so; a starting keeper then gives up
  std::atomic<int> signals = 0;
  std::atomic<int> reloads = 0;  // counted by the keeper's process
};

class Input {
 public:
  explicit Input(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  bool empty() const { return bytes_.empty(); }
  uint8_t byte() {
    if (bytes_.empty()) return 0;
    const uint8_t first = bytes_.front();
    bytes_ = bytes_.subspan(1);
    return first;
  }
  std::span<const uint8_t> take(size_t most) {
    const auto taken = bytes_.first(std::min(most, bytes_.size()));
    bytes_ = bytes_.subspan(taken.size());
    return taken;
  }

 private:
  std::span<const uint8_t> bytes_;
};

IpAddress some_address(uint8_t which) {
  constexpr const char* kTexts[] = {"192.0.2.7",  "198.51.100.1",    "2001:db8::7", "0.0.0.0",
                                    "224.0.0.1",  "255.255.255.255", "::",          "ff02::1",
                                    "127.0.0.1",  "fe80::1",         "::1",         "10.0.0.1",
                                    "192.0.2.255"};
  const IpAddress address = *IpAddress::parse(kTexts[which % std::size(kTexts)]);
  return address;
}

// The listener: executes the input.
class Script {
 public:
  Script(std::span<const uint8_t> bytes, size_t doors, const Channel& channel, Deeds& deeds)
      : input_(bytes), doors_(doors), channel_(channel), deeds_(deeds) {}

  void run() {
    while (!input_.empty() && open_) step();
  }

 private:
  void step() {
    switch (input_.byte() % 14) {
      case 0:
        return send(encode(FromListener(Listening{input_.byte()})));
      case 1:
        return send(encode(FromListener(some_event())));
      case 2:
        return send(encode(FromListener(some_explanation())));
      case 3:
        return send(encode(FromListener(some_count())));
      case 4:
        return send(encode(FromListener(some_trouble())));
      case 5:
        return send(encode(FromListener(ListenerStatus{input_.byte(), 2, 3, 0})));
      case 6: {
        const auto bytes = input_.take(input_.byte());
        return send(MessageBytes(bytes.begin(), bytes.end()));
      }
      case 7:
        for (int left = input_.byte() * 16; left > 0 && open_; --left) send(last_);
        return;
      case 8:
        return read_all();
      case 9:
        return signal_keeper(SIGUSR1);
      case 10:
        return signal_keeper(SIGHUP);
      case 12:
        return send(encode(FromListener(some_door_counts())));
      case 11:
        open_ = KeeperRun::wait_until_read(channel_);
        return;
      default:
        open_ = false;
    }
  }

  KnockEvent some_event() {
    KnockEvent event;
    event.kind = static_cast<EventKind>(input_.byte() % 6);
    event.stage = input_.byte() % 35;
    event.door = input_.byte() % 14;
    event.generation = input_.byte();
    event.interface_index = input_.byte() % 4;
    event.source = some_address(input_.byte());
    event.destination = some_address(input_.byte());
    event.came = {input_.byte(), Protocol::kTcp};
    return event;
  }

  Explanation some_explanation() {
    Explanation explanation;
    explanation.packet.source = some_address(input_.byte());
    explanation.packet.protocol = input_.byte() % 2 == 0 ? Protocol::kTcp : Protocol::kUdp;
    explanation.verdict = static_cast<Verdict>(input_.byte() % 11);
    explanation.door = input_.byte() % 14;
    explanation.stage = input_.byte() % 35;
    return explanation;
  }

  LeftOut some_count() {
    const uint8_t which = input_.byte();
    return LeftOut{which == 255 ? UINT64_MAX : which};
  }

  DoorCounts some_door_counts() {
    DoorCounts counts;
    counts.count = input_.byte() % 30;
    for (DoorCount& one : counts.doors)
      one = {static_cast<DoorNumber>(input_.byte() % 14), 1, 2, 3, 4};
    return counts;
  }

  Trouble some_trouble() {
    Trouble trouble;
    trouble.kind = static_cast<CaptureTrouble>(input_.byte() % 7);
    const auto text = input_.take(input_.byte());
    std::copy_n(text.begin(), std::min(text.size(), trouble.text.size()), trouble.text.begin());
    return trouble;
  }

  void send(MessageBytes bytes) {
    if (bytes.empty() || ++sent_ > kMostMessages) return;
    if (const auto message = decode_from_listener(bytes, doors_)) {
      const auto* const trouble = std::get_if<Trouble>(&*message);
      if (trouble != nullptr && (trouble->kind == CaptureTrouble::kNoPermission ||
                                 trouble->kind == CaptureTrouble::kSandbox)) {
        deeds_.lacked_rights = true;
      }
      const auto* const event = std::get_if<KnockEvent>(&*message);
      if (event != nullptr && event->kind == EventKind::kOpen) {
        if (deeds_.opens == kMostOpens) return;
        deeds_.opened[deeds_.opens++] = {event->door, event->source};
      }
    }
    open_ = channel_.send_waiting(bytes);
    last_ = std::move(bytes);
  }

  void read_all() {
    std::array<uint8_t, kLongestMessage> buffer;
    while (channel_.receive(buffer).kind == Channel::Received::Kind::kMessage) {
    }
  }

  void signal_keeper(int signal) {
    if (deeds_.signals == kMostSignals) return;
    ++deeds_.signals;
    kill(getppid(), signal);
  }

  Input input_;
  const size_t doors_;
  const Channel& channel_;
  Deeds& deeds_;
  bool open_ = true;
  int sent_ = 0;
  MessageBytes last_;
};

void add_doors(Config& config, const TemporaryFolder& folder) {
  Door door;
  door.rule.sequence = {{7000}, {8000}, {9000}};
  door.start_command = ": start %IP%";
  door.name = "fixed";
  config.doors.push_back(door);
  door.name = "timed";
  door.stop_command = ": stop %IP%";
  door.cmd_timeout = std::chrono::hours(1);
  door.reknock = Reknock::kExtend;
  config.doors.push_back(door);
  door.name = "once";
  door.stop_command.clear();
  door.one_time_file = folder / "once";
  write_file(door.one_time_file, "7000,8000,9000\n7001\n7002,7003\n");
  config.doors.push_back(door);
  door.name = "over";
  door.rule.sequence.clear();
  door.one_time_file = folder / "over";
  write_file(door.one_time_file, "#000,8000\n");
  config.doors.push_back(door);
}

// Discards standard output, where -D prints explanations, for a while.
class QuietOutput {
 public:
  QuietOutput() : kept_(dup(STDOUT_FILENO)) {
    const UniqueFd null(open("/dev/null", O_WRONLY | O_CLOEXEC));
    dup2(null.get(), STDOUT_FILENO);
  }
  ~QuietOutput() { dup2(kept_.get(), STDOUT_FILENO); }

 private:
  const UniqueFd kept_;
};

// The door and the address of a line like "192.0.2.7: timed: OPEN SESAME" or "timed: running
// command: : stop 192.0.2.7"; nothing for others.
std::optional<std::pair<std::string, std::string>> opening_in(const std::string& line) {
  constexpr std::string_view kOpen = ": OPEN SESAME";
  constexpr std::string_view kCommand = ": running command: : ";
  if (line.ends_with(kOpen)) {
    const std::string rest = line.substr(0, line.size() - kOpen.size());
    const size_t split = rest.rfind(": ");
    return std::pair(rest.substr(split + 2), rest.substr(0, split));
  }
  const size_t command = line.find(kCommand);
  // A listener that has not started may send any text after "cannot listen on any: ".
  if (command == std::string::npos || command > line.find(':')) return std::nullopt;
  const size_t address = line.rfind(' ') + 1;
  return std::pair(line.substr(0, command), line.substr(address));
}

void check_log(const KeeperRun& run, const Config& config, const Deeds& deeds) {
  std::set<std::pair<std::string, std::string>> reported;
  const DoorRules rules(config.doors);
  for (size_t i = 0; i < deeds.opens; ++i) {
    const auto& [rule, source] = deeds.opened[i];
    reported.emplace(config.doors[rules.door_of(rule)].name, source.to_string());
  }
  const std::vector<std::string> lines = run.lines();
  for (const std::string& line : lines) {
    if (line.size() > kLongestLine) fail("a line of " + std::to_string(line.size()) + " bytes");
    const auto opening = opening_in(line);
    if (opening && !reported.contains(*opening)) fail("not reported: " + line);
  }
  const auto turns = static_cast<size_t>(run.starts() + deeds.signals);
  const size_t most = 10 + 6 * turns + 8 * deeds.opens +
                      (config.bounds.log_rate + 1) * (static_cast<size_t>(run.seconds()) + 2);
  if (lines.size() > most) {
    for (const std::string& line : lines) std::fprintf(stderr, "%s\n", line.c_str());
    fail(std::to_string(lines.size()) + " lines, at most " + std::to_string(most));
  }
}

}  // namespace

// No other thread, such as libFuzzer's own, may receive the keeper's signals.
extern "C" int LLVMFuzzerInitialize(int*, char***) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : KeeperRun::kSignals) sigaddset(&set, signal);
  return sigprocmask(SIG_BLOCK, &set, nullptr);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  KeeperRun run;
  Config& config = run.config();
  add_doors(config, run.folder());
  config.bounds.log_rate = 5;
  run.options().debug = (data[0] & 1) != 0;
  run.options().only_v4 = (data[0] & 2) != 0;
  if ((data[0] & 4) != 0) run.options().interfaces = {"lo"};

  void* const page =
      mmap(nullptr, sizeof(Deeds), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) fail("no shared memory");
  Deeds& deeds = *new (page) Deeds();
  const size_t before = allocated_bytes();
  const auto act = [&](const ListenerSettings& settings, const Channel& channel) {
    Script({data + 1, size - 1}, settings.doors.size(), channel, deeds).run();
    KeeperRun::wait_until_read(channel);
    // Lets the keeper's process measure its memory, including everything that it keeps.
    const int reloads = deeds.reloads;
    ++deeds.signals;
    kill(getppid(), SIGHUP);
    while (deeds.reloads == reloads) usleep(100);
  };
  const auto reload = [&]() -> Result<Config, ConfigError> {
    ++deeds.reloads;
    const size_t now = allocated_bytes();
    if (now > before + kMostMemory) fail(std::to_string(now - before) + " bytes in use");
    return config;
  };
  int status;
  {
    const QuietOutput quiet;
    status = run.run(act, reload);
  }
  if (status != 0 && !deeds.lacked_rights) fail("status " + std::to_string(status));
  check_log(run, config, deeds);
  munmap(page, sizeof(Deeds));
  return 0;
}
