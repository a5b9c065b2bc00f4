// SPDX-License-Identifier: MIT
#include "knockd/control/request.h"

#include <algorithm>
#include <span>

#include "knockd/base/name.h"
#include "knockd/base/text.h"
#include "knockd/code/secret.h"
#include "knockd/config/values.h"

namespace knockd {
namespace {

using Words = std::span<const std::string_view>;

constexpr std::string_view kDoorOption = "--door=";
constexpr uint64_t kMostSteps = uint64_t{1} << 40;

// The door of a word --door=NAME; nothing for any other word.
std::optional<std::string> named_door(std::string_view word) {
  if (!word.starts_with(kDoorOption)) return std::nullopt;
  return std::string(word.substr(kDoorOption.size()));
}

Result<IpAddress> read_address(std::string_view word) {
  const auto address = IpAddress::parse(word);
  if (!address) return Fault{"expected an address, not " + in_quotes(word)};
  if (!address->is_unicast())
    return Fault{in_quotes(word) + " is no address that a knocker can have"};
  return *address;
}

Result<Request> read_status(Words words) {
  if (words.empty()) return Request(AskStatus{});
  if (words.size() == 1) {
    if (words[0] == "json") return Request(AskStatus{AskStatus::Form::kJson});
    if (words[0] == "table") return Request(AskStatus{AskStatus::Form::kTable});
    if (words[0] == "prometheus") return Request(AskStatus{AskStatus::Form::kPrometheus});
  }
  return Fault{"status: expected json, table, prometheus or nothing, not " +
               in_quotes(words.back())};
}

Result<Request> read_close(Words words) {
  constexpr char kExpected[] = "close: expected ADDRESS, DOOR, DOOR ADDRESS or all";
  if (words.empty() || words.size() > 2) return Fault{kExpected};
  Selection selection;
  const std::string_view first = words[0];
  selection.door = named_door(first);
  if (!selection.door && words.size() == 1) {
    if (first == "all") return Request(AskClose{});
    selection.address = IpAddress::parse(first);
    if (selection.address) return Request(AskClose{selection});
  }
  if (!selection.door) selection.door = first;
  if (words.size() == 2) {
    const auto address = read_address(words[1]);
    if (!address) return Fault{"close: " + address.error().text};
    selection.address = *address;
  }
  return Request(AskClose{std::move(selection)});
}

Result<Request> read_open(Words words) {
  if (words.size() < 2 || words.size() > 3) return Fault{"open: expected DOOR ADDRESS [TIME]"};
  AskOpen open;
  open.door = named_door(words[0]).value_or(std::string(words[0]));
  const auto address = read_address(words[1]);
  if (!address) return Fault{"open: " + address.error().text};
  open.address = *address;
  if (words.size() == 3) {
    open.time = parse_time(words[2], kLongestTime);
    if (!open.time || *open.time <= Duration::zero()) {
      return Fault{"open: expected a time like 90s, 10m or 1h, not " + in_quotes(words[2])};
    }
  }
  return Request(std::move(open));
}

// --- Of knockd-fleet

// "12.345". Nothing for other text and for 0.
std::optional<Duration> read_seconds(std::string_view word) {
  const size_t point = std::min(word.find('.'), word.size());
  std::string part(word.substr(point));
  if (part.size() == 1 || part.size() > 10) return std::nullopt;
  part.resize(10, '0');
  constexpr uint64_t kMost = kLongestTime / std::chrono::seconds(1);
  const auto whole = parse_number(word.substr(0, point), kMost);
  const auto nanoseconds = parse_number(part.substr(1), 999'999'999);
  if (!whole || !nanoseconds || *whole + *nanoseconds == 0) return std::nullopt;
  return std::chrono::seconds(*whole) + std::chrono::nanoseconds(*nanoseconds);
}

Fault bad_word(std::string_view request, const char* expected, std::string_view word) {
  return {std::string(request) + ": expected " + expected + ", not " + in_quotes(word)};
}

Result<Request> read_fleet_open(std::string_view request, Words words) {
  const auto address = read_address(words[1]);
  if (!address) return Fault{std::string(request) + ": " + address.error().text};
  const auto left = read_seconds(words[2]);
  if (!left) return bad_word(request, "seconds like 12.345", words[2]);
  if (!is_name(words[3], kLongestGateway)) return bad_word(request, "a gateway", words[3]);
  const std::string_view user = words.size() > 4 ? words[4] : "";
  if (words.size() > 4 && !is_name(user, kLongestUser)) return bad_word(request, "a user", user);
  return Request(AskFleetOpen{std::string(words[0]), *address, *left, std::string(words[3]),
                              std::string(user)});
}

Result<Request> read_fleet_close(std::string_view request, Words words) {
  const auto address = read_address(words[1]);
  if (!address) return Fault{std::string(request) + ": " + address.error().text};
  if (!is_name(words[2], kLongestGateway)) return bad_word(request, "a gateway", words[2]);
  return Request(AskFleetClose{{std::string(words[0]), *address}, std::string(words[2])});
}

Result<Request> read_fleet_used(std::string_view request, Words words) {
  if (!Secret::is_id(words[0])) return bad_word(request, "16 digits", words[0]);
  const auto step = parse_number(words[1], kMostSteps);
  if (!step) return bad_word(request, "a step", words[1]);
  // Also "::": used over IPv6 without a source.
  const auto address = IpAddress::parse(words[2]);
  if (!address) return bad_word(request, "an address", words[2]);
  if (!is_name(words[3], kLongestGateway)) return bad_word(request, "a gateway", words[3]);
  return Request(AskFleetUsed{{std::string(words[0]), static_cast<Step>(*step), *address}});
}

Result<Request> read_fleet_share(std::string_view request, Words words) {
  const bool share = words[0] == "yes";
  if (!share && words[0] != "no") return bad_word(request, "yes or no", words[0]);
  return Request(AskFleetShare{share});
}

Result<Request> read_fleet_shared(std::string_view request, Words words) {
  const auto id = parse_number(words[0], UINT64_MAX);
  if (!id) return bad_word(request, "the id of a code", words[0]);
  return Request(AskFleetShared{*id});
}

struct FleetRequest {
  std::string_view name;
  const char* words;
  size_t least;  // words
  size_t most;
  Result<Request> (*read)(std::string_view request, Words words);
};

constexpr FleetRequest kFleetRequests[] = {
    {"fleet-open", "DOOR ADDRESS SECONDS GATEWAY [USER]", 4, 5, read_fleet_open},
    {"fleet-close", "DOOR ADDRESS GATEWAY", 3, 3, read_fleet_close},
    {"fleet-used", "SECRET STEP ADDRESS GATEWAY", 4, 4, read_fleet_used},
    {"fleet-share", "yes or no", 1, 1, read_fleet_share},
    {"fleet-shared", "ID", 1, 1, read_fleet_shared},
};

}  // namespace

Result<Request> parse_request(std::string_view line) {
  const std::vector<std::string_view> all = split(line, '\t');
  const Words words = Words(all).subspan(1);
  if (all[0] == "status") return read_status(words);
  if (all[0] == "close") return read_close(words);
  if (all[0] == "open") return read_open(words);
  for (const FleetRequest& request : kFleetRequests) {
    if (all[0] != request.name) continue;
    if (words.size() >= request.least && words.size() <= request.most) {
      return request.read(request.name, words);
    }
    return Fault{std::string(request.name) + ": expected " + request.words};
  }
  if (all[0] != "events") {
    return Fault{"expected status, close, open or events, not " + in_quotes(all[0])};
  }
  if (!words.empty()) return Fault{"events: expected nothing behind it"};
  return Request(AskEvents{});
}

Result<std::string> request_line(const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    const bool has_control = std::any_of(
        word.begin(), word.end(), [](char c) { return c == '\t' || c == '\n' || c == '\0'; });
    if (has_control) return Fault{in_quotes(word) + " has a character that no name has"};
  }
  std::string line = join(words, "\t");
  if (line.size() > kLongestRequest) return Fault{"the names are too long"};
  return line;
}

}  // namespace knockd
