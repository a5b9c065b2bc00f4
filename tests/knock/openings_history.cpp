// SPDX-License-Identifier: MIT
#include "tests/knock/openings_history.h"

#include <array>
#include <charconv>
#include <random>

namespace knockd::openings_test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// In the order of Event::Kind.
constexpr std::array<std::string_view, 17> kWords = {
    "knock", "unmarked", "full", "let",  "fleet", "shut",  "end",  "again", "never",
    "sync",  "alarm",    "half", "late", "crash", "close", "keep", "leave"};

bool is_knock(Event::Kind kind) { return kind <= Event::Kind::kShutByHand; }
bool has_number(Event::Kind kind) {
  return (kind >= Event::Kind::kEnd && kind <= Event::Kind::kNever) || kind == Event::Kind::kCrash;
}

std::optional<Event> parse_event(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  const size_t blank = text.find(' ');
  const std::string_view word = text.substr(0, blank);
  const std::string_view rest = blank == text.npos ? "" : text.substr(blank + 1);
  for (size_t i = 0; i < kWords.size(); ++i) {
    if (kWords[i] != word) continue;
    Event event{static_cast<Event::Kind>(i)};
    if (is_knock(event.kind)) {
      if (rest.size() != 2 || rest[0] < 'A' || rest[0] > 'B' || rest[1] < '1' || rest[1] > '2') {
        return std::nullopt;
      }
      event.a = static_cast<uint8_t>(rest[0] - 'A');
      event.b = static_cast<uint8_t>(rest[1] - '1');
    } else if (has_number(event.kind)) {
      const char* const end = rest.data() + rest.size();
      if (std::from_chars(rest.data(), end, event.a).ptr != end || rest.empty())
        return std::nullopt;
    } else if (!rest.empty()) {
      return std::nullopt;
    }
    return event;
  }
  return std::nullopt;
}

Terms terms(const char* name, Reknock reknock) {
  Terms terms;
  terms.door = name;
  terms.start = std::string("+") + name + "%IP%";
  terms.stop = std::string("-") + name + "%IP%";
  terms.reknock = reknock;
  return terms;
}

void put(Setting& setting, Terms a, Terms b) {
  a.number = 0;
  b.number = 1;
  setting.doors = {std::make_shared<const Terms>(std::move(a)),
                   std::make_shared<const Terms>(std::move(b))};
}

const Admission kPorts{{{22, Protocol::kTcp}, {51820, Protocol::kUdp}}, {}, 128};

Terms without_commands(Terms terms) {
  terms.start.clear();
  terms.stop.clear();
  terms.admission = kPorts;
  return terms;
}

Setting fixed_setting(uint64_t number) {
  Setting setting;
  Terms a = terms("A", Reknock::kRun);
  Terms b = terms("B", Reknock::kRun);
  switch (number) {
    case 0:  // the plain one; B is open for less time than a stop waits for a start
      b.open_for = milliseconds(500);
      break;
    case 1:
      a.reknock = b.reknock = Reknock::kExtend;
      b.open_for = milliseconds(500);
      break;
    case 2:
      a.reknock = b.reknock = Reknock::kIgnore;
      b.stop.clear();
      break;
    case 3:
      a.start.clear();
      b.start.clear();
      b.reknock = Reknock::kExtend;
      break;
    case 4:
      a.one_time = b.one_time = true;
      b.reknock = Reknock::kExtend;
      break;
    case 5:
      a.cooldown = seconds(5);
      b.cooldown = seconds(5);
      b.reknock = Reknock::kExtend;
      break;
    case 6:
      setting.limits = {1, 1, 1};
      break;
    case 7:
      setting.limits = {1, 1, 1};
      b.stop.clear();
      a.reknock = Reknock::kExtend;
      break;
    case 8:
      a.max_open = b.max_open = 2;
      b.reknock = Reknock::kExtend;
      setting.limits = {2, 0, 2};
      break;
    case 9:
      a.max_open = 1;
      a.reknock = Reknock::kIgnore;
      b.start.clear();
      b.one_time = true;
      setting.limits = {0, 1, 2};
      break;
    // The following doors have ports: alone, with a stop, with a start, with both.
    case 10:
      a = without_commands(a);
      a.reknock = Reknock::kExtend;
      b.admission = kPorts;
      b.start.clear();
      b.open_for = milliseconds(500);
      break;
    case 11:
      a.admission = b.admission = kPorts;
      a.stop.clear();
      a.reknock = b.reknock = Reknock::kExtend;
      b.open_for = milliseconds(500);
      break;
    case 12:
      a = without_commands(a);
      a.one_time = b.one_time = true;
      a.max_open = 1;
      b.admission = kPorts;
      setting.limits = {1, 0, 1};
      break;
    default:
      a.admission = b.admission = kPorts;
      a.stop.clear();
      a.open_for = milliseconds(500);
      b.reknock = Reknock::kIgnore;
      b.max_open = 2;
      setting.limits = {1, 0, 2};
      break;
  }
  put(setting, std::move(a), std::move(b));
  return setting;
}

Setting random_setting(uint64_t number) {
  std::mt19937_64 random(number);
  const auto one_of = [&](unsigned of) { return random() % of == 0; };
  const auto draw = [&](const char* name) {
    constexpr std::array kOpenFor = {milliseconds(300), milliseconds(1000), milliseconds(2500),
                                     milliseconds(10000)};
    Terms drawn = terms(name, static_cast<Reknock>(random() % 3));
    drawn.open_for = kOpenFor[random() % kOpenFor.size()];
    if (one_of(6)) drawn.start.clear();
    if (one_of(6)) drawn.stop.clear();
    if (one_of(4)) drawn.cooldown = milliseconds(500) * (1 + random() % 8);
    if (one_of(4)) drawn.one_time = true;
    if (one_of(3)) drawn.max_open = static_cast<uint32_t>(1 + random() % 3);
    if (!one_of(3)) return drawn;
    drawn.admission = kPorts;
    if (one_of(3)) drawn.start.clear();
    if (one_of(3)) drawn.stop.clear();
    return drawn;
  };
  Setting setting;
  put(setting, draw("A"), draw("B"));
  if (one_of(2)) setting.limits = {random() % 3, random() % 3, 1 + random() % 16};
  if (setting.limits.own_places + setting.limits.shared_places == 0) setting.limits.own_places = 1;
  setting.sequences = static_cast<int>(1 + random() % 6);
  return setting;
}

}  // namespace

std::string to_text(const History& history) {
  std::string text;
  for (const Event& event : history) {
    if (!text.empty()) text += ", ";
    text += kWords[static_cast<size_t>(event.kind)];
    if (is_knock(event.kind)) {
      text += {' ', static_cast<char>('A' + event.a), static_cast<char>('1' + event.b)};
    } else if (has_number(event.kind)) {
      text += ' ' + std::to_string(event.a);
    }
  }
  return text;
}

std::optional<History> parse_history(std::string_view text) {
  History history;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    const std::optional<Event> event = parse_event(text.substr(0, comma));
    if (!event) return std::nullopt;
    history.push_back(*event);
    text = comma == text.npos ? "" : text.substr(comma + 1);
  }
  return history;
}

Setting make_setting(uint64_t number) {
  return number < kFirstRandom ? fixed_setting(number) : random_setting(number);
}

std::string to_text(const Setting& setting) {
  constexpr std::array kReknock = {"run", "extend", "ignore"};
  const auto in_ms = [](Duration time) {
    return std::to_string(std::chrono::duration_cast<milliseconds>(time).count()) + " ms";
  };
  std::string text;
  for (const auto& door : setting.doors) {
    text += "door " + door->door + ": reknock " + kReknock[static_cast<size_t>(door->reknock)] +
            ", open for " + in_ms(door->open_for) + ", max_open " + std::to_string(door->max_open);
    if (door->start.empty()) text += ", no start";
    if (door->stop.empty()) text += ", no stop";
    if (door->admission) text += ", ports";
    if (door->cooldown != Duration::zero()) text += ", cooldown " + in_ms(door->cooldown);
    if (door->one_time) text += ", one-time";
    text += '\n';
  }
  return text + "places: own " + std::to_string(setting.limits.own_places) + ", shared " +
         std::to_string(setting.limits.shared_places) + "; waiting starts of a door " +
         std::to_string(setting.limits.waiting_starts) + "; one-time sequences " +
         std::to_string(setting.sequences) + '\n';
}

std::string play(const Setting& setting, const History& history, bool hanging,
                 std::vector<std::string>* trace) {
  World world(setting);
  world.set_trace(trace);
  for (const Event& event : history) {
    if (trace != nullptr) trace->push_back(to_text({event}));
    world.apply(event);
    if (!world.failure().empty()) return world.failure();
  }
  if (trace != nullptr) trace->push_back(hanging ? "drain, starts end last" : "drain");
  world.drain(hanging);
  return world.failure();
}

History shorten(const Setting& setting, History history, bool hanging) {
  for (bool shorter = true; shorter;) {
    shorter = false;
    for (size_t i = history.size(); i-- > 0;) {
      History without = history;
      without.erase(without.begin() + static_cast<ptrdiff_t>(i));
      if (play(setting, without, hanging).empty()) continue;
      history = std::move(without);
      shorter = true;
    }
  }
  return history;
}

}  // namespace knockd::openings_test
