// SPDX-License-Identifier: MIT
// Walks tests/data/config/faulty: what -t prints of each NAME.conf, errors and warnings, must be
// NAME.expected to the letter, with the status in its last line. With KNOCKD_UPDATE_FINDINGS in the
// environment the .expected files are written anew: read each as the user who made the mistake.
#include "knockd/app/test_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>

#include "knockd/lint/check.h"
#include "tests/base/child.h"
#include "tests/base/folder_cases.h"
#include "tests/base/temporary_folder.h"

namespace knockd {
namespace {

using ::testing::HasSubstr;

const std::string kFaulty = KNOCKD_TEST_DATA "/config/faulty";

// A typical machine, independent of the one that runs the test.
class AnyMachine : public Surroundings {
  bool has_program(const std::string& name) const override {
    return name == "iptables" || name == "nft" || name == "logger";
  }
  std::optional<unsigned> file_mode(const std::string&) const override { return 0600; }
  bool has_interface(const std::string& name) const override { return name.starts_with("eth"); }
  bool has_group(const std::string&) const override { return true; }
  std::string iptables_chain(const std::string&, const std::string&) const override { return ""; }
  bool is_clock_in_sync() const override { return true; }
  std::optional<std::string> ruleset() const override { return std::nullopt; }
  std::vector<std::string> other_entrances() const override { return {}; }
};

std::string report_of(const std::string& file) {
  const TestReport report =
      test_config(file, [](const Config& config) { return check(config, AnyMachine()); });
  return report.text + (report.is_good ? "exit status 0\n" : "exit status 1\n");
}

class FaultyConfig : public testing::TestWithParam<std::string> {};

TEST_P(FaultyConfig, IsExplained) {
  const std::string told = in_child(
      [] {
        if (chdir(kFaulty.c_str()) != 0) return std::string("no folder");
        return report_of(GetParam());
      },
      STDOUT_FILENO);
  const std::string expected_file =
      kFaulty + '/' + std::string(std::filesystem::path(GetParam()).stem()) + ".expected";
  if (std::getenv("KNOCKD_UPDATE_FINDINGS") != nullptr) write_file(expected_file, told);
  ASSERT_TRUE(std::filesystem::exists(expected_file)) << "nothing says what is expected";
  EXPECT_EQ(read_file(expected_file), told);
}

INSTANTIATE_TEST_SUITE_P(, FaultyConfig, testing::ValuesIn(files_in(kFaulty, {".conf"})),
                         name_of_case);

}  // namespace
}  // namespace knockd
