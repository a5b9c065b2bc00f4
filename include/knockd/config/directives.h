// SPDX-License-Identifier: MIT
// The directives of knockd.conf(5): the name of each, its scope, the form of its value, and its
// reader from value_readers.h. A new directive is a row of the table in directives.cpp and a member
// of Config or Door. The parser finds the directive of a line.
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
    kCommand,           // goes to the shell unchanged
    kCommandOrNothing,  // the same; empty: nothing is run
    kSwitch,            // "= yes" is optional
  };

  std::string_view name;
  std::string_view alias;  // empty: none
  Scope scope;
  Form form;
  std::string_view expects;  // what a value must be, for "expected ..."
  // Stores the value in the configuration or the door. Absent for Include, which the parser
  // handles.
  void (*read)(Draft& draft, const Value& value);
};

// Ignores the case of `key`; null if there is none. Of a directive with two scopes, the row of this
// scope.
const Directive* find_directive(std::string_view key, Directive::Scope scope);

// The key that an unknown one probably means: the same letters, or close enough for a typing error.
// Empty if there is none.
std::string_view nearest_key(std::string_view key);

// The advice for an unknown key.
std::string advice_on(std::string_view key);

// Reads a value with the directive's reader. Adds to an error what to write instead, if that is
// clear.
void read_value(Draft& draft, const Directive& directive, const Value& value);

}  // namespace knockd
