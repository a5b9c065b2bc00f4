// SPDX-License-Identifier: MIT
// HOTP values as oathtool(1) computes them, independently of the code under test.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "knockd/base/text.h"

namespace knockd {

inline bool have_oathtool() { return std::system("command -v oathtool >/dev/null") == 0; }

// The HOTP value with leading zeros, or oathtool's error message.
inline std::string oathtool(const std::string& base32, uint64_t counter, unsigned digits) {
  FILE* const output = popen(format("oathtool --hotp -b -d %u -c %llu %s 2>&1", digits,
                                    static_cast<unsigned long long>(counter), base32.c_str())
                                 .c_str(),
                             "re");
  char line[256] = "";
  if (output == nullptr || std::fgets(line, sizeof(line), output) == nullptr) line[0] = '\0';
  if (output != nullptr) pclose(output);
  return std::string(trim(line));
}

}  // namespace knockd
