// SPDX-License-Identifier: MIT
// Sets of the real kernel, made and listed by nft(8); each test in its own network namespace.
#include "knockd/keeper/nft_sets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "knockd/base/text.h"
#include "knockd/knock/shut_table.h"
#include "tests/keeper/nft_network.h"

namespace knockd {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const SetName kOpen4{TableFamily::kInet, "knockd", "open4_32"};
const SetName kOpen6{TableFamily::kInet, "knockd", "open6_128"};
constexpr Knock kSsh{22, Protocol::kTcp};

IpAddress address(const std::string& text) { return IpAddress::parse(text).value(); }

std::string nft_list(const std::string& what) {
  FILE* const program = popen(("nft list " + what + " 2>&1").c_str(), "r");
  std::string text;
  char part[512];
  while (program != nullptr && std::fgets(part, sizeof(part), program) != nullptr) text += part;
  pclose(program);
  return text;
}

class NftSetsTest : public NftNetwork {
 protected:
  void SetUp() override {
    NftNetwork::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    ShutTable table;
    table.interfaces = {"wan"};
    table.ports = {{kSsh, true}, {{51820, Protocol::kUdp}, true}, {{80, Protocol::kTcp}, false}};
    table.prefixes_v4 = {128, 96 + 24};
    table.prefixes_v6 = {64, 128};
    table.most_elements = 3;
    text_ = to_nft(table);
    nft(text_);
  }
  int put(const SetName& set, const std::string& key, seconds left) {
    const TimedElement element{{set, key}, left};
    return sets_->put({&element, 1});
  }
  int remove(const SetName& set, const std::string& key) {
    const SetElement element{set, key};
    return sets_->remove({&element, 1});
  }

  std::string text_;
};

TEST_F(NftSetsTest, AnElementIsWhatNftShowsForItsAddressAndPort) {
  ASSERT_EQ(put(kOpen4, set_key(address("192.0.2.7"), kSsh), seconds(3600)), 0);
  ASSERT_EQ(put(kOpen6, set_key(address("2001:db8::7"), {51820, Protocol::kUdp}), seconds(60)), 0);
  EXPECT_THAT(nft_list("set inet knockd open4_32"), HasSubstr("192.0.2.7 . tcp . 22 timeout 1h"));
  EXPECT_THAT(nft_list("set inet knockd open6_128"),
              HasSubstr("2001:db8::7 . udp . 51820 timeout 1m"));
}

TEST_F(NftSetsTest, PutAgainRenewsTheTime) {
  const std::string key = set_key(address("192.0.2.7"), kSsh);
  ASSERT_EQ(put(kOpen4, key, seconds(5)), 0);
  ASSERT_EQ(put(kOpen4, key, seconds(3600)), 0);
  const auto found = sets_->find({kOpen4, key});
  ASSERT_TRUE(found);
  ASSERT_TRUE(*found);
  EXPECT_GE((*found)->left.value(), seconds(3000));
  ASSERT_EQ(put(kOpen4, key, seconds(5)), 0);
  EXPECT_LE((*sets_->find({kOpen4, key}))->left.value(), seconds(5));
}

TEST_F(NftSetsTest, RemovalSucceeds_WhetherTheElementExistsOrNot) {
  const std::string key = set_key(address("192.0.2.7"), kSsh);
  ASSERT_EQ(put(kOpen4, key, seconds(60)), 0);
  EXPECT_EQ(remove(kOpen4, key), 0);
  EXPECT_EQ(*sets_->find({kOpen4, key}), std::nullopt);
  EXPECT_EQ(remove(kOpen4, key), 0);
  EXPECT_EQ(*sets_->find({kOpen4, key}), std::nullopt);
}

TEST_F(NftSetsTest, AFullSetIsReported_AndAnAbsentElementCanStillBeRemoved) {
  for (const char* full : {"192.0.2.1", "192.0.2.2", "192.0.2.3"}) {
    ASSERT_EQ(put(kOpen4, set_key(address(full), kSsh), seconds(60)), 0);
  }
  EXPECT_EQ(put(kOpen4, set_key(address("192.0.2.4"), kSsh), seconds(60)), ENFILE);
  EXPECT_EQ(remove(kOpen4, set_key(address("192.0.2.4"), kSsh)), 0);
  EXPECT_THAT(*sets_->list(kOpen4), SizeIs(3));
}

TEST_F(NftSetsTest, SeveralElementsAreAddedAllOrNone) {
  std::vector<TimedElement> elements;
  for (uint8_t i = 1; i <= 3; ++i) {
    elements.push_back(
        {{kOpen4, set_key(IpAddress::from_v4(std::array<uint8_t, 4>{192, 0, 2, i}), kSsh)},
         seconds(60)});
  }
  elements.push_back({{kOpen6, set_key(address("2001:db8::1"), kSsh)}, seconds(60)});
  EXPECT_EQ(sets_->put(elements), 0);
  EXPECT_THAT(*sets_->list(kOpen4), SizeIs(3));
  EXPECT_THAT(*sets_->list(kOpen6), SizeIs(1));
  nft("flush set inet knockd open4_32\nflush set inet knockd open6_128\n");
  elements.push_back({{kOpen4, set_key(address("192.0.2.9"), kSsh)}, seconds(60)});
  EXPECT_EQ(sets_->put(elements), ENFILE);
  EXPECT_THAT(*sets_->list(kOpen4), IsEmpty());
  EXPECT_THAT(*sets_->list(kOpen6), IsEmpty());
  // A successful message has its own answer, after that of the failed one.
  elements.push_back({{kOpen6, set_key(address("2001:db8::2"), kSsh)}, seconds(60)});
  EXPECT_EQ(sets_->put(elements), ENFILE);
}

TEST_F(NftSetsTest, DistinguishesSetsThatADoorCanUse) {
  nft("table ip own {\n"
      " set plain { type ipv4_addr; flags timeout; }\n"
      " set lasting { type ipv4_addr; }\n"
      " set nets { type ipv4_addr; flags interval, timeout; }\n"
      " set ports { type inet_service; }\n"
      " set swapped { type inet_proto . ipv4_addr . inet_service; }\n"
      " set full { type ipv4_addr . inet_proto . inet_service; }\n"
      " set six { type ipv6_addr . inet_proto . inet_service; flags timeout; }\n"
      " set fixed { type ipv4_addr; flags constant; elements = { 192.0.2.1 }; }\n"
      " map verdicts { type ipv4_addr : verdict; flags timeout; }\n"
      " map counters { type ipv4_addr : counter; flags timeout; }\n"
      "}\n");
  const auto describe = [&](const char* name) {
    const auto set = sets_->describe({TableFamily::kIp, "own", name});
    return set ? *set : NftSets::Description{};
  };
  EXPECT_EQ(describe("plain").key, SetKey::kAddress);
  EXPECT_TRUE(describe("plain").has_timeout);
  EXPECT_TRUE(describe("plain").is_v4);
  EXPECT_EQ(describe("lasting").key, SetKey::kAddress);
  EXPECT_FALSE(describe("lasting").has_timeout);
  EXPECT_EQ(describe("nets").key, std::nullopt);
  EXPECT_EQ(describe("ports").key, std::nullopt);
  EXPECT_EQ(describe("swapped").key, std::nullopt);
  EXPECT_EQ(describe("fixed").key, std::nullopt);
  EXPECT_EQ(describe("verdicts").key, std::nullopt);
  EXPECT_EQ(describe("counters").key, std::nullopt);
  EXPECT_EQ(describe("full").key, SetKey::kAddressAndPort);
  EXPECT_EQ(describe("six").key, SetKey::kAddressAndPort);
  EXPECT_FALSE(describe("six").is_v4);
}

TEST_F(NftSetsTest, AMissingSetGivesNoEntry_AndHasNoElement) {
  const SetName missing{TableFamily::kInet, "knockd", "nowhere"};
  const std::string key = set_key(address("192.0.2.1"), kSsh);
  EXPECT_EQ(sets_->describe(missing).error(), ENOENT);
  EXPECT_EQ(*sets_->find({missing, key}), std::nullopt);
  EXPECT_EQ(sets_->find({kOpen4, "odd"}).error(), EINVAL) << "which is not to say it is absent";
  EXPECT_EQ(remove(missing, key), 0);
  EXPECT_EQ(sets_->list(missing).error(), ENOENT);
  EXPECT_EQ(put(missing, key, seconds(1)), ENOENT);
  EXPECT_EQ(sets_->picture("nowhere", {}).error(), ENOENT);
}

TEST_F(NftSetsTest, AnElementWithoutATimeIsPermanent) {
  nft("table ip own { set plain { type ipv4_addr; flags timeout; elements = { 192.0.2.1 }; }\n}\n");
  const SetName plain{TableFamily::kIp, "own", "plain"};
  const auto found = sets_->find({plain, set_key(address("192.0.2.1"))});
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->left, std::nullopt);
}

TEST_F(NftSetsTest, TheTimeOfAnElementIsTheTimeLeft) {
  nft("add element inet knockd open4_32 { 192.0.2.7 . tcp . 22 timeout 1h expires 5m }\n");
  const auto found = sets_->find({kOpen4, set_key(address("192.0.2.7"), kSsh)});
  ASSERT_TRUE(found && *found);
  EXPECT_LE((*found)->left.value(), seconds(5 * 60));
}

TEST_F(NftSetsTest, ThousandsOfElementsAreListed) {
  std::string elements;
  for (int i = 0; i < 5000; ++i) {
    elements += format("%s10.0.%d.%d", i == 0 ? "" : ", ", i / 250, i % 250);
  }
  nft("table ip own { set many { type ipv4_addr; elements = { " + elements + " }; }\n}\n");
  EXPECT_THAT(*sets_->list({TableFamily::kIp, "own", "many"}), SizeIs(5000));
}

TEST_F(NftSetsTest, TheDigestOfATableChangesWithItsRules_NotWithItsElements) {
  const std::vector<std::string> fixed = {"shut", "kept", "interfaces"};
  const std::string before = *sets_->picture("knockd", fixed);
  EXPECT_EQ(*sets_->picture("knockd", fixed), before);
  ASSERT_EQ(put(kOpen4, set_key(address("192.0.2.7"), kSsh), seconds(60)), 0);
  nft("table inet other { chain input { type filter hook input priority 0; }\n}\n");
  EXPECT_EQ(*sets_->picture("knockd", fixed), before);
  nft("delete element inet knockd shut { tcp . 22 }\n");
  EXPECT_NE(*sets_->picture("knockd", fixed), before);
  nft("add element inet knockd shut { tcp . 22 }\n");
  EXPECT_EQ(*sets_->picture("knockd", fixed), before);
  nft("insert rule inet knockd shut accept\n");
  EXPECT_NE(*sets_->picture("knockd", fixed), before);
  nft(text_);
  EXPECT_NE(*sets_->picture("knockd", fixed), before) << "made anew";
  nft("flush chain inet knockd shut\n");
  EXPECT_NE(*sets_->picture("knockd", fixed), before);
}

TEST_F(NftSetsTest, ChangesOfOthersAreReported_OwnOnesAreNot) {
  auto monitor = RulesetMonitor::create(sets_->port());
  ASSERT_TRUE(monitor);
  EXPECT_FALSE(monitor->read());
  ASSERT_EQ(put(kOpen4, set_key(address("192.0.2.7"), kSsh), seconds(60)), 0);
  EXPECT_FALSE(monitor->read());
  nft("add table inet other\n");
  EXPECT_TRUE(monitor->read());
  EXPECT_FALSE(monitor->read());
}

TEST_F(NftSetsTest, MoreChangesThanTheSocketHoldsAreReportedAsOne) {
  auto monitor = RulesetMonitor::create(sets_->port());
  auto others = NftSets::create();
  ASSERT_TRUE(monitor && others);
  const TimedElement element{{kOpen4, set_key(address("192.0.2.7"), kSsh)}, seconds(60)};
  for (int i = 0; i < 20000; ++i) ASSERT_EQ(others->put({&element, 1}), 0);
  EXPECT_TRUE(monitor->read());
  EXPECT_FALSE(monitor->read()) << "there was more to read";
  ASSERT_EQ(others->put({&element, 1}), 0);
  EXPECT_TRUE(monitor->read());
}

TEST_F(NftSetsTest, ThirtyThousandElementsOfOthersOverrunNothing) {
  auto monitor = RulesetMonitor::create(sets_->port());
  ASSERT_TRUE(monitor);
  std::string elements;
  for (int i = 0; i < 30000; ++i) {
    elements += format("%s10.%d.%d.%d", i == 0 ? "" : ", ", i / 62500, i / 250 % 250, i % 250);
  }
  nft("table ip own { set many { type ipv4_addr; elements = { " + elements + " }; }\n}\n");
  EXPECT_TRUE(monitor->read());
  EXPECT_EQ(put(kOpen4, set_key(address("192.0.2.7"), kSsh), seconds(60)), 0);
}

// As fast as the kernel accepts them: each one disturbs a running listing.
TEST_F(NftSetsTest, ATableIsReadCorrectly_DuringAStormOfChanges) {
  nft("table ip own { set many { type ipv4_addr; flags timeout; }\n}\n");
  const std::vector<std::string> fixed = {"shut", "kept", "interfaces"};
  const std::string before = *sets_->picture("knockd", fixed);
  std::atomic<bool> ends = false;
  std::atomic<int> changes = 0;
  std::thread storm([&] {
    auto others = NftSets::create();
    const TimedElement element{{{TableFamily::kIp, "own", "many"}, set_key(address("192.0.2.1"))},
                               seconds(60)};
    while (!ends && others && others->put({&element, 1}) == 0) ++changes;
  });
  int disturbed = 0;
  for (int looks = 0; looks < 2000 || (changes < 2000 && looks < 1'000'000); ++looks) {
    const auto picture = sets_->picture("knockd", fixed);
    const auto shut = sets_->list({TableFamily::kInet, "knockd", "shut"});
    if (!picture || *picture != before || !shut || shut->size() != 3) ++disturbed;
  }
  ends = true;
  storm.join();
  EXPECT_GE(changes, 2000);
  EXPECT_EQ(disturbed, 0);
}

}  // namespace
}  // namespace knockd
