// SPDX-License-Identifier: MIT
// The options of a command line as a table: a row has an option's name and action. The arrays that
// getopt_long(3) needs are built from the table.
#pragma once

#include <getopt.h>

#include <array>
#include <cstddef>
#include <string>

#include "knockd/base/refused_option.h"

namespace knockd {

template <typename Said>
struct OptionRow {
  const char* name;
  int argument;              // no_argument, required_argument or optional_argument
  char letter;               // 0: none
  void (*take)(Said& said);  // what it does; `optarg` is its argument
};

template <typename Said, size_t kCount>
class OptionTable {
 public:
  // `rows` must outlive this.
  constexpr explicit OptionTable(const OptionRow<Said> (&rows)[kCount]) : rows_(rows) {
    size_t end = 0;
    letters_[end++] = ':';
    for (size_t i = 0; i < kCount; ++i) {
      const OptionRow<Said>& row = rows[i];
      const int answer = row.letter == 0 ? kFirstWithoutLetter + static_cast<int>(i) : row.letter;
      options_[i] = {row.name, row.argument, nullptr, answer};
      if (row.letter == 0) continue;
      letters_[end++] = row.letter;
      if (row.argument == required_argument) letters_[end++] = ':';
    }
  }

  // To be called before the first next() of a command line.
  static void begin() {
    opterr = 0;
    optind = 0;  // glibc: also resets the state of a half-read earlier command line
  }
  // The result of getopt_long: -1 if no option is left.
  int next(int argc, char** argv) const {
    return getopt_long(argc, argv, letters_.data(), options_.data(), nullptr);
  }
  // The row for an answer; null if the option was refused.
  const OptionRow<Said>* row_of(int answer) const {
    for (size_t i = 0; i < kCount; ++i) {
      if (options_[i].val == answer) return &rows_[i];
    }
    return nullptr;
  }
  // The error message for a refused option.
  std::string refusal(int answer, char* const* argv) const {
    return refused_option(answer, argv, letters_.data(), options_.data());
  }

 private:
  static constexpr int kFirstWithoutLetter = 256;

  const OptionRow<Said>* rows_;
  std::array<option, kCount + 1> options_{};    // ends with one without a name
  std::array<char, 2 * kCount + 2> letters_{};  // ends with a NUL
};

}  // namespace knockd
