// SPDX-License-Identifier: MIT
#include "knockd/config/rewrites.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "knockd/base/nearest_word.h"
#include "knockd/base/text.h"
#include "knockd/config/lookalike.h"
#include "knockd/knock/sequence.h"
#include "knockd/net/tcp_flags.h"

namespace knockd {
namespace {

constexpr std::string_view kDigits = "0123456789";
constexpr uint64_t kMostPort = 65535;
constexpr std::string_view kSeparators = ",;|+&/:> \t";  // of lists, in place of a comma

// The ports of services that people knock for, by the names of /etc/services.
constexpr std::pair<std::string_view, std::string_view> kServices[] = {
    {"ssh", "22"},           {"http", "80"},
    {"https", "443"},        {"smtp", "25"},
    {"imaps", "993"},        {"domain", "53"},
    {"mysql", "3306"},       {"postgresql", "5432"},
    {"ftp", "21"},           {"ms-wbt-server", "3389"},
    {"openvpn", "1194:udp"}, {"wireguard", "51820:udp"},
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string lower_case(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

std::string without_any(std::string_view text, std::string_view characters) {
  std::string result(text);
  std::erase_if(result, [&](char c) { return characters.find(c) != characters.npos; });
  return result;
}

// The parts between any of these characters, without empty ones.
std::vector<std::string> parts_between(std::string_view text, std::string_view separators) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (separators.find(c) == separators.npos) {
      parts.back() += c;
    } else if (!parts.back().empty()) {
      parts.emplace_back();
    }
  }
  if (parts.back().empty()) parts.pop_back();
  return parts;
}

std::string up_to_comment(std::string_view text) {
  const size_t end = std::min(text.find(" ;"), text.find(" //"));
  text = trim(text.substr(0, end));
  while (text.ends_with(';')) text.remove_suffix(1);
  return std::string(trim(text));
}

// --- Ports -------------------------------------------------------------------------------------

struct Range {
  uint64_t first;
  uint64_t last;
};

// "7000-7003", also with dots.
std::optional<Range> range_of(std::string_view part) {
  const size_t middle = part.find_first_not_of(kDigits);
  const size_t second = part.find_first_of(kDigits, std::min(middle, part.size()));
  if (middle == 0 || second == part.npos) return std::nullopt;
  if (!is_one_of(part.substr(middle, second - middle), "- ..")) return std::nullopt;
  const auto first = parse_number(part.substr(0, middle), kMostPort);
  const auto last = parse_number(part.substr(second), kMostPort);
  if (!first || !last || *last < *first) return std::nullopt;
  return Range{*first, *last};
}

// Each port of a range; `part` itself if it is not a range.
std::vector<std::string> ports_of_range(const std::string& part) {
  const auto range = range_of(part);
  if (!range || range->last - range->first >= kMaxKnocks) return {part};
  std::vector<std::string> ports;
  for (uint64_t port = range->first; port <= range->last; ++port) {
    ports.push_back(std::to_string(port));
  }
  return ports;
}

// A colon between digits marks a range; any other one precedes a protocol.
std::string with_ranges_marked(std::string_view text) {
  std::string result(text);
  for (size_t i = 1; i + 1 < result.size(); ++i) {
    if (result[i] == ':' && is_digit(result[i - 1]) && is_digit(result[i + 1])) result[i] = '-';
  }
  return result;
}

std::string port_of_service(std::string_view name) {
  const auto* const found =
      std::find_if(std::begin(kServices), std::end(kServices),
                   [&](const auto& service) { return service.first == name; });
  return std::string(found == std::end(kServices) ? name : found->second);
}

// "7000/tcp 8000/udp", "tcp:7000 udp:8000", "ssh".
std::string as_ports(std::string_view text) {
  const auto parts = parts_between(lower_case(with_ranges_marked(text)), kSeparators);
  const auto is_protocol = [](std::string_view part) { return is_one_of(part, "tcp udp"); };
  const bool is_before = !parts.empty() && is_protocol(parts.front());
  std::vector<std::string> ports;
  std::string protocol;  // of the next port
  for (const std::string& part : parts) {
    if (is_protocol(part) && is_before) {
      protocol = ':' + part;
    } else if (is_protocol(part)) {
      ports.back() += ':' + part;
    } else {
      for (const std::string& port : ports_of_range(part)) {
        ports.push_back(port_of_service(port) + std::exchange(protocol, ""));
      }
    }
  }
  return join(ports, ",");
}

// "7000-8000-9000", which is not a range.
std::string as_chain_of_ports(std::string_view text) {
  std::string commas(text);
  if (std::count(text.begin(), text.end(), '-') < 2) return commas;
  std::replace(commas.begin(), commas.end(), '-', ',');
  return as_ports(commas);
}

// --- Other lists -------------------------------------------------------------------------------

// The flag that is meant, without a leading '!'.
std::string as_flag(std::string_view text) {
  const size_t begin = text.starts_with('!') ? 1 : 0;
  std::vector<std::string_view> names;
  for (const TcpFlagName& flag : kTcpFlagNames) names.emplace_back(flag.name);
  const std::string_view nearest = nearest_word(text.substr(begin), names);
  return std::string(text.substr(0, begin)).append(nearest.empty() ? text.substr(begin) : nearest);
}

// "SYN|ACK", "SYN -ACK", "syn not ack", "TH_SYN".
std::string as_flags(std::string_view text) {
  if (text.find_first_of(kDigits) != text.npos) return std::string(text);
  std::vector<std::string> flags;
  std::string before;
  for (std::string part : parts_between(lower_case(text), kSeparators)) {
    if (part == "not") {
      before = "!";
      continue;
    }
    if (part.starts_with("th_")) part.erase(0, 3);
    if (is_one_of(part.substr(0, 1), "- ~ ^")) part[0] = '!';
    for (const std::string_view flag : split(part, '-')) {
      flags.push_back(std::exchange(before, "") + as_flag(flag));
    }
  }
  return join(flags, ",");
}

// --- One word ----------------------------------------------------------------------------------

// "1 hour", "30min", "5 m".
std::string as_time(std::string_view text) {
  const size_t end = std::min(text.find_first_not_of(kDigits), text.size());
  const std::string unit = lower_case(trim(text.substr(end)));
  constexpr std::pair<std::string_view, std::string_view> kUnits[] = {
      {"s", "s"},       {"sec", "s"},     {"secs", "s"}, {"second", "s"},
      {"seconds", "s"}, {"m", "m"},       {"min", "m"},  {"mins", "m"},
      {"minute", "m"},  {"minutes", "m"}, {"h", "h"},    {"hour", "h"},
      {"hours", "h"},   {"d", "d"},       {"day", "d"},  {"days", "d"}};
  for (const auto& [name, letter] : kUnits) {
    if (unit == name) return std::string(text.substr(0, end)).append(letter);
  }
  return std::string(text);
}

std::string as_word(std::string_view text) {
  const std::string mistyped = lower_case(text);
  const std::string_view nearest =
      nearest_word(mistyped, {"yes", "no", "true", "false", "enabled", "disabled", "close", "keep",
                              "run", "extend", "ignore", "none"});
  const std::string word = nearest.empty() ? mistyped : std::string(nearest);
  if (is_one_of(word, "true on 1 y ye enabled")) return "yes";
  if (is_one_of(word, "false off 0 n disabled")) return "no";
  return word;
}

// "65,536", "65_536": a number in groups of three digits.
std::string as_number(std::string_view text) {
  const auto groups = parts_between(text, ",_");
  for (size_t i = 1; i < groups.size(); ++i) {
    if (groups[i].size() != 3 || !parse_number(groups[i], 999)) return std::string(text);
  }
  return join(groups, "");
}

// An address with a prefix length that means a single address.
std::string as_address(std::string_view text) {
  for (const std::string_view end : {"/32", "/128"}) {
    if (text.ends_with(end)) text.remove_suffix(end.size());
  }
  return std::string(text);
}

}  // namespace

std::string without_quotes(std::string_view text) {
  std::string plain = up_to_comment(trim(without_lookalikes(text)));
  const auto is_quote = [](char c) { return c == '"' || c == '\'' || c == '`'; };
  if (plain.size() > 1 && is_quote(plain.front()) && plain.back() == plain.front()) {
    return plain.substr(1, plain.size() - 2);
  }
  return plain;
}

std::string without_decoration(std::string_view text) {
  std::string_view plain = text;
  while (plain.starts_with('=') || plain.starts_with(':')) plain = trim(plain.substr(1));
  return std::string(trim(without_any(without_quotes(plain), "\"'`()[]{}")));
}

bool has_range(std::string_view text) {
  const auto parts = parts_between(with_ranges_marked(text), kSeparators);
  return std::any_of(parts.begin(), parts.end(),
                     [](const std::string& part) { return range_of(part).has_value(); });
}

std::vector<std::string> rewrites(std::string_view text) {
  const std::string blanks_between = join(parts_between(text, ",:/@ \t"), " ");
  const std::string commas_between = join(parts_between(text, ",;|+& \t"), ",");
  return {std::string(text),       as_time(text),  as_word(text),  as_number(text),
          as_address(text),        blanks_between, commas_between, as_ports(text),
          as_chain_of_ports(text), as_flags(text)};
}

}  // namespace knockd
