// SPDX-License-Identifier: MIT
// What is wrong with an option that getopt_long does not accept, in one line: for all programs the
// same, whatever the C library would say.
#pragma once

#include <getopt.h>

#include <string>

namespace knockd {

// To be called when getopt_long has returned `answer`, '?' or ':', for these arguments, short
// options (which begin with ':') and long options. Names the option, and the one that was meant if
// it can be told.
std::string refused_option(int answer, char* const* argv, const char* short_options,
                           const option* long_options);

}  // namespace knockd
