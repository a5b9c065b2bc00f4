// SPDX-License-Identifier: MIT
#include "knockd/client/words.h"

#include <netdb.h>
#include <netinet/in.h>

#include "knockd/base/text.h"
#include "knockd/config/values.h"

namespace knockd::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint64_t kMostSeconds = uint64_t{24} * 60 * 60;

// Nothing for text that is not a plain knock: a place that changes with time, or a fault.
std::optional<Knock> read_knock(std::string_view text, Protocol unsaid) {
  const auto result = parse_knock(text, unsaid);
  if (const auto* knock = std::get_if<Knock>(&result)) return *knock;

  // A knock with a service name is one if it is valid with a port instead of the name.
  const size_t colon = text.find(':');
  const std::string any_port =
      colon == std::string_view::npos ? "1" : "1" + std::string(text.substr(colon));
  const auto stand_in = parse_knock(any_port, unsaid);
  const auto* knock = std::get_if<Knock>(&stand_in);
  if (knock == nullptr) return std::nullopt;
  const auto port = parse_port(trim(text.substr(0, colon)), knock->protocol);
  if (!port) return std::nullopt;
  return Knock{*port, knock->protocol};
}

}  // namespace

std::optional<Duration> parse_duration(std::string_view text, Duration unit) {
  if (text.ends_with("ms")) {
    unit = milliseconds(1);
    text.remove_suffix(2);
  } else if (text.ends_with("s")) {
    unit = seconds(1);
    text.remove_suffix(1);
  } else if (text.find('.') != std::string_view::npos) {
    unit = seconds(1);
  }
  const size_t point = text.find('.');
  const std::string_view before = point == 0 ? "0" : text.substr(0, point);
  const auto whole = parse_number(before, kMostSeconds * 1000);
  if (!whole) return std::nullopt;
  Duration duration = unit * static_cast<Duration::rep>(*whole);

  if (point != std::string_view::npos) {
    const std::string_view digits = text.substr(point + 1);
    const auto parts = parse_number(digits, 999'999'999);
    if (!parts || digits.size() > 9) return std::nullopt;
    Duration::rep ten_power = 1;
    for (size_t i = 0; i < digits.size(); ++i) ten_power *= 10;
    duration += unit * static_cast<Duration::rep>(*parts) / ten_power;
  }
  if (duration > seconds(kMostSeconds)) return std::nullopt;
  return duration;
}

std::optional<uint16_t> parse_port(std::string_view text, Protocol protocol) {
  const uint64_t number = parse_number(text, 65535).value_or(0);
  if (number != 0) return static_cast<uint16_t>(number);
  const servent* service = getservbyname(std::string(text).c_str(), protocol_name(protocol));
  if (service == nullptr) return std::nullopt;
  return ntohs(static_cast<uint16_t>(service->s_port));
}

std::variant<CodedSequence, TextFault> parse_knock_lists(const std::vector<std::string>& lists,
                                                         Protocol unsaid) {
  CodedSequence result;
  std::vector<std::string> parts;
  bool is_plain = true;
  for (const std::string& list : lists) {
    if (trim(list).empty()) {
      return TextFault{0, "empty sequence: expected a list of ports like 7000,8000:udp,9000"};
    }
    for (const std::string_view part : split(list, ',')) {
      const auto knock = read_knock(part, unsaid);
      if (knock) result.sequence.push_back(*knock);
      parts.push_back(knock ? to_string(Sequence{*knock}) : std::string(trim(part)));
      is_plain = is_plain && knock.has_value();
    }
  }
  if (is_plain) return result;
  return parse_coded_sequence(join(parts, ","));
}

}  // namespace knockd::client
