// SPDX-License-Identifier: MIT
// Messages to and from the kernel, compared with those of nft(8).
#include "knockd/keeper/nft_messages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <vector>

namespace knockd {
namespace {

using std::chrono::hours;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr Knock kSsh{22, Protocol::kTcp};
const SetName kOpen4{TableFamily::kInet, "knockd", "open4_32"};

std::string bytes(std::initializer_list<int> values) {
  std::string text;
  for (const int value : values) text += static_cast<char>(value);
  return text;
}

// What nft 1.0.6 sent, in its own batch, for
//   nft add element inet knockd open4_32 '{ 1.2.3.4 . tcp . 22 timeout 3600s }'
// on a little-endian machine, by strace.
const std::string kOfNft = bytes(
    {0x60, 0,    0, 0,    0x0c, 0x0a, 1,    4,    1,    0,    0,    0,    0, 0, 0, 0,
     1,    0,    0, 0,                                                                 // headers
     0x0b, 0,    1, 0,    0x6b, 0x6e, 0x6f, 0x63, 0x6b, 0x64, 0,    0,                 // knockd
     0x0d, 0,    2, 0,    0x6f, 0x70, 0x65, 0x6e, 0x34, 0x5f, 0x33, 0x32, 0, 0, 0, 0,  // open4_32
     8,    0,    4, 0,    0,    0,    0,    4,                                         // set id
     0x28, 0,    3, 0x80, 0x24, 0,    1,    0x80,                                      // elements
     0x0c, 0,    4, 0,    0,    0,    0,    0,    0,    0x36, 0xee, 0x80,              // timeout
     0x14, 0,    1, 0x80, 0x10, 0,    1,    0,    1,    2,    3,    4,    6, 0, 0, 0,
     0,    0x16, 0, 0});  // key

// The messages of a batch; each lies in `batch`.
std::vector<const nlmsghdr*> messages_of(std::string& batch) {
  std::vector<const nlmsghdr*> messages;
  auto length = static_cast<uint32_t>(batch.size());
  for (auto* one = reinterpret_cast<nlmsghdr*>(batch.data()); NLMSG_OK(one, length);
       one = NLMSG_NEXT(one, length)) {
    messages.push_back(one);
  }
  return messages;
}

std::string put_one() {
  const TimedElement element{{kOpen4, set_key(*IpAddress::parse("1.2.3.4"), kSsh)}, hours(1)};
  return put_request({&element, 1}, 7);
}

TEST(NftMessages, AnElementIsSentAsNftSendsIt) {
  if (std::endian::native != std::endian::little) GTEST_SKIP() << "nft's is of another machine";
  std::string theirs = kOfNft;
  std::string batch = put_one();
  const nlmsghdr& ours = *messages_of(batch).at(1);
  const nlmsghdr& nft = *messages_of(theirs).at(0);
  EXPECT_EQ(ours.nlmsg_type, nft.nlmsg_type);
  EXPECT_EQ(ours.nlmsg_flags, nft.nlmsg_flags);
  EXPECT_EQ(table_in(ours), table_in(nft));
  ASSERT_THAT(elements_in(nft), SizeIs(1));
  EXPECT_EQ(elements_in(ours).at(0).key, elements_in(nft).at(0).key);
  for (const std::string& part :
       {theirs.substr(20, 28), theirs.substr(64, 12), theirs.substr(80, 16)}) {
    EXPECT_THAT(std::string(attributes_in(ours)), HasSubstr(part));
  }
}

TEST(NftMessages, PutAddsDeletesAndAddsInOneTransaction) {
  std::string batch = put_one();
  std::vector<int> types;
  for (const nlmsghdr* message : messages_of(batch)) {
    types.push_back(message->nlmsg_type & 0xff);
    EXPECT_EQ(message->nlmsg_seq, 7u);
  }
  EXPECT_THAT(types, ElementsAre(NFNL_MSG_BATCH_BEGIN, NFT_MSG_NEWSETELEM, NFT_MSG_DELSETELEM,
                                 NFT_MSG_NEWSETELEM, NFNL_MSG_BATCH_END));
  // One answer is enough: the last change's.
  EXPECT_EQ(messages_of(batch).at(1)->nlmsg_flags & NLM_F_ACK, 0);
  EXPECT_NE(messages_of(batch).at(3)->nlmsg_flags & NLM_F_ACK, 0);
}

TEST(NftMessages, ManyElementsAreSplitIntoSeveralMessages) {
  std::vector<TimedElement> elements;
  for (uint16_t port = 1; port <= 100; ++port) {
    elements.push_back(
        {{kOpen4, set_key(*IpAddress::parse("192.0.2.7"), {port, Protocol::kTcp})}, hours(1)});
  }
  std::string batch = remove_request(elements, false, 1);
  size_t found = 0;
  const auto messages = messages_of(batch);
  for (size_t i = 1; i + 1 < messages.size(); ++i) found += elements_in(*messages[i]).size();
  EXPECT_EQ(found, 100u);
  EXPECT_GT(messages.size(), 4u);
}

TEST(NftMessages, KeysHaveNftsTypes) {
  EXPECT_EQ(set_key(*IpAddress::parse("192.0.2.7")), bytes({192, 0, 2, 7}));
  EXPECT_EQ(set_key(*IpAddress::parse("192.0.2.7"), {51820, Protocol::kUdp}),
            bytes({192, 0, 2, 7, 17, 0, 0, 0, 0xca, 0x6c, 0, 0}));
  EXPECT_THAT(set_key(*IpAddress::parse("2001:db8::1"), kSsh), SizeIs(24));
}

TEST(NftMessages, APortIsReadFromItsKeyAlone) {
  EXPECT_EQ(port_of_key(bytes({6, 0, 0, 0, 0, 22, 0, 0})), kSsh);
  EXPECT_EQ(port_of_key(bytes({17, 0, 0, 0, 0xca, 0x6c, 0, 0})), (Knock{51820, Protocol::kUdp}));
  EXPECT_EQ(port_of_key(bytes({132, 0, 0, 0, 0, 22, 0, 0})), std::nullopt);
  EXPECT_EQ(port_of_key(bytes({6, 0, 0, 0, 0, 22})), std::nullopt);
}

TEST(NftMessages, AnswerEndsWithAnErrorOrSuccess) {
  struct {
    nlmsghdr header{};
    nlmsgerr error{};
  } message;
  message.header.nlmsg_len = sizeof(message);
  message.header.nlmsg_type = NLMSG_ERROR;
  message.error.error = -ENFILE;
  EXPECT_EQ(end_in(message.header), ENFILE);
  message.error.error = 0;
  EXPECT_EQ(end_in(message.header), 0);
  message.header.nlmsg_len = sizeof(nlmsghdr);
  EXPECT_EQ(end_in(message.header), EPROTO) << "cut short";
  message.header.nlmsg_type = NLMSG_DONE;
  EXPECT_EQ(end_in(message.header), 0);
  message.header.nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSETELEM;
  EXPECT_EQ(end_in(message.header), std::nullopt);
}

// A time of 0 would make it permanent.
TEST(NftMessages, LessThanAMillisecondIsRoundedUpToOne) {
  const TimedElement element{{kOpen4, set_key(*IpAddress::parse("1.2.3.4"), kSsh)},
                             std::chrono::nanoseconds(1)};
  std::string batch = put_request({&element, 1}, 7);
  // The head of an attribute is in the machine's own byte order.
  const nlattr head{NLA_HDRLEN + sizeof(uint64_t), NFTA_SET_ELEM_TIMEOUT};
  const std::string_view attribute(reinterpret_cast<const char*>(&head), sizeof(head));
  EXPECT_THAT(std::string(attributes_in(*messages_of(batch).at(1))),
              HasSubstr(std::string(attribute) + bytes({0, 0, 0, 0, 0, 0, 0, 1})));
}

TEST(NftMessages, InterruptedAnswerIsRefused) {
  nlmsghdr content{sizeof(nlmsghdr), NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSETELEM, 0, 1, 0};
  nlmsghdr done{sizeof(nlmsghdr), NLMSG_DONE, 0, 1, 0};
  AnswerEnd whole;
  EXPECT_TRUE(whole.take(content));
  EXPECT_EQ(whole.error(), ENOBUFS) << "it has not ended";
  EXPECT_FALSE(whole.take(done));
  EXPECT_EQ(whole.error(), 0);
  content.nlmsg_flags = NLM_F_DUMP_INTR;
  AnswerEnd interrupted;
  EXPECT_TRUE(interrupted.take(content));
  EXPECT_FALSE(interrupted.take(done));
  EXPECT_EQ(interrupted.error(), EINTR);
}

}  // namespace
}  // namespace knockd
