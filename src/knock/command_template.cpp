// SPDX-License-Identifier: MIT
#include "knockd/knock/command_template.h"

namespace knockd {

std::string render_command(std::string_view command, const IpAddress& source, uint8_t prefix) {
  constexpr std::string_view kToken = "%IP%";
  const std::string address = network_text(source, prefix);
  std::string text;
  for (size_t at = 0;;) {
    const size_t token = command.find(kToken, at);
    text += command.substr(at, token - at);
    if (token == std::string_view::npos) return text;
    text += address;
    at = token + kToken.size();
  }
}

}  // namespace knockd
