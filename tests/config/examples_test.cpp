// SPDX-License-Identifier: MIT
// Walks tests/data/config: each file in good/ must be parsed to its .dump, each in bad/ must be
// refused with exactly the errors of its "# expect" lines. A line "# expect 3:17: MESSAGE" means
// this file; "# expect FILE:3:17: MESSAGE" one that it includes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "knockd/config/parser.h"
#include "tests/base/folder_cases.h"
#include "tests/base/temporary_folder.h"
#include "tests/config/dump.h"
#include "tests/config/folder_files.h"

namespace knockd {
namespace {

const std::string kData = KNOCKD_TEST_DATA "/config/";

std::vector<std::string> configurations_in(const std::string& folder) {
  auto files = files_in(kData + folder, {".conf"});
#ifndef KNOCKD_CODES
  std::erase_if(files, [](const std::string& file) {
    return file.starts_with("codes") || file == "secrets.conf";
  });
#endif
  return files;
}

std::string stem(const std::string& file) { return std::filesystem::path(file).stem(); }

class GoodConfig : public testing::TestWithParam<std::string> {};

TEST_P(GoodConfig, IsParsedToItsDump) {
  FolderFiles files(kData + "good");
  const std::string dump_path = kData + "good/" + stem(GetParam()) + ".dump";
  const auto config = load_config(GetParam(), files);
  ASSERT_TRUE(config) << config.error().complaints.front().to_string();
  const std::string read = dump(*config);
  if (std::getenv("KNOCKD_UPDATE_DUMPS") != nullptr) write_file(dump_path, read);
  EXPECT_EQ(read_file(dump_path), read);
}

INSTANTIATE_TEST_SUITE_P(, GoodConfig, testing::ValuesIn(configurations_in("good")), name_of_case);

// The shipped configuration opens nothing until the user has chosen a sequence.
TEST(ShippedConfig, HasNoDoor) {
  const Config config = *load_config(KNOCKD_TEST_DATA "/../../conf/knockd.conf");
  EXPECT_TRUE(config.doors.empty());
  EXPECT_TRUE(config.use_syslog);
}

std::vector<std::string> expected_complaints(const std::string& file, const std::string& text) {
  const std::string mark = "# expect ";
  std::vector<std::string> expected;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(mark)) continue;
    line.erase(0, mark.size());
    const bool is_here = std::isdigit(line.front()) != 0;
    expected.push_back(is_here ? file + ':' + line : line);
  }
  return expected;
}

class BadConfig : public testing::TestWithParam<std::string> {};

TEST_P(BadConfig, IsRefusedWithTheExpectedErrors) {
  FolderFiles files(kData + "bad");
  const std::string& file = GetParam();
  const auto expected = expected_complaints(file, read_file(kData + "bad/" + file));
  ASSERT_FALSE(expected.empty()) << "no # expect line";
  const auto config = load_config(file, files);
  ASSERT_FALSE(config) << "accepted";
  std::vector<std::string> said;
  for (const Complaint& complaint : config.error().complaints) {
    said.push_back(complaint.to_string());
  }
  EXPECT_EQ(said, expected);
}

INSTANTIATE_TEST_SUITE_P(, BadConfig, testing::ValuesIn(configurations_in("bad")), name_of_case);

}  // namespace
}  // namespace knockd
