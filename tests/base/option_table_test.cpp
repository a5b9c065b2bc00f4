// SPDX-License-Identifier: MIT
#include "knockd/base/option_table.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace knockd {
namespace {

constexpr OptionRow<std::string> kRows[] = {
    {"verbose", no_argument, 'v', [](std::string& said) { said += "verbose "; }},
    {"delay", required_argument, 'd',
     [](std::string& said) { said += "delay " + std::string(optarg) + ' '; }},
    {"source", required_argument, 0,
     [](std::string& said) { said += "source " + std::string(optarg) + ' '; }},
    {"check", optional_argument, 0,
     [](std::string& said) { said += optarg == nullptr ? "check " : "check that "; }},
};
constexpr OptionTable kTable(kRows);

std::string read(std::vector<std::string> words) {
  words.insert(words.begin(), "program");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::string said;
  kTable.begin();
  for (int answer; (answer = kTable.next(static_cast<int>(words.size()), argv.data())) != -1;) {
    const auto* const row = kTable.row_of(answer);
    if (row == nullptr) return kTable.refusal(answer, argv.data());
    row->take(said);
  }
  return said;
}

TEST(OptionTable, EachOptionIsTakenByItsRow_UnderBothNames) {
  EXPECT_EQ(read({"-vd", "1", "--verbose", "--delay=2", "--source", "a"}),
            "verbose delay 1 verbose delay 2 source a ");
  EXPECT_EQ(read({"--check", "--check=1", "word", "-v"}), "check check that verbose ");
  EXPECT_EQ(read({"--", "-v"}), "");
}

TEST(OptionTable, OthersAreRefused) {
  EXPECT_EQ(read({"-x"}), "unknown option -x");
  EXPECT_EQ(read({"-d"}), "option -d needs a value");
  EXPECT_EQ(read({"--sauce=a"}), "unknown option --sauce=a (did you mean --source?)");
}

}  // namespace
}  // namespace knockd
