// SPDX-License-Identifier: MIT
// The directives of knockd.conf(5): how each is called, where it may stand, what form its value
// has, and which of value_readers.h reads it. A new directive is a row of the table in
// directives.cpp, and a member of Config or Door. How a line comes to its directive is the parser's
// business.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "knockd/config/draft.h"

namespace knockd {

struct Directive {
  enum class Scope : uint8_t { kOptions, kDoor };
  enum class Form : uint8_t {
    kText,              // a comment may follow
    kCommand,           // goes to the shell as it stands
    kCommandOrNothing,  // the same; empty: nothing is run
    kSwitch,            // may go without "= yes"
  };

  std::string_view name;
  std::string_view alias;  // empty: none
  Scope scope;
  Form form;
  std::string_view expects;  // what a value must be, for "expected ..."
  // Puts the value into the configuration, or into the door. Absent for Include, by which the
  // parser goes on with another text.
  void (*read)(Draft& draft, const Value& value);
};

// Whatever the case of `key`; null if there is none. Of those that may stand in both places, the
// one of this scope.
const Directive* find_directive(std::string_view key, Directive::Scope scope);

// The key that was meant by one that is none: the same letters, or near enough for a slip of the
// hand. Empty if there is none.
std::string_view nearest_key(std::string_view key);

// What to say of a key that is none.
std::string advice_on(std::string_view key);

// Reads a value with the directive's reader. An error gets what to write instead, if that is clear.
void read_value(Draft& draft, const Directive& directive, const Value& value);

}  // namespace knockd
