// SPDX-License-Identifier: MIT
#include "knockd/fleet/fleet_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <string>
#include <vector>

#include "tests/base/temporary_folder.h"

namespace knockd {
namespace {

using ::testing::ElementsAre;

const std::string kLeast = "[options]\nBroker = mqtt.example\nDoors = ssh\n";

std::vector<std::string> complaints_of(const std::string& text) {
  std::vector<std::string> found;
  const auto config = parse_fleet_config(text, "f.conf", "host.example");
  if (config) return found;
  for (const Complaint& complaint : config.error()) found.push_back(complaint.to_string());
  return found;
}

TEST(FleetConfig, FewKeysAreRequired) {
  const auto config = parse_fleet_config(kLeast, "f.conf", "host.example");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->host, "mqtt.example");
  EXPECT_EQ(config->port, 1883);
  EXPECT_EQ(config->fleet, "fleet");
  EXPECT_EQ(config->gateway, "host");
  EXPECT_EQ(config->control, "/run/knockd/control");
  EXPECT_THAT(config->doors, ElementsAre("ssh"));
  EXPECT_FALSE(config->use_syslog);
}

TEST(FleetConfig, EachKeyIsRead) {
  const auto config = parse_fleet_config(
      "\xef\xbb\xbf# a comment\r\n[Options]\r\n broker = [2001:db8::1]:8884  # ours\n"
      "TLS_CA=/ca\nTLS_Cert = /cert\nTLS_Key = /key\nUser = gw1\nPassword_File = /password\n"
      "Fleet = home\nGateway = gw-1\nDoors = ssh, my door\nControl = /run/c\nUseSyslog\n"
      "LogFile = /log",
      "f.conf", "host");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->host, "2001:db8::1");
  EXPECT_EQ(config->port, 8884);
  EXPECT_EQ(config->tls_ca + config->tls_cert + config->tls_key, "/ca/cert/key");
  EXPECT_EQ(config->user, "gw1");
  EXPECT_EQ(config->fleet, "home");
  EXPECT_EQ(config->gateway, "gw-1");
  EXPECT_THAT(config->doors, ElementsAre("my door", "ssh"));
  EXPECT_EQ(config->control, "/run/c");
  EXPECT_TRUE(config->use_syslog);
  EXPECT_EQ(config->log_file, "/log");
}

TEST(FleetConfig, GatewayIsTheUserByDefault) {
  EXPECT_EQ(parse_fleet_config(kLeast + "User = gw1\n", "f", "host")->gateway, "gw1");
}

TEST(FleetConfig, TlsHasItsOwnPort) {
  EXPECT_EQ(parse_fleet_config(kLeast + "TLS_CA = /ca\n", "f", "host")->port, 8883);
}

TEST(FleetConfig, FaultsNameTheirPlaceAndWhatWasExpected) {
  EXPECT_THAT(complaints_of("[options]\n  Brokr = x\n"),
              ElementsAre("f.conf: Broker is missing: expected HOST:PORT",
                          "f.conf: Doors is missing: expected the names of the doors that are "
                          "shared",
                          "f.conf:2:3: unknown key \"Brokr\": expected Broker"));
  EXPECT_THAT(complaints_of(kLeast + "Broker = a:0\nFleet = a b\nControl = c\n[ssh]\nUser\n"),
              ElementsAre("f.conf:4:10: Broker \"a:0\": expected HOST, HOST:PORT or [IPv6]:PORT, "
                          "the port from 1 to 65535",
                          "f.conf:5:9: Fleet \"a b\": expected 1 to 64 letters, digits, '.', '_' "
                          "and '-'",
                          "f.conf:6:11: Control \"c\": expected the path of a file, from /",
                          "f.conf:7:1: section \"[ssh]\": expected [options]",
                          "f.conf:8:1: User: missing value"));
  EXPECT_THAT(complaints_of(kLeast + "TLS_Cert = /c\nPassword_File = /p\n"),
              ElementsAre("f.conf:4:1: TLS_Cert: expected TLS_Key beside it",
                          "f.conf:4:1: TLS_Cert: expected TLS_CA beside it",
                          "f.conf:5:1: Password_File: expected User beside it"));
}

class FleetConfigFile : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text, mode_t mode) {
    const std::string path = folder_.path() + "/" + name;
    std::ofstream(path) << text;
    chmod(path.c_str(), mode);
    return path;
  }

  TemporaryFolder folder_;
};

TEST_F(FleetConfigFile, PasswordIsTheFirstLineOfAFileThatOthersCannotRead) {
  const std::string password = write("password", "secret word\r\nmore\n", 0640);
  const std::string file =
      write("f.conf", kLeast + "User = gw1\nPassword_File = " + password + "\n", 0644);
  const auto config = load_fleet_config(file);
  ASSERT_TRUE(config);
  EXPECT_EQ(config->password, "secret word");

  chmod(password.c_str(), 0644);
  const auto open = load_fleet_config(file);
  ASSERT_FALSE(open);
  EXPECT_EQ(open.error()[0].to_string(),
            file + ":5:1: Password_File: " + password +
                ": others than its owner and group may use it (mode 0644): expected 0600, or 0640");
}

// The library would use only the text before the NUL.
TEST_F(FleetConfigFile, PasswordHasNoControlBytes) {
  const std::string password = write("password", std::string("secret\0word\n", 12), 0600);
  const std::string file =
      write("f.conf", kLeast + "User = gw1\nPassword_File = " + password + "\n", 0644);
  const auto config = load_fleet_config(file);
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error()[0].to_string(),
            file + ":5:1: Password_File: " + password +
                ": expected a password in its first line, without control bytes");
}

TEST_F(FleetConfigFile, MissingFilesAreNamed) {
  const std::string file = write("f.conf", kLeast + "TLS_CA = /no/such/file\n", 0644);
  const auto config = load_fleet_config(file);
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error()[0].to_string(),
            file + ":4:1: TLS_CA: /no/such/file cannot be read: No such file or directory");
  EXPECT_FALSE(load_fleet_config("/no/such/file"));
}

}  // namespace
}  // namespace knockd
