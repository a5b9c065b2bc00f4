// SPDX-License-Identifier: MIT
// The one-line error for an option that getopt_long refuses; the same for all programs and C
// libraries.
#pragma once

#include <getopt.h>

#include <string>

namespace knockd {

// To be called when getopt_long has returned `answer`, '?' or ':', for these arguments, short
// options (which begin with ':') and long options. Names the option and, if clear, the one that was
// meant.
std::string refused_option(int answer, char* const* argv, const char* short_options,
                           const option* long_options);

}  // namespace knockd
