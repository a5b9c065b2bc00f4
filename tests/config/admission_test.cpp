// SPDX-License-Identifier: MIT
// What doors without a shell are turned into: the admissions of knockers, and the table that shuts
// ports.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "knockd/config/config.h"
#include "knockd/config/door_terms.h"
#include "knockd/config/parser.h"
#include "tests/config/text_files.h"

namespace knockd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr Knock kSsh{22, Protocol::kTcp};
constexpr Knock kWeb{443, Protocol::kTcp};
constexpr Knock kWireGuard{51820, Protocol::kUdp};

class AdmissionTest : public testing::Test {
 protected:
  // Options, then the directives of each door besides its sequence.
  Config parse(const std::string& options, const std::vector<std::string>& doors) {
    std::string text = "[options]\n" + options;
    for (size_t i = 0; i < doors.size(); ++i) {
      text += "[door" + std::to_string(i) + "]\nSequence = 7000,8000,9000\n" + doors[i];
    }
    const auto config = parse_config(text, "/etc/knockd.conf", files_);
    EXPECT_TRUE(config) << (config ? "" : config.error().complaints.front().to_string());
    return config ? *config : Config();
  }
  static std::string set_of(const Config& config, bool is_v4, size_t door = 0) {
    const auto admission = admission_of(config, config.doors[door], is_v4);
    if (!admission) return "nobody is let in";
    return admission->set ? to_string(*admission->set) : "own table";
  }

  TextFiles files_;
};

TEST_F(AdmissionTest, DoorWithoutOpenAdmitsNobody) {
  const Config config = parse("Open_Set = inet fw4 every\n", {"Command = x\n"});
  EXPECT_EQ(set_of(config, true), "nobody is let in");
}

TEST_F(AdmissionTest, DoorAdmitsToItsPorts_InTheOwnTable) {
  const Config config = parse("", {"Open = 22, 51820:udp\nOpen_Prefix = 24 64\n"});
  const auto v4 = admission_of(config, config.doors[0], true);
  EXPECT_EQ(v4, (Admission{{kSsh, kWireGuard}, {}, 96 + 24}));
  EXPECT_EQ(admission_of(config, config.doors[0], false), (Admission{{kSsh, kWireGuard}, {}, 64}));
}

TEST_F(AdmissionTest, SetOfAllDoorsIsUsed_UnlessADoorHasItsOwn) {
  const Config config = parse("Open_Set = inet fw4 all4\nOpen_Set_6 = inet fw4 all6\n",
                              {"Open = 22\n", "Open = 22\nOpen_Set = ip filter own\n"});
  EXPECT_EQ(set_of(config, true, 0), "inet fw4 all4");
  EXPECT_EQ(set_of(config, false, 0), "inet fw4 all6");
  EXPECT_EQ(set_of(config, true, 1), "ip filter own");
}

// The keeper logs this case.
TEST_F(AdmissionTest, KnockerOfAFamilyWithoutASetIsGivenTheOther_WhichCannotHoldIt) {
  const Config config =
      parse("Open_Set_6 = inet fw4 all6\n", {"Open_Set = ip filter own\n", "Open = 22\n"});
  EXPECT_EQ(set_of(config, false, 0), "ip filter own");
  EXPECT_EQ(set_of(config, true, 1), "inet fw4 all6");
}

TEST_F(AdmissionTest, TermsHaveTheAdmissionAndPrefixOfTheKnockersFamily) {
  const DoorTerms terms(parse("", {"Open = 22\nOpen_Prefix = 24 64\nOpen_For = 1h\n",
                                   "Open = 22\nReknock = run\n", "Command = x\n"}));
  const IpAddress v4 = *IpAddress::parse("192.0.2.1");
  const IpAddress v6 = *IpAddress::parse("2001:db8::1");
  EXPECT_EQ(terms.of(0, v4)->admission->prefix, 96 + 24);
  EXPECT_EQ(terms.of(0, v4)->prefix, 96 + 24);
  EXPECT_EQ(terms.of(0, v6)->admission->prefix, 64);
  EXPECT_EQ(terms.of(0, v6)->prefix, 64);
  EXPECT_EQ(terms.of(0, v4)->open_for, std::chrono::hours(1));
  EXPECT_EQ(terms.of(0, v4)->reknock, Reknock::kExtend);
  EXPECT_EQ(terms.of(1, v4)->reknock, Reknock::kRun);
  EXPECT_EQ(terms.of(2, v4)->reknock, Reknock::kRun);
  EXPECT_EQ(terms.of(2, v4)->admission, std::nullopt);
}

// --- The table

TEST_F(AdmissionTest, TableShutsThePortsOfDoorsWithoutASet_EachOnce) {
  const Config config =
      parse("Table = mine\n", {"Open = 22\nOpen_Prefix = 24 64\nMax_Open = 10\n",
                               "Open = 443\nOpen_Set = inet fw4 a\nOpen_Set_6 = inet fw4 b\n",
                               "Open = 51820:udp,443\nKeep_Established = no\nMax_Open = 5\n",
                               "Open = 22\nMax_Open = 1\n", "Command = x\n"});
  const ShutTable table = shut_table_of(config, {"wan", "eth0"}, true);
  EXPECT_EQ(table.name, "mine");
  EXPECT_THAT(table.interfaces, ElementsAre("eth0", "wan"));
  EXPECT_THAT(table.ports, ElementsAre(ShutPort{kSsh, true}, ShutPort{kWireGuard, false},
                                       ShutPort{kWeb, false}));
  EXPECT_THAT(table.prefixes_v4, ElementsAre(96 + 24, 128));
  EXPECT_THAT(table.prefixes_v6, ElementsAre(64, 128));
  EXPECT_EQ(table.most_elements, 3 * (10u + 2 * 5u + 1u))
      << "with room for those that the kernel has not collected yet";
}

TEST_F(AdmissionTest, TableNameIsAnError_WhenNoFileCanHaveIt) {
  for (const std::string& name : {std::string(255, 'n'), std::string("a/b"), std::string("1a")}) {
    const auto config =
        parse_config("[options]\nTable = " + name + '\n', "/etc/knockd.conf", files_);
    EXPECT_FALSE(config) << name;
  }
  EXPECT_EQ(parse("Table = " + std::string(200, 'n') + '\n', {}).table.size(), 200u);
}

// Without this check they would fail only when nft loads the table, or at the first knock.
TEST_F(AdmissionTest, NftKeywordAsNameIsOneError) {
  for (const std::string line :
       {"Table = set", "Open_Set = inet rule allowed", "Open_Set_6 = inet filter table"}) {
    const auto config = parse_config("[options]\n" + line + '\n', "/etc/knockd.conf", files_);
    ASSERT_FALSE(config) << line;
    ASSERT_THAT(config.error().complaints, testing::SizeIs(1)) << line;
    EXPECT_THAT(config.error().complaints[0].to_string(),
                testing::ContainsRegex("knockd.conf:2:.*is a word of nft's language"));
  }
}

TEST_F(AdmissionTest, TableAdmitsNobodyOverIpv6_WhenIpv6IsOff) {
  const ShutTable table = shut_table_of(parse("", {"Open = 22\n"}), {}, false);
  EXPECT_THAT(table.prefixes_v4, ElementsAre(128));
  EXPECT_THAT(table.prefixes_v6, IsEmpty());
  EXPECT_THAT(table.interfaces, IsEmpty());
}

TEST_F(AdmissionTest, TableHasNoPorts_WhenAllDoorsUseASet) {
  const Config config = parse("Open_Set_6 = inet fw4 every\n", {"Open = 22\n"});
  EXPECT_THAT(shut_table_of(config, {}, true).ports, IsEmpty());
}

TEST_F(AdmissionTest, TableSizeIsAtMostTheKernelsLimit) {
  std::string ports = "1";
  for (int port = 2; port <= 32; ++port) ports += ',' + std::to_string(port);
  const std::vector<std::string> doors(200, "Max_Open = 1000000\nOpen = " + ports + '\n');
  EXPECT_EQ(shut_table_of(parse("", doors), {}, true).most_elements, UINT32_MAX);
}

}  // namespace
}  // namespace knockd
