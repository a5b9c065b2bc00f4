// SPDX-License-Identifier: MIT
#include "knockd/fleet/topic.h"

#include <algorithm>
#include <utility>

#include "knockd/base/name.h"
#include "knockd/base/text.h"
#include "knockd/code/secret.h"

namespace knockd {
namespace {

constexpr size_t kLongestTopic = 1024;
constexpr std::string_view kHex = "0123456789ABCDEF";

bool stands_for_itself(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x20 && byte < 0x7f && c != '/' && c != '+' && c != '#' && c != '%';
}

std::string of_gateway(const std::string& fleet, const std::string& gateway) {
  return "knockd/" + fleet + '/' + gateway + '/';
}

std::optional<DoorAddress> read_place(std::string_view door, std::string_view address) {
  auto name = percent_decode(door);
  const auto host = IpAddress::parse(address);
  if (!name || name->empty() || !host || !host->is_unicast()) return std::nullopt;
  if (host->to_string() != address) return std::nullopt;  // one text per address
  return DoorAddress{std::move(*name), *host};
}

}  // namespace

std::string percent_encode(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (stands_for_itself(c)) {
      encoded += c;
    } else {
      encoded += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return encoded;
}

std::optional<std::string> percent_decode(std::string_view text) {
  std::string decoded;
  while (!text.empty()) {
    if (text.front() != '%') {
      if (!stands_for_itself(text.front())) return std::nullopt;
      decoded += text.front();
      text.remove_prefix(1);
      continue;
    }
    if (text.size() < 3) return std::nullopt;
    const size_t high = kHex.find(text[1]);
    const size_t low = kHex.find(text[2]);
    if (high == kHex.npos || low == kHex.npos) return std::nullopt;
    const char c = static_cast<char>(high * 16 + low);
    if (stands_for_itself(c)) return std::nullopt;
    decoded += c;
    text.remove_prefix(3);
  }
  return decoded;
}

std::string to_text(const std::string& fleet, const Topic& topic) {
  const std::string begin = of_gateway(fleet, topic.gateway);
  const auto place = [&] {
    return percent_encode(topic.place.door) + '/' + topic.place.address.to_string();
  };
  switch (topic.kind) {
    case Topic::Kind::kOpen:
      return begin + "open/" + place();
    case Topic::Kind::kClose:
      return begin + "close/" + place();
    case Topic::Kind::kCode:
      return begin + "code/" + topic.secret + (topic.is_v4 ? "/4" : "/6");
    case Topic::Kind::kSync:
      break;
  }
  return begin + "sync";
}

std::optional<Topic> parse_topic(const std::string& fleet, std::string_view text) {
  if (text.size() > kLongestTopic) return std::nullopt;
  const std::vector<std::string_view> parts = split(text, '/');
  if (parts.size() < 4 || parts[0] != "knockd" || parts[1] != fleet ||
      !is_name(parts[2], kLongestGateway)) {
    return std::nullopt;
  }
  Topic topic;
  topic.gateway = parts[2];
  const std::string_view kind = parts[3];
  if (parts.size() == 4) return kind == "sync" ? std::optional(topic) : std::nullopt;
  if (parts.size() != 6) return std::nullopt;
  if (kind == "code") {
    topic.kind = Topic::Kind::kCode;
    topic.secret = parts[4];
    topic.is_v4 = parts[5] == "4";
    if (!Secret::is_id(topic.secret) || (!topic.is_v4 && parts[5] != "6")) return std::nullopt;
    return topic;
  }
  if (kind != "open" && kind != "close") return std::nullopt;
  topic.kind = kind == "open" ? Topic::Kind::kOpen : Topic::Kind::kClose;
  auto place = read_place(parts[4], parts[5]);
  if (!place) return std::nullopt;
  topic.place = std::move(*place);
  return topic;
}

std::vector<std::string> topic_filters(const std::string& fleet, const std::string& gateway,
                                       const std::set<std::string>& doors) {
  const std::string all = of_gateway(fleet, "+");
  std::vector<std::string> filters{all + "code/+/+"};
  for (const char* const kind : {"close/", "open/"}) {
    for (const std::string& door : doors) {
      filters.push_back(all + kind + percent_encode(door) + "/+");
    }
  }
  filters.push_back(of_gateway(fleet, gateway) + "sync");
  return filters;
}

}  // namespace knockd
