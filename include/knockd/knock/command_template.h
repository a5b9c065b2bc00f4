// SPDX-License-Identifier: MIT
// Turns a command of the configuration into text for the shell.
#pragma once

#include <string>
#include <string_view>

#include "knockd/knock/admission.h"
#include "knockd/net/address.h"

namespace knockd {

// `command` with each %IP% replaced by the address, or by its network of `prefix` bits (as in
// Admission). Both are printed from their bytes, so that no text of a stranger reaches the shell.
std::string render_command(std::string_view command, const IpAddress& source, uint8_t prefix = 128);

}  // namespace knockd
