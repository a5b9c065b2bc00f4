// SPDX-License-Identifier: MIT
#include "knockd/base/refused_option.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace knockd {
namespace {

constexpr char kLetters[] = ":vVud:c:";
constexpr option kOptions[] = {
    {"verbose", no_argument, nullptr, 'v'},      {"version", no_argument, nullptr, 'V'},
    {"udp", no_argument, nullptr, 'u'},          {"delay", required_argument, nullptr, 'd'},
    {"config", required_argument, nullptr, 'c'}, {"interface", required_argument, nullptr, 256},
    {"quiet", no_argument, nullptr, 257},        {nullptr, 0, nullptr, 0}};

// The message for the first refused option.
std::string refused(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "program");
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  optind = 0;
  opterr = 0;
  for (;;) {
    const int answer =
        getopt_long(static_cast<int>(arguments.size()), argv.data(), kLetters, kOptions, nullptr);
    if (answer == -1) return "(accepted)";
    if (answer == '?' || answer == ':') {
      return refused_option(answer, argv.data(), kLetters, kOptions);
    }
  }
}

TEST(RefusedOption, UnknownOptionIsNamed) {
  EXPECT_EQ(refused({"-x"}), "unknown option -x");
  EXPECT_EQ(refused({"-vx"}), "unknown option -x");
  EXPECT_EQ(refused({"-v", "word", "-xv"}), "unknown option -x");
  EXPECT_EQ(refused({"--nonsense"}), "unknown option --nonsense");
  EXPECT_EQ(refused({"--nonsense=1"}), "unknown option --nonsense=1");
  EXPECT_EQ(refused({"-\x1b[31m"}), "unknown option -\\x1b");
  EXPECT_EQ(refused({"-\xc3\xa4"}), "unknown option -\\xc3");
  EXPECT_EQ(refused({"--\x1b[31m"}), "unknown option --\\x1b[31m");
}

TEST(RefusedOption, SimilarOptionIsSuggested) {
  EXPECT_EQ(refused({"--verbos", "--confg", "x"}),
            "unknown option --confg (did you mean --config?)");
  EXPECT_EQ(refused({"--confg=x"}), "unknown option --confg=x (did you mean --config?)");
  EXPECT_EQ(refused({"--ver"}), "unknown option --ver (did you mean --verbose or --version?)");
  EXPECT_EQ(refused({"-interface", "eth0"}), "unknown option -i (did you mean --interface?)");
}

TEST(RefusedOption, MissingAndSuperfluousValuesAreRefused) {
  EXPECT_EQ(refused({"-c"}), "option -c needs a value");
  EXPECT_EQ(refused({"--config"}), "option --config needs a value");
  EXPECT_EQ(refused({"--interface"}), "option --interface needs a value");
  EXPECT_EQ(refused({"--udp=yes"}), "option --udp has no value");
  EXPECT_EQ(refused({"--quiet=yes"}), "option --quiet has no value");
}

}  // namespace
}  // namespace knockd
