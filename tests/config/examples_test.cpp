// SPDX-License-Identifier: MIT
// Walks tests/data/config: each file in good/ must be read as its .dump says, each in bad/ must be
// refused with the complaints that its "# expect" lines name, all of them and no other. A line
// "# expect 3:17: MESSAGE" means this file; "# expect FILE:3:17: MESSAGE" one that it includes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "knockd/config/parser.h"
#include "tests/config/dump.h"
#include "tests/config/folder_files.h"

namespace knockd {
namespace {

const std::string kData = KNOCKD_TEST_DATA "/config/";

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> configurations_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kData + folder)) {
    if (entry.path().extension() == ".conf") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !std::isalnum(c); }, '_');
  return name;
}

class GoodConfig : public testing::TestWithParam<std::string> {};

TEST_P(GoodConfig, IsReadAsItsDumpSays) {
  FolderFiles files(kData + "good");
  const std::string dump_path = kData + "good/" + GetParam() + ".dump";
  const std::string read = dump(load_config(GetParam() + ".conf", files));
  if (std::getenv("KNOCKD_UPDATE_DUMPS") != nullptr) std::ofstream(dump_path) << read;
  EXPECT_EQ(text_of(dump_path), read);
}

INSTANTIATE_TEST_SUITE_P(, GoodConfig, testing::ValuesIn(configurations_in("good")), test_name);

// What is shipped opens nothing before the user has chosen a sequence.
TEST(ShippedConfig, HasNoDoor) {
  const Config config = load_config(KNOCKD_TEST_DATA "/../../conf/knockd.conf");
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

TEST_P(BadConfig, IsRefusedWithWhatItExpects) {
  FolderFiles files(kData + "bad");
  const std::string file = GetParam() + ".conf";
  const auto expected = expected_complaints(file, text_of(kData + "bad/" + file));
  ASSERT_FALSE(expected.empty()) << "no # expect line";
  try {
    load_config(file, files);
    ADD_FAILURE() << "accepted";
  } catch (const ConfigError& error) {
    std::vector<std::string> said;
    for (const Complaint& complaint : error.complaints()) said.push_back(complaint.to_string());
    EXPECT_EQ(said, expected) << error.what();
  }
}

INSTANTIATE_TEST_SUITE_P(, BadConfig, testing::ValuesIn(configurations_in("bad")), test_name);

}  // namespace
}  // namespace knockd
