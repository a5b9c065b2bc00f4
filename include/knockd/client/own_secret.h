// SPDX-License-Identifier: MIT
// Finds the secret for a knock with places that change with time.
#pragma once

#include <string>

#include "knockd/client/failure.h"
#include "knockd/code/secrets_file.h"

namespace knockd::client {

// The user of this name in the file; without a name, the only one there.
OrFailure<User> find_user(const std::string& file, const std::string& name);

}  // namespace knockd::client
