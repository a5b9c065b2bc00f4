// SPDX-License-Identifier: MIT
// Carries bytes between standard input and output and a connection, for ssh's ProxyCommand.
#pragma once

namespace knockd::client {

// Until both directions have ended, or the peer is gone. `input`, `output` and `connection` stay
// the caller's. Returns false if it ended by an error.
bool carry(int input, int output, int connection);

}  // namespace knockd::client
