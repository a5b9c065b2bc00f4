// SPDX-License-Identifier: MIT
// Looks only at words. A wrong guess does little harm: the check prints the port that it tried.
#include "knockd/client/opened_port.h"

#include <string>
#include <vector>

#include "knockd/base/text.h"
#include "knockd/client/words.h"

namespace knockd::client {
namespace {

constexpr std::string_view kAddPort = "--add-port=";

// "22", "22:tcp", "22/tcp", "ssh", "80,443": the first port. Nothing for udp.
std::optional<uint16_t> tcp_port(std::string_view text) {
  if (text.find("udp") != text.npos) return std::nullopt;
  return parse_port(text.substr(0, text.find_first_of(":/,-;}")), Protocol::kTcp);
}

}  // namespace

std::optional<uint16_t> opened_port(std::string_view command) {
  const std::vector<std::string_view> words = split_words(command);
  bool is_udp = false;
  for (size_t i = 0; i < words.size(); ++i) {
    const auto port_at = [&](size_t index) {
      return index < words.size() ? tcp_port(words[index]) : std::nullopt;
    };
    std::optional<uint16_t> port;
    if (is_one_of(words[i], "tcp udp")) {
      is_udp = words[i] == "udp";
    } else if (is_one_of(words[i], "--dport --dports --destination-port dport port")) {
      if (!is_udp) port = port_at(i + 1);
    } else if (words[i].starts_with(kAddPort)) {
      port = tcp_port(words[i].substr(kAddPort.size()));
    } else if (words[i] == "forward-port") {
      port = port_at(i + 3);  // after a name and an address
    } else if (words[i] == "open-port") {
      for (size_t next = i + 3; next < words.size() && !port; ++next) port = port_at(next);
    }
    if (port) return port;
  }
  return std::nullopt;
}

}  // namespace knockd::client
