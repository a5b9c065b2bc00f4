// SPDX-License-Identifier: MIT
// Cases that do not suit files in tests/data/config: sizes, limits and real paths.
#include "knockd/config/parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "knockd/config/door_terms.h"
#include "tests/config/text_files.h"

namespace knockd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string lines_of(const ConfigError& error) {
  std::string lines;
  for (const Complaint& complaint : error.complaints) {
    if (!lines.empty()) lines += '\n';
    lines += complaint.to_string();
  }
  return lines;
}

class ParserTest : public testing::Test {
 protected:
  Config parse(const std::string& text) { return *parse_config(text, "/etc/knockd.conf", files_); }

  // All errors in the text, one per line; empty without errors.
  std::string errors_in(const std::string& text) {
    const auto config = parse_config(text, "/etc/knockd.conf", files_);
    if (config) return "";
    EXPECT_FALSE(config.error().complaints.empty());
    return lines_of(config.error());
  }

  TextFiles files_;
};

std::string doors(size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += "[d]\nsequence=1\n";
  return text;
}

TEST_F(ParserTest, FindsAllErrors_NotOnlyTheFirst) {
  EXPECT_EQ(errors_in("[a]\nsequence = x\nspeed = 1\ntarget = y\n"),
            "/etc/knockd.conf:2:12: port \"x\": expected a number from 1 to 65535\n"
            "/etc/knockd.conf:3:1: unknown directive \"speed\": expected \"Key = value\", [NAME] "
            "or a comment\n"
            "/etc/knockd.conf:4:10: target \"y\": expected an IPv4 or IPv6 address");
}

TEST_F(ParserTest, ReadsDefaults_FromAnEmptyText) {
  const Config config = parse("[door]\nsequence = 1,2,3\n");
  EXPECT_EQ(config.file, "/etc/knockd.conf");
  EXPECT_EQ(config.pid_file, "/var/run/knockd.pid");
  EXPECT_EQ(config.state_file, "/var/lib/knockd/open-doors");
  EXPECT_EQ(config.bounds.scan_limit, 4u);
  EXPECT_EQ(config.bounds.max_sources, 65536u);
  EXPECT_EQ(config.bounds.log_rate, 20u);
  ASSERT_EQ(config.doors.size(), 1u);
  EXPECT_EQ(config.doors[0].rule.seq_timeout, std::chrono::seconds(25));
  EXPECT_EQ(config.doors[0].cmd_timeout, std::chrono::seconds(10));
}

TEST_F(ParserTest, ReadsCommandOfTheKnockersFamily) {
  const Config config = parse(
      "[a]\nsequence = 1\ncommand = four\ncommand_6 = six\nstop_command = shut\n"
      "[b]\nsequence = 1\ncommand = both\ncommand_6 =\n");
  const IpAddress v4 = *IpAddress::parse("192.0.2.1");
  const IpAddress v6 = *IpAddress::parse("2001:db8::1");
  const DoorTerms terms(config);
  EXPECT_EQ(terms.of(0, v4)->start, "four");
  EXPECT_EQ(terms.of(0, v6)->start, "six");
  EXPECT_EQ(terms.of(0, v6)->stop, "shut");
  EXPECT_EQ(terms.of(1, v4)->start, "both");
  EXPECT_EQ(terms.of(1, v6)->start, "");
}

TEST_F(ParserTest, ReadsTheCommandsOfADoor) {
  const DoorTerms terms(
      parse("[a]\nsequence = 1\ncommand = x\n"
            "[b]\nsequence = 1\ncommand = x\nstop_command = y\nopen_for = 1m\nmax_open = 7\n"
            "reknock = extend\ncooldown = 3\n"));
  const IpAddress v4 = *IpAddress::parse("192.0.2.1");
  EXPECT_EQ(terms.of(0, v4)->max_open, 4096u);
  EXPECT_EQ(terms.of(0, v4)->open_for, std::chrono::seconds(10));
  EXPECT_EQ(terms.of(1, v4)->door, "b");
  EXPECT_EQ(terms.of(1, v4)->number, 1u);
  EXPECT_EQ(terms.of(1, v4)->open_for, std::chrono::minutes(1));
  EXPECT_EQ(terms.of(1, v4)->max_open, 7u);
  EXPECT_EQ(terms.of(1, v4)->reknock, Reknock::kExtend);
  EXPECT_EQ(terms.of(1, v4)->cooldown, std::chrono::seconds(3));
  EXPECT_FALSE(terms.of(1, v4)->one_time);
}

TEST_F(ParserTest, RefusesUtf16_InOneLine) {
  EXPECT_EQ(errors_in(std::string("\xff\xfe[\0d\0]\0\n\0", 10)),
            "/etc/knockd.conf:1:1: text in UTF-16: expected ASCII or UTF-8");
}

TEST_F(ParserTest, AcceptsDoorsUpToTheLimit) {
  EXPECT_EQ(parse(doors(kMaxDoors)).doors.size(), kMaxDoors);
  EXPECT_THAT(errors_in(doors(kMaxDoors + 1)), HasSubstr("expected at most 65535 doors"));
}

TEST_F(ParserTest, LimitsTheNumberOfErrors) {
  std::string text = "[a]\nsequence = 1\n";
  for (int i = 0; i < 5000; ++i) text += "[b\n";
  const auto config = parse_config(text, "/etc/knockd.conf", files_);
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().complaints.size(), 1000u);
  EXPECT_EQ(config.error().complaints.back().message, "too many errors: the rest is left out");
  EXPECT_EQ(config.error().complaints.front().write, "[b]");
  EXPECT_EQ(config.error().complaints.back().write, "");
}

TEST_F(ParserTest, IncludesFilesBesideTheIncludingOne) {
  files_.texts["/etc/knockd.d/b.conf"] = "[b]\nsequence = 1\n";
  files_.texts["/etc/knockd.d/a.conf"] = "[a]\nsequence = 1\n";
  files_.texts["/elsewhere/c.conf"] = "[c]\nsequence = 1\n";
  const Config config =
      parse("[options]\ninclude = knockd.d/*.conf\ninclude = /elsewhere/c.conf\n");
  EXPECT_THAT(config.files, ElementsAre("/etc/knockd.conf", "/etc/knockd.d/a.conf",
                                        "/etc/knockd.d/b.conf", "/elsewhere/c.conf"));
  EXPECT_EQ(config.doors.size(), 3u);
  EXPECT_EQ(config.doors[2].place.file, "/elsewhere/c.conf");
}

TEST_F(ParserTest, StopsIncluding_WhenFilesMultiply) {
  // Each of ten files includes all ten: without a limit, ten to the power of the depth.
  for (char name = 'a'; name < 'k'; ++name) {
    files_.texts[std::string("/d/") + name] = "[options]\ninclude = /d/*\n";
  }
  EXPECT_THAT(errors_in("[options]\ninclude = /d/*\n"), HasSubstr("includes itself"));
}

TEST_F(ParserTest, StopsIncluding_WhenPatternMatchesTooManyFiles) {
  for (int i = 0; i < 1001; ++i) files_.texts["/d/" + std::to_string(i)] = "# nothing\n";
  EXPECT_THAT(errors_in("[options]\ninclude = /d/*\n"),
              HasSubstr("more than 1000 files are included"));
}

TEST_F(ParserTest, CutsLongTextsInMessages) {
  const std::string errors = errors_in("[a]\nsequence = 1\n" + std::string(100000, 'x') + '\n');
  EXPECT_LT(errors.size(), 300u);
}

TEST(LoadConfig, ReportsTheReason_WhenFileIsMissing) {
  const auto config = load_config("/nonexistent/knockd.conf");
  ASSERT_FALSE(config);
  EXPECT_EQ(lines_of(config.error()),
            "/nonexistent/knockd.conf: cannot be read: No such file or directory");
}

TEST(LoadConfig, RefusesAnEndlessFile) {
  const auto config = load_config("/dev/zero");
  ASSERT_FALSE(config);
  EXPECT_EQ(lines_of(config.error()), "/dev/zero: cannot be read: File too large");
}

TEST(LoadConfig, ReadsFilesOfThisMachine) {
  char folder[] = "/tmp/knockd-config-test-XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  const std::string main_path = std::string(folder) + "/knockd.conf";
  const std::string door_path = std::string(folder) + "/door.inc";
  std::ofstream(main_path) << "[options]\ninclude = *.inc\n";
  std::ofstream(door_path) << "[door]\nsequence = 1,2,3\n";
  const Config config = *load_config(main_path);
  EXPECT_THAT(config.files, ElementsAre(main_path, door_path));
  EXPECT_EQ(config.doors.size(), 1u);
  ::unlink(main_path.c_str());
  ::unlink(door_path.c_str());
  ::rmdir(folder);
}

}  // namespace
}  // namespace knockd
