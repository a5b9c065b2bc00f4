// SPDX-License-Identifier: MIT
#include "knockd/base/refused_option.h"

#include <cstring>
#include <string_view>
#include <vector>

#include "knockd/base/nearest_word.h"
#include "knockd/base/text.h"

namespace knockd {
namespace {

std::vector<std::string_view> names_of(const option* options) {
  std::vector<std::string_view> names;
  for (; options->name != nullptr; ++options) names.emplace_back(options->name);
  return names;
}

// The long options that this name abbreviates, else the nearest one.
std::vector<std::string> meant_by(std::string_view name, const option* options) {
  const std::vector<std::string_view> names = names_of(options);
  std::vector<std::string> meant;
  for (const std::string_view known : names) {
    if (!name.empty() && known.starts_with(name)) meant.push_back("--" + std::string(known));
  }
  if (!meant.empty()) return meant;
  const std::string_view nearest = nearest_word(name, names);
  if (!nearest.empty()) meant.push_back("--" + std::string(nearest));
  return meant;
}

std::string unknown(std::string_view written, std::string_view name, const option* options) {
  const std::string text = "unknown option " + printable(written);
  const std::vector<std::string> meant = meant_by(name, options);
  return meant.empty() ? text : text + " (did you mean " + join(meant, " or ") + "?)";
}

// A long option with one dash is parsed as letters; `letter` is the first of them.
std::string_view name_behind_one_dash(char* const* argv, char letter) {
  for (; *argv != nullptr; ++argv) {
    const std::string_view word = *argv;
    if (word.size() > 2 && word[0] == '-' && word[1] == letter) return word.substr(1);
  }
  return {};
}

}  // namespace

std::string refused_option(int answer, char* const* argv, const char* short_options,
                           const option* long_options) {
  const std::string_view argument = argv[optind - 1];
  if (answer == ':') return "option " + printable(argument) + " needs a value";
  // An unknown letter may be among others; otherwise `optopt` belongs to a long option.
  const char letter = static_cast<char>(optopt);
  if (optopt < 256 && letter != 0 && std::strchr(short_options, letter) == nullptr) {
    const std::string_view name = name_behind_one_dash(argv, letter);
    return unknown(std::string("-") + letter, name.empty() ? "" : name, long_options);
  }
  const size_t equals = argument.find('=');
  std::string_view name = argument.substr(0, equals);
  if (equals != argument.npos && optopt != 0) return "option " + printable(name) + " has no value";
  name.remove_prefix(name.starts_with("--") ? 2 : 0);
  return unknown(argument, name, long_options);
}

}  // namespace knockd
