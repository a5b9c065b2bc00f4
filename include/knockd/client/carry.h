// SPDX-License-Identifier: MIT
// Carries bytes between standard input and output and a connection, for ssh's ProxyCommand.
#pragma once

namespace knockd::client {

// Returns when both directions have ended or the peer is gone; false after an error. The caller
// keeps `input`, `output` and `connection`.
bool carry(int input, int output, int connection);

}  // namespace knockd::client
