// SPDX-License-Identifier: MIT
#include "knockd/control/request.h"

#include <algorithm>
#include <span>

#include "knockd/base/text.h"
#include "knockd/config/values.h"

namespace knockd {
namespace {

using Words = std::span<const std::string_view>;

constexpr std::string_view kDoorOption = "--door=";

// The door that a word names by the option; nothing for any other word.
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

}  // namespace

Result<Request> parse_request(std::string_view line) {
  const std::vector<std::string_view> all = split(line, '\t');
  const Words words = Words(all).subspan(1);
  if (all[0] == "status") return read_status(words);
  if (all[0] == "close") return read_close(words);
  if (all[0] == "open") return read_open(words);
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
