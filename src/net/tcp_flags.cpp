// SPDX-License-Identifier: MIT
#include "knockd/net/tcp_flags.h"

namespace knockd {

std::string flags_text(uint8_t flags) {
  const std::string text = to_string(FlagMask{flags, 0});
  return text == "any" ? "no flags" : text;
}

std::string to_string(const FlagMask& mask) {
  std::string text;
  for (const auto& [bit, name] : kTcpFlagNames) {
    if (((mask.wanted | mask.excluded) & bit) == 0) continue;
    if (!text.empty()) text += ',';
    if ((mask.excluded & bit) != 0) text += '!';
    text += name;
  }
  return text.empty() ? "any" : text;
}

}  // namespace knockd
