// SPDX-License-Identifier: MIT
#include "knockd/code/secrets_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "knockd/base/text.h"
#include "tests/base/temporary_folder.h"

#ifdef KNOCKD_CODES

namespace knockd {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kOne = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
constexpr const char* kOther = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

// "alice bob", or "LINE: what is wrong".
std::string read(const std::string& text) {
  const auto result = parse_secrets(text);
  if (const auto* fault = std::get_if<SecretsFault>(&result)) {
    EXPECT_THAT(fault->message, Not(HasSubstr("GEZD")));
    return format("%d: %s", fault->line, fault->message.c_str());
  }
  std::vector<std::string> names;
  for (const User& user : std::get<std::vector<User>>(result)) names.push_back(user.name);
  return join(names, " ");
}

TEST(SecretsFileTest, LinesOfNamesAndSecrets) {
  const std::string text = std::string("# phones\r\n\r\n  alice\t") + kOne +
                           "\r\n\nBob.2_x-y jbsw y3dp ehpk 3pxp jbsw y3dp ehpk 3pxp";
  EXPECT_EQ(read(text), "alice Bob.2_x-y");
  EXPECT_EQ(read("\xef\xbb\xbf" + text.substr(text.find('a'))), "alice Bob.2_x-y");
  const auto users = std::get<std::vector<User>>(parse_secrets(text));
  EXPECT_EQ(users[0].secret.base32(), kOne);
  EXPECT_EQ(users[1].secret.base32(), kOther);
}

TEST(SecretsFileTest, FaultyLines) {
  const std::string good = std::string("alice ") + kOne + '\n';
  EXPECT_EQ(read(good + kOther), "2: expected a name and a secret: NAME BASE32");
  EXPECT_EQ(read(good + "bob"), "2: expected a name and a secret: NAME BASE32");
  const std::string bad_name =
      "2: expected a name of letters, digits, '.', '_' and '-', at most 32 bytes";
  EXPECT_EQ(read(good + "b/b " + kOther), bad_name);
  EXPECT_EQ(read(good + std::string(33, 'b') + ' ' + kOther), bad_name);
  EXPECT_EQ(read(std::string(32, 'b') + ' ' + kOther), std::string(32, 'b'));
  EXPECT_THAT(read(good + "\nbob GEZD1"), HasSubstr("3: expected a secret of 16 to 64 bytes"));
  EXPECT_EQ(read(good + "\nalice " + kOther), "3: expected another name than in line 1");
  EXPECT_EQ(read(good + "bob " + kOne), "2: expected another secret than in line 1");
}

TEST(SecretsFileTest, NoUser) {
  EXPECT_EQ(read(""), "0: has no user: expected a line like NAME BASE32");
  EXPECT_EQ(read("# alice GEZD\n\n"), "0: has no user: expected a line like NAME BASE32");
}

TEST(SecretsFileTest, AtMostAThousandUsers) {
  std::string text;
  for (size_t i = 0; i < kMostUsers; ++i)
    text += format("u%zu %s\n", i, Secret::draw()->base32().c_str());
  EXPECT_THAT(read(text), testing::StartsWith("u0 u1 "));
  EXPECT_EQ(read(text + "one-more " + kOne), "1001: expected at most 1000 users");
}

class SecretsOnDisk : public testing::Test {
 protected:
  SecretsOnDisk() { write_file(path_, std::string("alice ") + kOne + "\n"); }

  // What is wrong with the file; empty if it is read.
  std::string fault(mode_t mode) {
    EXPECT_EQ(chmod(path_.c_str(), mode), 0);
    const auto users = load_secrets(path_);
    return users ? "" : users.error().text;
  }

  TemporaryFolder folder_;
  std::string path_ = folder_ / "secrets";
};

TEST_F(SecretsOnDisk, AreRefused_WhenOthersMayReadThem) {
  EXPECT_EQ(fault(0600), "");
  EXPECT_EQ(fault(0400), "");
  for (const mode_t mode : {0640u, 0604u, 0620u, 0602u, 0610u, 0666u}) {
    EXPECT_EQ(fault(mode), path_ + format(": others than its owner may use it (mode %04o): "
                                          "expected 0600",
                                          mode));
  }
}

TEST_F(SecretsOnDisk, AreRefused_UnlessARegularFile) {
  EXPECT_EQ(unlink(path_.c_str()), 0);
  EXPECT_EQ(load_secrets(path_).error().text,
            path_ + ": cannot be read: No such file or directory");
  EXPECT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(load_secrets(path_).error().text, path_ + ": expected a regular file");
  EXPECT_EQ(load_secrets(folder_ / ".").error().text, folder_ / "." + ": expected a regular file");
}

TEST_F(SecretsOnDisk, AreRefused_WhenTooLong) {
  std::string text = std::string("alice ") + kOne;
  write_file(path_, text + std::string((1 << 18) - text.size(), '\n'));
  EXPECT_EQ(fault(0600), "");
  write_file(path_, text + std::string((1 << 18) + 1 - text.size(), '\n'));
  EXPECT_EQ(fault(0600), path_ + ": cannot be read: File too large");
}

TEST_F(SecretsOnDisk, FaultNamesTheLine) {
  write_file(path_, "\nalice\n");
  EXPECT_EQ(fault(0600), path_ + ":2: expected a name and a secret: NAME BASE32");
}

}  // namespace
}  // namespace knockd

#endif
