// SPDX-License-Identifier: MIT
#include "knockd/code/secrets_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "knockd/base/text.h"

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

}  // namespace
}  // namespace knockd

#endif
