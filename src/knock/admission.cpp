// SPDX-License-Identifier: MIT
#include "knockd/knock/admission.h"

#include <algorithm>

#include "knockd/base/text.h"
#include "knockd/knock/nft_name.h"

namespace knockd {
namespace {

const char* family_name(TableFamily family) {
  switch (family) {
    case TableFamily::kInet:
      return "inet";
    case TableFamily::kIp:
      return "ip";
    case TableFamily::kIp6:
      return "ip6";
  }
  return "";
}

std::optional<TableFamily> parse_family(std::string_view word) {
  for (const auto family : {TableFamily::kInet, TableFamily::kIp, TableFamily::kIp6}) {
    if (word == family_name(family)) return family;
  }
  return std::nullopt;
}

}  // namespace

std::string to_string(const SetName& name) {
  return std::string(family_name(name.family)) + ' ' + name.table + ' ' + name.set;
}

std::optional<SetName> parse_set_name(std::string_view text) {
  const std::vector<std::string_view> words = split_words(text);
  if (words.size() != 3 || !is_nft_name(words[1]) || !is_nft_name(words[2])) return std::nullopt;
  const auto family = parse_family(words[0]);
  if (!family) return std::nullopt;
  return SetName{*family, std::string(words[1]), std::string(words[2])};
}

IpAddress network_of(const IpAddress& address, uint8_t prefix) {
  IpAddress::Bytes bytes = address.bytes();
  for (size_t i = 0; i < bytes.size(); ++i) {
    const int bits = std::clamp(prefix - static_cast<int>(8 * i), 0, 8);
    bytes[i] = static_cast<uint8_t>(bytes[i] & (0xff00 >> bits));
  }
  return IpAddress(bytes);
}

std::string network_text(const IpAddress& address, uint8_t prefix) {
  if (prefix == 128) return address.to_string();
  const int length = address.is_v4() ? prefix - kMappedBits : prefix;
  return network_of(address, prefix).to_string() + format("/%d", length);
}

std::string admitted_text(const Admission& admission) {
  if (admission.ports.empty() && admission.set) return to_string(*admission.set);
  std::vector<std::string> parts;
  for (const Knock& port : admission.ports) {
    parts.push_back(format("%s %u", protocol_name(port.protocol), port.port));
  }
  return join(parts, ", ");
}

std::string own_set_name(bool is_v4, uint8_t prefix) {
  return is_v4 ? format("open4_%d", prefix - kMappedBits) : format("open6_%d", prefix);
}

}  // namespace knockd
