// SPDX-License-Identifier: MIT
#include "knockd/app/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "knockd/config/config.h"

namespace knockd {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using Task = CommandLine::Task;

Result<CommandLine, UsageError> try_to_parse(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "knockd");
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  return parse_command_line(static_cast<int>(arguments.size()), pointers.data());
}

CommandLine parse(const std::vector<std::string>& arguments) { return *try_to_parse(arguments); }

std::string error_of(const std::vector<std::string>& arguments) {
  const auto line = try_to_parse(arguments);
  return line ? "understood" : line.error().text;
}

TEST(CommandLineTest, NoOptions_GiveTheDefaults) {
  const CommandLine line = parse({});
  EXPECT_EQ(line.task, Task::kListen);
  EXPECT_EQ(line.config_file, kDefaultConfigFile);
  EXPECT_THAT(line.interfaces, IsEmpty());
  EXPECT_THAT(line.remarks, IsEmpty());
  EXPECT_EQ(line.log_file, "");
  EXPECT_EQ(line.pid_file, "");
  EXPECT_FALSE(line.daemon || line.debug || line.verbose || line.lookup || line.only_v4);
}

TEST(CommandLineTest, EachSwitch_ShortAndLong) {
  const struct {
    const char* short_name;
    const char* long_name;
    bool CommandLine::*flag;
  } kSwitches[] = {{"-d", "--daemon", &CommandLine::daemon},
                   {"-D", "--debug", &CommandLine::debug},
                   {"-v", "--verbose", &CommandLine::verbose},
                   {"-l", "--lookup", &CommandLine::lookup},
                   {"-4", "--only-ip-v4", &CommandLine::only_v4}};
  for (const auto& row : kSwitches) {
    for (const char* name : {row.short_name, row.long_name}) {
      const CommandLine line = parse({name});
      for (const auto& other : kSwitches) {
        EXPECT_EQ(line.*other.flag, other.flag == row.flag) << name;
      }
    }
  }
}

TEST(CommandLineTest, EachValue_ShortAndLong) {
  const struct {
    const char* short_name;
    const char* long_name;
    std::string CommandLine::*value;
  } kValues[] = {{"-c", "--config", &CommandLine::config_file},
                 {"-p", "--pidfile", &CommandLine::pid_file},
                 {"-g", "--logfile", &CommandLine::log_file},
                 {"-r", "--read", &CommandLine::capture_file}};
  for (const auto& row : kValues) {
    EXPECT_EQ(parse({row.short_name, "a file"}).*row.value, "a file");
    EXPECT_EQ(parse({std::string(row.short_name) + "file"}).*row.value, "file");
    EXPECT_EQ(parse({row.long_name, "file"}).*row.value, "file");
    EXPECT_EQ(parse({std::string(row.long_name) + "=file"}).*row.value, "file");
  }
}

TEST(CommandLineTest, Tasks) {
  const struct {
    std::vector<std::string> arguments;
    Task task;
  } kTable[] = {
      {{"-t"}, Task::kTest},
      {{"--test"}, Task::kTest},
      {{"-r", "file"}, Task::kReplay},
      {{"-V"}, Task::kVersion},
      {{"--version"}, Task::kVersion},
      {{"-h"}, Task::kHelp},
      {{"--help"}, Task::kHelp},
      // Help and version win over every other option.
      {{"-t", "-h"}, Task::kHelp},
      {{"-h", "-t"}, Task::kHelp},
      {{"-d", "-V", "-r", "file"}, Task::kVersion},
  };
  for (const auto& row : kTable) {
    EXPECT_EQ(parse(row.arguments).task, row.task) << row.arguments.front();
  }
}

TEST(CommandLineTest, InterfacesAreRepeatable_AndCommaLists) {
  EXPECT_THAT(parse({"-i", "eth0"}).interfaces, ElementsAre("eth0"));
  EXPECT_THAT(parse({"-ieth0", "--interface", "ppp0, wg0", "--interface=lo"}).interfaces,
              ElementsAre("eth0", "ppp0", "wg0", "lo"));
  EXPECT_THAT(parse({"-i", "any"}).interfaces, ElementsAre("any"));
}

// The forms that scripts for 0.8 and its forks use.
TEST(CommandLineTest, BundledAndOlderOptionsAreAccepted) {
  const CommandLine line = parse({"-s", "-dvD", "-ieth0", "-c", "/var/run/knockd.conf"});
  EXPECT_TRUE(line.daemon && line.verbose && line.debug);
  EXPECT_THAT(line.interfaces, ElementsAre("eth0"));
  EXPECT_EQ(parse({"--save-mem"}).task, Task::kListen);
}

TEST(CommandLineTest, BadArguments_AreNamedInTheError) {
  const struct {
    std::vector<std::string> arguments;
    const char* error;
  } kTable[] = {
      {{"-x"}, "unknown option -x"},
      {{"-xv"}, "unknown option -x"},
      {{"-vx"}, "unknown option -x"},
      {{"--debug", "-xv"}, "unknown option -x"},
      {{"--nonsense"}, "unknown option --nonsense"},
      {{"--demon"}, "unknown option --demon (did you mean --daemon?)"},
      {{"--daemon=yes"}, "option --daemon has no value"},
      {{"-\x1b[31m"}, "unknown option -\\x1b"},
      {{"--\x1b[31m"}, "unknown option --\\x1b[31m"},
      {{"-c"}, "option -c needs a value"},
      {{"--config"}, "option --config needs a value"},
      {{"-d", "--control", "x"},
       "option --control goes with --status, --close, --open or --events"},
      {{"--door=all", "-t"}, "option --door goes with --close or --open"},
      {{"eth0"}, "unexpected argument \"eth0\""},
      {{"-d", "--", "-v"}, "unexpected argument \"-v\""},
  };
  for (const auto& row : kTable) EXPECT_EQ(error_of(row.arguments), row.error);
  EXPECT_THAT(error_of({"-i", "eth0,,"}), StartsWith("option -i: "));
  EXPECT_THAT(error_of({"-i", ""}), StartsWith("option -i: "));
}

TEST(CommandLineTest, ParsesAgainInOneProcess) {
  EXPECT_NE(error_of({"-x"}), "understood");
  EXPECT_TRUE(parse({"-d"}).daemon);
}

TEST(Usage, NamesEachOption) {
  const std::string usage = kUsage;
  for (const char* name :
       {"-i, --interface", "-d, --daemon", "-c, --config", "-D, --debug", "-l, --lookup",
        "-p, --pidfile", "-g, --logfile", "-v, --verbose", "-4, --only-ip-v4", "-t, --test",
        "-r, --read", "-s, --save-mem", "-V, --version", "-h, --help"}) {
    EXPECT_NE(usage.find(name), std::string::npos) << name;
  }
}

}  // namespace
}  // namespace knockd
