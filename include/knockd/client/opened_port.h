// SPDX-License-Identifier: MIT
// The tcp port that a door opens, if its start command names it: for --check without a port.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace knockd::client {

// The first tcp port in a command of iptables, nft, firewall-cmd, ufw or knockd-firewall; nothing
// if none is found.
std::optional<uint16_t> opened_port(std::string_view command);

}  // namespace knockd::client
