// SPDX-License-Identifier: MIT
#include "knockd/config/values.h"

#include <net/if.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "knockd/base/text.h"

namespace knockd {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t'; }

// The offset of `part` in `whole`; an empty part (trimmed away) may point outside.
size_t offset_in(std::string_view whole, std::string_view part, size_t otherwise) {
  return part.empty() ? otherwise : static_cast<size_t>(part.data() - whole.data());
}

std::optional<uint8_t> flag_named(std::string_view name) {
  for (const auto& [bit, known] : kTcpFlagNames) {
    if (equals_ignoring_case(known, name)) return bit;
  }
  return std::nullopt;
}

// Why the kernel would refuse this name (net/core/dev.c, dev_valid_name); empty if valid.
std::string fault_in_interface_name(std::string_view name) {
  if (name.empty() || name.size() >= IFNAMSIZ) {
    return format("expected a name of 1 to %d bytes", IFNAMSIZ - 1);
  }
  if (name == "." || name == ".." || name.find_first_of("/ \t") != std::string_view::npos ||
      find_control_byte(name) != std::string_view::npos) {
    return "expected a name like eth0, without blanks and slashes";
  }
  return {};
}

}  // namespace

bool is_utf16(std::string_view text) {
  return text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff");
}

std::string_view without_comment(std::string_view text) {
  for (size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '#' && is_blank(text[i - 1])) return trim(text.substr(0, i));
  }
  return trim(text);
}

size_t find_closing_bracket(std::string_view text) {
  size_t at = text.find(']');
  while (at != std::string_view::npos && !without_comment(text.substr(at + 1)).empty()) {
    at = text.find(']', at + 1);
  }
  return at;
}

std::string in_quotes(std::string_view text) {
  constexpr size_t kMost = 80;
  const bool cut = text.size() > kMost;
  return '"' + printable(text.substr(0, kMost)) + (cut ? "...\"" : "\"");
}

size_t find_control_byte(std::string_view text) {
  const auto* const found = std::find_if(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
  return found == text.end() ? std::string_view::npos : static_cast<size_t>(found - text.begin());
}

std::optional<Duration> parse_time(std::string_view text, Duration most) {
  constexpr std::pair<char, std::chrono::seconds> kUnits[] = {{'s', std::chrono::seconds(1)},
                                                              {'m', std::chrono::minutes(1)},
                                                              {'h', std::chrono::hours(1)},
                                                              {'d', std::chrono::hours(24)}};
  std::chrono::seconds unit(1);
  for (const auto& [letter, length] : kUnits) {
    if (!text.ends_with(letter)) continue;
    unit = length;
    text.remove_suffix(1);
    break;
  }
  const auto number = parse_number(text, static_cast<uint64_t>(most / unit));
  if (!number) return std::nullopt;
  return unit * static_cast<int64_t>(*number);
}

std::variant<FlagMask, TextFault> parse_tcp_flags(std::string_view text) {
  FlagMask mask;
  for (const std::string_view part : split(text, ',')) {
    const std::string_view item = trim(part);
    const size_t offset = offset_in(text, item, offset_in(text, part, text.size()));
    const bool excluded = !item.empty() && item.front() == '!';
    const auto bit = flag_named(trim(excluded ? item.substr(1) : item));
    if (!bit) {
      return TextFault{offset, format("flag %s: expected fin, syn, rst, psh, ack or urg, with ! "
                                      "before one that must not be set",
                                      in_quotes(item).c_str())};
    }
    uint8_t& flags = excluded ? mask.excluded : mask.wanted;
    flags = static_cast<uint8_t>(flags | *bit);
    if ((mask.wanted & mask.excluded) != 0) {
      return TextFault{offset, format("flag %s: expected it to be either wanted or excluded, not "
                                      "both",
                                      in_quotes(item).c_str())};
    }
  }
  // The scan guard counts only connection attempts: other packets that a door accepts would escape
  // it.
  if ((mask.wanted & kTcpSyn) != 0 && (mask.wanted & kTcpAck) == 0) mask.excluded |= kTcpAck;
  return mask;
}

std::variant<InterfaceList, TextFault> parse_interface_list(std::string_view text) {
  InterfaceList list;
  size_t any_offset = 0;
  for (const std::string_view part : split(text, ',')) {
    const std::string_view name = trim(part);
    const size_t offset = offset_in(text, name, offset_in(text, part, text.size()));
    if (const std::string fault = fault_in_interface_name(name); !fault.empty()) {
      return TextFault{offset, format("interface %s: %s", in_quotes(name).c_str(), fault.c_str())};
    }
    if (std::find(list.names.begin(), list.names.end(), name) != list.names.end()) {
      list.remarks.push_back(
          {offset, format("interface %s is named twice", in_quotes(name).c_str())});
      continue;
    }
    if (name == "any") any_offset = offset;
    list.names.emplace_back(name);
  }
  const bool has_any = std::find(list.names.begin(), list.names.end(), "any") != list.names.end();
  if (has_any && list.names.size() > 1) {
    list.remarks.push_back({any_offset, "interface \"any\" covers the others that are named"});
    list.names = {"any"};
  }
  return list;
}

}  // namespace knockd
