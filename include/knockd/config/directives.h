// SPDX-License-Identifier: MIT
// The directives of knockd.conf(5): how each is called, where it may stand, what form its value
// has, and how that is read. A new directive is a row of the table in directives.cpp, and a member
// of Config or Door. How a line comes to its directive is the parser's business.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "knockd/config/complaint.h"
#include "knockd/config/config.h"
#include "knockd/config/files.h"

namespace knockd {

// A configuration while it is read: what was understood so far, and what is wrong with it.
struct Draft {
  ConfigFiles& files;  // which directives may name
  Config config;
  Door door;  // the one that is being read
  std::vector<Complaint> errors;

  // Both ignore what comes behind the first thousand. `write` as in Complaint.
  void error(Place place, std::string message, std::string write = "");
  void remark(Place place, std::string message, std::string write = "");
};

struct Value {
  std::string_view key;   // as the user wrote it
  std::string_view text;  // as its form says: without its comment, or as it stands
  Place place;            // of the text
  std::string_view expects;
};

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

// What doors that open ports without a command must not say, alone or together.
void check_admissions(Draft& draft);
// The same of doors with places that change with time.
void check_codes(Draft& draft);

// Reads a path as it is written. An error, and false, if it has control bytes.
bool read_path(Draft& draft, const Value& value, std::string& result);

}  // namespace knockd
