// SPDX-License-Identifier: MIT
// Runs nft(8), which reads rulesets so that we need not write them for the kernel.
#pragma once

#include <string>

namespace knockd {

// Gives the ruleset to `nft -f -` and waits for its end, a few seconds at most. Empty if the kernel
// took it, all of it; else the reason, one line: "nft: Operation not permitted".
std::string run_nft(const std::string& ruleset);

}  // namespace knockd
