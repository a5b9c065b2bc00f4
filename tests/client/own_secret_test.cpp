// SPDX-License-Identifier: MIT
#include "knockd/client/own_secret.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>

#include "tests/base/temporary_folder.h"

#ifdef KNOCKD_CODES

namespace knockd::client {
namespace {

using testing::EndsWith;

constexpr const char* kAlice = "alice GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\n";
constexpr const char* kBob = "bob JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP\n";

class FindUserTest : public testing::Test {
 protected:
  // The name of the user found, or the reason why there is none.
  std::string find(const std::string& text, const std::string& name) const {
    const std::string file = folder_ / "secrets";
    write_file(file, text);
    chmod(file.c_str(), 0600);
    const auto user = find_user(file, name);
    return user ? user->name : user.error().message;
  }
  const TemporaryFolder folder_;
};

TEST_F(FindUserTest, FindsTheUserByName_OrTheOnlyUser) {
  EXPECT_EQ(find(kAlice, ""), "alice");
  EXPECT_EQ(find(kAlice, "alice"), "alice");
  EXPECT_EQ(find(std::string(kAlice) + kBob, "bob"), "bob");
}

TEST_F(FindUserTest, RefusesAnyOtherUser) {
  EXPECT_THAT(find(kAlice, "bob"), EndsWith(": no user \"bob\": expected one of: alice"));
  EXPECT_THAT(find(std::string(kAlice) + kBob, ""),
              EndsWith(": has several users: expected --user NAME, one of: alice, bob"));
}

}  // namespace
}  // namespace knockd::client

#endif
