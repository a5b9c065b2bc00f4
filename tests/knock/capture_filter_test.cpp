// SPDX-License-Identifier: MIT
#include "knockd/knock/capture_filter.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <pcap/pcap.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <tuple>

#include "knockd/base/unique_fd.h"
#include "knockd/knock/tracker.h"
#include "knockd/net/decoder.h"
#include "tests/base/processor_time.h"
#include "tests/net/frames.h"

namespace knockd {

static_assert(kKernelLayout.protocol == static_cast<uint32_t>(SKF_AD_OFF + SKF_AD_PROTOCOL));
static_assert(kKernelLayout.network == static_cast<uint32_t>(SKF_NET_OFF));
static_assert(kMaxFilterInstructions == BPF_MAXINSNS);

namespace {

using namespace frames;  // NOLINT: a language for tests

using Random = std::mt19937;
using Numbers = std::initializer_list<uint16_t>;

constexpr uint8_t kSyn = kTcpSyn;
constexpr uint8_t kAck = kTcpAck;
constexpr uint8_t kSynAck = kTcpSyn | kTcpAck;

uint32_t pick(Random& random, uint32_t below) {
  return std::uniform_int_distribution<uint32_t>(0, below - 1)(random);
}

DoorRule door(std::string_view sequence, FlagMask flags = {}, std::string_view target = {}) {
  DoorRule rule;
  rule.sequence = std::get<Sequence>(parse_sequence(sequence));
  rule.flags = flags;
  if (!target.empty()) rule.target = address(target);
  return rule;
}

IpAddress random_v4(Random& random) {
  std::array<uint8_t, 4> bytes;
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(pick(random, 256));
  return IpAddress::from_v4(bytes);
}

IpAddress random_v6(Random& random) {
  std::array<uint8_t, 16> bytes;
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(pick(random, 256));
  bytes[0] = 0x20;
  return IpAddress::from_v6(bytes);
}

// The address plus `step`.
IpAddress neighbour(const IpAddress& address, int step) {
  IpAddress::Bytes bytes = address.bytes();
  bytes[15] = static_cast<uint8_t>(bytes[15] + step);
  return IpAddress(bytes);
}

std::vector<DoorRule> many_doors(int count, Random& random) {
  std::vector<DoorRule> doors;
  for (int i = 0; i < count; ++i) {
    DoorRule rule;
    for (int knock = 0; knock < 3; ++knock) {
      rule.sequence.push_back({static_cast<uint16_t>(1 + pick(random, 65535)),
                               pick(random, 2) != 0 ? Protocol::kTcp : Protocol::kUdp});
    }
    doors.push_back(rule);
  }
  return doors;
}

LinkPayload to(const IpAddress& destination, const IpPayload& payload) {
  const std::string text = destination.to_string();
  return destination.is_v4() ? ipv4(payload, {.destination = text})
                             : ipv6(payload, {.destination = text});
}

IpPayload segment(uint16_t port, uint8_t flags) {
  return tcp({.destination_port = port, .flags = flags});
}

class CaptureFilter : public testing::Test {
 protected:
  void listen_at(std::string_view text) { wishes.own_addresses.push_back(address(text)); }
  void build(size_t max_instructions = kMaxFilterInstructions) {
    program = make_capture_filter(wishes, kEthernetLayout, max_instructions);
    instructions_.resize(program.size());
    std::memcpy(instructions_.data(), program.data(), program.size() * sizeof(bpf_insn));
  }

  // Evaluated by libpcap's interpreter.
  bool passes_frame(const Bytes& frame) {
    if (program.empty()) build();
    const bpf_program code{static_cast<unsigned>(instructions_.size()), instructions_.data()};
    pcap_pkthdr header{};
    header.caplen = header.len = static_cast<uint32_t>(frame.size());
    return pcap_offline_filter(&code, &header, frame.data()) != 0;
  }
  bool passes(const LinkPayload& payload) { return passes_frame(ethernet(payload)); }

  CaptureWishes wishes;
  std::vector<FilterInstruction> program;

 private:
  std::vector<bpf_insn> instructions_;
};

const std::vector<FilterInstruction> kRefuseAll = {{BPF_RET, 0, 0, 0}};

TEST_F(CaptureFilter, RefusesEverything_WithoutAddress) {
  wishes.doors = {door("7000,8000")};
  build();
  EXPECT_EQ(program, kRefuseAll);
}

TEST_F(CaptureFilter, RefusesEverything_WithoutDoor) {
  listen_at("192.0.2.1");
  wishes.doors = {DoorRule{}};  // its one-time sequences are used up
  build();
  EXPECT_EQ(program, kRefuseAll);
}

TEST_F(CaptureFilter, PassesPortsOfDoors_AtOwnAddresses) {
  listen_at("192.0.2.1");
  listen_at("2001:db8::1");
  wishes.doors = {door("7000,8000:udp,7002")};
  wishes.scan_guard = false;
  for (const char* own : {"192.0.2.1", "2001:db8::1"}) {
    SCOPED_TRACE(own);
    for (const uint8_t flags : {kSyn, kAck, kSynAck, uint8_t{0}}) {
      EXPECT_TRUE(passes(to(address(own), segment(7000, flags))));
      EXPECT_TRUE(passes(to(address(own), segment(7002, flags))));
      EXPECT_FALSE(passes(to(address(own), segment(7001, flags))));
      EXPECT_FALSE(passes(to(address(own), segment(8000, flags))));
    }
    EXPECT_TRUE(passes(to(address(own), udp(1, 8000))));
    EXPECT_FALSE(passes(to(address(own), udp(1, 7000))));
    EXPECT_FALSE(passes(to(address(own), udp(8000, 1))));
    EXPECT_FALSE(passes(to(address(own), icmp(address(own).is_v4() ? 1 : 58))));
  }
  for (const char* other : {"192.0.2.0", "192.0.2.2", "2001:db8::", "2001:db8::2", "2001:db9::1"}) {
    EXPECT_FALSE(passes(to(address(other), segment(7000, kSyn)))) << other;
    EXPECT_FALSE(passes(to(address(other), udp(1, 8000)))) << other;
  }
  EXPECT_FALSE(passes(arp()));
}

TEST_F(CaptureFilter, PassesConnectionAttemptsAtAnyPort_WithScanGuard) {
  listen_at("192.0.2.1");
  wishes.doors = {door("7000")};
  EXPECT_TRUE(passes(ipv4(segment(443, kSyn))));
  EXPECT_TRUE(passes(ipv4(segment(7000, kAck))));
  EXPECT_FALSE(passes(ipv4(segment(443, kSynAck))));
  EXPECT_FALSE(passes(ipv4(segment(443, kAck))));
  EXPECT_FALSE(passes(ipv4(udp(1, 443))));
  EXPECT_FALSE(passes(ipv4(segment(443, kSyn), {.destination = "192.0.2.2"})));
}

TEST_F(CaptureFilter, TestsFlags_ThatAllDoorsAskFor) {
  listen_at("192.0.2.1");
  wishes.doors = {door("443,80", {kTcpSyn, kTcpRst}), door("80", {kTcpSyn | kTcpUrg, kTcpRst})};
  for (const bool scan_guard : {false, true}) {
    wishes.scan_guard = scan_guard;
    build();
    EXPECT_TRUE(passes(ipv4(segment(443, kSyn))));
    EXPECT_TRUE(passes(ipv4(segment(80, kSynAck))));
    EXPECT_FALSE(passes(ipv4(segment(443, kAck))));
    EXPECT_FALSE(passes(ipv4(segment(443, kSynAck | kTcpRst))));
  }
}

// The segments that match such a door's flags are those that the guard counts, at any port; the
// filter passes exactly these.
TEST_F(CaptureFilter, PassesConnectionAttempts_AtAnyPort_ForADoorThatAsksForThem) {
  listen_at("192.0.2.1");
  constexpr FlagMask syn{kTcpSyn, kTcpAck};  // the meaning of "syn" in a configuration
  wishes.doors = {door("7000", syn)};
  for (int flags = 0; flags < 256; ++flags) {
    const auto bits = static_cast<uint8_t>(flags);
    for (const uint16_t port : Numbers{1, 7000, 65535}) {
      EXPECT_EQ(passes(ipv4(segment(port, bits))), syn.passes(bits)) << port << ' ' << flags;
    }
    EXPECT_EQ(syn.passes(bits), is_connection_attempt(bits)) << flags;
  }
}

TEST_F(CaptureFilter, DropsOtherSegments_WhenDoorsAskForConnectionAttempts) {
  listen_at("192.0.2.1");
  wishes.doors = {door("443", {kTcpSyn, kTcpAck})};
  EXPECT_TRUE(passes(ipv4(segment(443, kSyn))));
  EXPECT_FALSE(passes(ipv4(segment(443, kAck))));
  EXPECT_FALSE(passes(ipv4(segment(443, kSynAck))));
}

TEST_F(CaptureFilter, PassesToTargets_OnlyThePortsOfTheirDoors) {
  listen_at("192.0.2.1");
  wishes.scan_guard = false;
  wishes.doors = {door("7000"), door("7001", {}, "198.51.100.1"), door("7002", {}, "192.0.2.1"),
                  door("7003", {}, "2001:db8::77")};
  const auto heard = [&](std::string_view destination) {
    std::string ports;
    for (const uint16_t port : Numbers{7000, 7001, 7002, 7003}) {
      if (passes(to(address(destination), segment(port, kSyn)))) {
        ports += std::to_string(port) + " ";
      }
    }
    return ports;
  };
  EXPECT_EQ(heard("192.0.2.1"), "7000 7002 ");
  EXPECT_EQ(heard("198.51.100.1"), "7001 ");
  EXPECT_EQ(heard("2001:db8::77"), "7003 ");
  EXPECT_EQ(heard("198.51.100.2"), "");
}

TEST_F(CaptureFilter, PassesOnlyTheTarget_WhenNoDoorIsAtOwnAddresses) {
  listen_at("192.0.2.1");
  wishes.doors = {door("7000", {}, "198.51.100.1")};
  wishes.scan_guard = false;
  EXPECT_TRUE(passes(ipv4(segment(7000, kSyn), {.destination = "198.51.100.1"})));
  EXPECT_FALSE(passes(ipv4(segment(7000, kSyn))));
}

TEST_F(CaptureFilter, PassesAnyDestination_ForReplay) {
  wishes.any_destination = true;
  wishes.scan_guard = false;
  wishes.doors = {door("7000"), door("7001", {}, "198.51.100.1")};
  EXPECT_TRUE(passes(ipv4(segment(7000, kSyn), {.destination = "203.0.113.99"})));
  EXPECT_TRUE(passes(ipv6(segment(7001, kSyn))));
  EXPECT_FALSE(passes(ipv6(segment(7002, kSyn))));
}

TEST_F(CaptureFilter, DropsIpv6_WhenOnlyIpv4IsWanted) {
  listen_at("192.0.2.1");
  listen_at("2001:db8::1");
  wishes.doors = {door("7000"), door("7000", {}, "2001:db8::77")};
  wishes.only_v4 = true;
  for (const bool any_destination : {false, true}) {
    wishes.any_destination = any_destination;
    build();
    EXPECT_TRUE(passes(ipv4(segment(7000, kSyn))));
    EXPECT_FALSE(passes(ipv6(segment(7000, kSyn))));
    EXPECT_FALSE(passes(ipv6(segment(7000, kSyn), {.destination = "2001:db8::77"})));
    EXPECT_FALSE(passes(ipv6(hop_by_hop(segment(7000, kSyn)))));
  }
}

TEST_F(CaptureFilter, FindsPorts_BehindIpv4Options) {
  listen_at("192.0.2.1");
  wishes.doors = {door("7000:udp")};
  for (const size_t length : {4u, 40u}) {
    EXPECT_TRUE(passes(ipv4(udp(1, 7000), {.options = Bytes(length)})));
    EXPECT_FALSE(passes(ipv4(udp(1, 7001), {.options = Bytes(length)})));
    EXPECT_TRUE(passes(ipv4(segment(1, kSyn), {.options = Bytes(length)})));
  }
}

TEST_F(CaptureFilter, RefusesLaterFragments) {
  listen_at("192.0.2.1");
  wishes.doors = {door("7000")};
  EXPECT_TRUE(passes(ipv4(segment(7000, kSyn), {.more_fragments = true})));
  EXPECT_FALSE(passes(ipv4(segment(7000, kSyn), {.fragment_offset = 1})));
  EXPECT_FALSE(passes(ipv4(segment(7000, kSyn), {.fragment_offset = 0x1000})));
}

TEST_F(CaptureFilter, LeavesExtensionHeadersToTheDecoder) {
  listen_at("2001:db8::1");
  wishes.doors = {door("7000")};
  const IpPayload knock = segment(7000, kAck);
  for (const IpPayload& payload :
       {hop_by_hop(knock), routing(knock), destination_options(knock), fragment(knock, 0, true),
        authentication(knock), extension_header(135, knock), extension_header(139, knock),
        extension_header(140, knock)}) {
    EXPECT_TRUE(passes(ipv6(payload))) << int{payload.protocol};
    EXPECT_FALSE(passes(ipv6(payload, {.destination = "2001:db8::2"}))) << int{payload.protocol};
  }
  for (const uint8_t protocol : std::initializer_list<uint8_t>{50, 58, 59, 132}) {
    EXPECT_FALSE(passes(ipv6(IpPayload{protocol, knock.bytes}))) << int{protocol};
  }
}

TEST_F(CaptureFilter, LeavesVlanTagsToTheDecoder) {
  listen_at("192.0.2.1");
  wishes.doors = {door("7000")};
  for (const uint16_t ether_type : Numbers{0x8100, 0x88a8, 0x9100}) {
    EXPECT_TRUE(passes(vlan(10, ipv4(segment(7000, kSyn)), ether_type)));
  }
}

TEST_F(CaptureFilter, RefusesFrames_CutBeforeTheFlags) {
  listen_at("192.0.2.1");
  wishes.doors = {door("7000")};
  const Bytes whole = ethernet(ipv4(segment(7000, kSyn)));
  const auto first = [&](long length) { return Bytes(whole.begin(), whole.begin() + length); };
  for (long length = 0; length < 14 + 20 + 14; ++length) {
    EXPECT_FALSE(passes_frame(first(length))) << length;
  }
  EXPECT_TRUE(passes_frame(first(14 + 20 + 14)));
}

TEST_F(CaptureFilter, MergesPorts_OnlyWhenThereAreMany) {
  listen_at("192.0.2.1");
  wishes.scan_guard = false;
  const auto heard = [&](uint16_t port) { return passes(ipv4(udp(1, port))); };
  for (int i = 0; i < 64; ++i) {
    wishes.doors.push_back(door(std::to_string(1000 + 10 * i) + ":udp"));
  }
  for (const uint16_t port : Numbers{1000, 1010, 1630}) EXPECT_TRUE(heard(port)) << port;
  for (const uint16_t port : Numbers{999, 1001, 1009, 1631}) EXPECT_FALSE(heard(port)) << port;

  wishes.doors.push_back(door("2000:udp,2004:udp"));  // with the smallest gap between them
  build();
  for (const uint16_t port : Numbers{1000, 1630, 2000, 2002, 2004})
    EXPECT_TRUE(heard(port)) << port;
  for (const uint16_t port : Numbers{1999, 2005}) EXPECT_FALSE(heard(port)) << port;
}

TEST_F(CaptureFilter, DistinguishesAThousandAddresses) {
  Random random(1);
  std::set<IpAddress> own;
  while (own.size() < 1000) own.insert(random_v4(random));
  while (own.size() < 1200) own.insert(random_v6(random));
  wishes.own_addresses.assign(own.begin(), own.end());
  wishes.doors = {door("7000")};
  build();
  EXPECT_LE(program.size(), kMaxFilterInstructions);
  for (const IpAddress& destination : own) {
    EXPECT_TRUE(passes(to(destination, segment(7000, kSyn)))) << destination.to_string();
    for (const int step : {-1, 1}) {
      const IpAddress other = neighbour(destination, step);
      EXPECT_EQ(passes(to(other, segment(7000, kSyn))), own.contains(other)) << other.to_string();
    }
  }
  for (int i = 0; i < 10000; ++i) {
    const IpAddress other = i % 2 != 0 ? random_v4(random) : random_v6(random);
    EXPECT_EQ(passes(to(other, segment(7000, kSyn))), own.contains(other)) << other.to_string();
  }
}

// Each further address makes jumps longer, up to and beyond what fits an instruction.
TEST_F(CaptureFilter, JumpsReachTargets_WithAnyNumberOfAddresses) {
  Random random(2);
  wishes.doors = {door("7000")};
  std::set<IpAddress> own;
  while (own.size() < 400) {
    own.insert(random_v4(random));
    wishes.own_addresses.assign(own.begin(), own.end());
    build();
    for (const IpAddress& destination : own) {
      ASSERT_TRUE(passes(to(destination, segment(7000, kSyn)))) << own.size();
      const IpAddress other = neighbour(destination, 1);
      ASSERT_EQ(passes(to(other, segment(7000, kSyn))), own.contains(other)) << own.size();
    }
  }
}

TEST_F(CaptureFilter, PassesExactlyTheWholeNetwork) {
  for (int i = 0; i < 256; ++i) listen_at("192.0.2." + std::to_string(i));
  wishes.doors = {door("7000")};
  build();
  EXPECT_LT(program.size(), 40u);
  const auto heard = [&](std::string_view destination) {
    return passes(ipv4(segment(1, kSyn), {.destination = destination}));
  };
  EXPECT_TRUE(heard("192.0.2.0"));
  EXPECT_TRUE(heard("192.0.2.255"));
  EXPECT_FALSE(heard("192.0.1.255"));
  EXPECT_FALSE(heard("192.0.3.0"));
}

TEST_F(CaptureFilter, StaysWithinItsBound_AndMissesNothing) {
  Random random(2);
  const std::vector<std::pair<int, int>> counts = {{0, 0},   {1, 0},   {4, 4},
                                                   {600, 0}, {0, 600}, {3000, 3000}};
  for (const auto& [v4, v6] : counts) {
    wishes.own_addresses.clear();
    for (int i = 0; i < v4; ++i) wishes.own_addresses.push_back(random_v4(random));
    for (int i = 0; i < v6; ++i) wishes.own_addresses.push_back(random_v6(random));
    for (const auto& [doors, targets] : {std::pair{1, 0}, {300, 3}, {300, 300}}) {
      wishes.doors = many_doors(doors, random);
      for (int i = 0; i < targets; ++i) {
        wishes.doors[static_cast<size_t>(i)].target =
            i % 2 != 0 ? random_v4(random) : random_v6(random);
      }
      for (const size_t bound : {size_t{512}, kSmallFilterInstructions, kMaxFilterInstructions}) {
        SCOPED_TRACE(testing::Message() << v4 << " IPv4, " << v6 << " IPv6, " << doors << " doors, "
                                        << targets << " targets, bound " << bound);
        build(bound);
        ASSERT_LE(program.size(), bound);
        for (size_t i = 0; i < wishes.own_addresses.size(); i += 37) {
          ASSERT_TRUE(passes(to(wishes.own_addresses[i], segment(1, kSyn))));
        }
        for (const DoorRule& rule : wishes.doors) {
          if (rule.target) {
            ASSERT_TRUE(passes(to(*rule.target, segment(1, kSyn))));
          }
        }
      }
    }
  }
}

TEST_F(CaptureFilter, DoesNotGrowWithDoors) {
  Random random(3);
  listen_at("192.0.2.1");
  wishes.doors = many_doors(100, random);
  build();
  const size_t with_hundred = program.size();
  wishes.doors = many_doors(10000, random);
  build();
  EXPECT_LE(program.size(), with_hundred + 80);
}

// Collects a tracker's events.
class Sayings : public TrackerSink {
 public:
  void on_event(const KnockEvent& event) override { events.push_back(event); }
  std::vector<KnockEvent> events;
};

// A tracker behind the filter reports the same as one that gets every packet.
TEST_F(CaptureFilter, HidesNothingFromTheTracker) {
  constexpr int kRounds = 300;
  constexpr int kPackets = 400;
  Random random(4);
  const std::array destinations = {"192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2",
                                   "198.51.100.1"};
  const std::array<FlagMask, 5> masks = {
      {{0, 0}, {kTcpSyn, 0}, {kTcpSyn, kTcpAck}, {kTcpAck, kTcpSyn}, {0, kTcpRst}}};
  const std::array<uint8_t, 6> flags = {kSyn, kSyn, kSyn, kAck, kSynAck, kTcpRst};
  size_t said = 0;
  size_t hidden = 0;
  for (int round = 0; round < kRounds; ++round) {
    SCOPED_TRACE(round);
    wishes = {};
    for (size_t i = 0, count = pick(random, 4); i < count; ++i) listen_at(destinations[i]);
    for (uint32_t i = 0, count = 1 + pick(random, 8); i < count; ++i) {
      DoorRule rule;
      for (uint32_t knock = 0, knocks = 1 + pick(random, 3); knock < knocks; ++knock) {
        rule.sequence.push_back({static_cast<uint16_t>(7000 + 2 * pick(random, 3)),
                                 pick(random, 3) != 0 ? Protocol::kTcp : Protocol::kUdp});
      }
      rule.flags = masks[pick(random, masks.size())];
      if (pick(random, 3) == 0) rule.target = address(destinations[pick(random, 5)]);
      wishes.doors.push_back(rule);
    }
    wishes.any_destination = pick(random, 8) == 0;
    TrackerOptions options;
    options.bounds.scan_limit = pick(random, 3);
    options.bounds.max_sources = 64;
    options.any_destination = wishes.any_destination;
    wishes.scan_guard = options.bounds.scan_limit != 0;
    build();

    Sayings of_all;
    Sayings of_passed;
    Tracker hears_all(wishes.doors, options, of_all);
    Tracker hears_passed(wishes.doors, options, of_passed);
    hears_all.set_own_addresses(wishes.own_addresses);
    hears_passed.set_own_addresses(wishes.own_addresses);
    Instant now{std::chrono::seconds(1)};
    for (int i = 0; i < kPackets; ++i) {
      now += std::chrono::milliseconds(pick(random, 2000));
      const auto port = static_cast<uint16_t>(7000 + pick(random, 6));
      const auto source_port = static_cast<uint16_t>(40000 + i);
      IpPayload payload = tcp({.source_port = source_port,
                               .destination_port = port,
                               .flags = flags[pick(random, flags.size())]});
      if (pick(random, 4) == 0) payload = udp(source_port, port);
      const IpAddress destination = address(destinations[pick(random, 5)]);
      if (!destination.is_v4() && pick(random, 3) == 0) payload = destination_options(payload);
      LinkPayload in_link = to(destination, payload);
      if (pick(random, 8) == 0) in_link = vlan(10, in_link);

      const Bytes frame = ethernet(in_link);
      const Decoded decoded =
          decode(LinkType::kEthernet, frame, static_cast<uint32_t>(frame.size()));
      ASSERT_TRUE(decoded.packet);
      hears_all.expire(now);
      hears_passed.expire(now);
      hears_all.handle(*decoded.packet, now);
      if (passes_frame(frame)) {
        hears_passed.handle(*decoded.packet, now);
      } else {
        ++hidden;
      }
    }
    ASSERT_EQ(of_all.events, of_passed.events);
    said += of_all.events.size();
  }
  EXPECT_GT(said, 1000u);
  EXPECT_GT(hidden, size_t{kRounds} * kPackets / 10);
}

// The bound is generous for slow machines and sanitizers, yet far below the time of libpcap's
// compiler.
TEST_F(CaptureFilter, IsMadeQuickly_ForAThousandDoors) {
  Random random(5);
  for (int i = 0; i < 4; ++i) wishes.own_addresses.push_back(random_v4(random));
  for (int i = 0; i < 4; ++i) wishes.own_addresses.push_back(random_v6(random));
  wishes.doors = many_doors(1000, random);
  const auto begin = processor_time();
  build();
  EXPECT_LT(processor_time() - begin, std::chrono::milliseconds(500));
  EXPECT_LE(program.size(), kSmallFilterInstructions);
}

// ---- in the kernel ----

// Runs a test in a new thread with its own network namespace, which ends with the thread: two ends
// of a virtual cable, `outside` and `inside`.
class CaptureFilterInKernel : public CaptureFilter {
 protected:
  void in_own_network(const std::function<void()>& test) {
    bool refused = false;
    std::thread([&] {
      if (unshare(CLONE_NEWNET) != 0) {
        refused = true;
        return;
      }
      ASSERT_EQ(std::system("ip link add outside type veth peer name inside"
                            " && ip link set outside up && ip link set inside up"),
                0);
      // Until the kernel has noticed the carrier, a device silently drops what it should send.
      ASSERT_EQ(std::system("timeout 10 sh -c 'until ip link show outside | grep -q \"state UP\";"
                            " do sleep 0.01; done'"),
                0);
      test();
    }).join();
    if (refused) GTEST_SKIP() << "needs the right to make a network namespace";
  }

  // True if the kernel accepted it.
  static bool attach(const UniqueFd& fd, const std::vector<FilterInstruction>& code) {
    std::vector<sock_filter> instructions(code.size());
    std::memcpy(instructions.data(), code.data(), code.size() * sizeof(sock_filter));
    const sock_fprog description{static_cast<unsigned short>(code.size()), instructions.data()};
    return setsockopt(fd.get(), SOL_SOCKET, SO_ATTACH_FILTER, &description, sizeof description) ==
           0;
  }

  // A packet socket that receives nothing yet.
  static UniqueFd packet_socket(int type) {
    return UniqueFd(socket(AF_PACKET, type | SOCK_CLOEXEC, 0));
  }

  static void listen_on(const UniqueFd& fd, const char* interface) {
    sockaddr_ll where{};
    where.sll_family = AF_PACKET;
    where.sll_protocol = htons(ETH_P_ALL);
    where.sll_ifindex = static_cast<int>(if_nametoindex(interface));
    ASSERT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&where), sizeof where), 0);
    const timeval patience{10, 0};
    ASSERT_EQ(setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
  }

  static void send_from(const char* interface, Bytes frame, uint8_t number) {
    const UniqueFd fd = packet_socket(SOCK_RAW);
    sockaddr_ll where{};
    where.sll_family = AF_PACKET;
    where.sll_ifindex = static_cast<int>(if_nametoindex(interface));
    frame[10] = kMark;  // in the sender's hardware address
    frame[11] = number;
    ASSERT_EQ(sendto(fd.get(), frame.data(), frame.size(), 0, reinterpret_cast<sockaddr*>(&where),
                     sizeof where),
              static_cast<ssize_t>(frame.size()));
  }

  // The numbers of the frames received, up to `last`.
  static std::set<int> hear_until(const UniqueFd& fd, uint8_t last) {
    std::set<int> heard;
    while (!heard.contains(last)) {
      uint8_t bytes[2048];
      sockaddr_ll from{};
      socklen_t size = sizeof from;
      if (recvfrom(fd.get(), bytes, sizeof bytes, 0, reinterpret_cast<sockaddr*>(&from), &size) <
          0) {
        ADD_FAILURE() << "the last frame did not come";
        break;
      }
      if (from.sll_addr[4] == kMark) heard.insert(from.sll_addr[5]);
    }
    return heard;
  }

  static constexpr uint8_t kMark = 0xa5;
};

TEST_F(CaptureFilterInKernel, PassesTheSameFrames) {
  listen_at("192.0.2.1");
  listen_at("2001:db8::1");
  wishes.doors = {door("7000,8000:udp", {0, kTcpRst})};
  struct Case {
    const char* what;
    LinkPayload packet;
    bool wanted;
  };
  const std::vector<Case> cases = {
      {"connection attempt", ipv4(segment(443, kSyn)), true},
      {"its answer", ipv4(segment(443, kSynAck)), false},
      {"knock", ipv4(segment(7000, kAck)), true},
      {"knock with the wrong flags", ipv4(segment(7000, kTcpRst)), false},
      {"udp knock", ipv4(udp(1, 8000)), true},
      {"udp", ipv4(udp(1, 7000)), false},
      {"icmp", ipv4(icmp()), false},
      {"to another", ipv4(segment(7000, kSyn), {.destination = "192.0.2.2"}), false},
      {"IPv4 options", ipv4(udp(1, 8000), {.options = Bytes(8)}), true},
      {"IPv4 options, wrong port", ipv4(udp(1, 8001), {.options = Bytes(8)}), false},
      {"later fragment", ipv4(udp(1, 8000), {.fragment_offset = 3}), false},
      {"IPv6 connection attempt", ipv6(segment(443, kSyn)), true},
      {"IPv6 answer", ipv6(segment(443, kSynAck)), false},
      {"IPv6 udp knock", ipv6(udp(1, 8000)), true},
      {"IPv6 udp", ipv6(udp(1, 8001)), false},
      {"IPv6 to another", ipv6(udp(1, 8000), {.destination = "2001:db8::2"}), false},
      {"IPv6 options", ipv6(destination_options(udp(1, 8000))), true},
      {"ICMPv6", ipv6(icmp(58)), false},
      {"tagged knock", vlan(10, ipv4(segment(7000, kAck))), true},
      {"tagged, no knock", vlan(10, ipv4(segment(7001, kAck))), false},
      {"tagged IPv6 knock", vlan(10, ipv6(segment(7000, kAck))), true},
      {"tagged twice", vlan(10, vlan(20, ipv4(segment(7000, kAck))), 0x88a8), true},
      {"ARP", arp(), false},
  };
  constexpr uint8_t kLast = 255;
  in_own_network([&] {
    for (const int type : {SOCK_RAW, SOCK_DGRAM}) {  // as for Ethernet, and for cooked captures
      const UniqueFd fd = packet_socket(type);
      ASSERT_TRUE(attach(fd, make_capture_filter(wishes, kKernelLayout)));
      ASSERT_NO_FATAL_FAILURE(listen_on(fd, "inside"));
      for (size_t i = 0; i < cases.size(); ++i) {
        send_from("outside", ethernet(cases[i].packet), static_cast<uint8_t>(i));
      }
      send_from("outside", ethernet(ipv4(segment(7000, kSyn))), kLast);
      const std::set<int> heard = hear_until(fd, kLast);
      for (size_t i = 0; i < cases.size(); ++i) {
        EXPECT_EQ(heard.contains(static_cast<int>(i)), cases[i].wanted)
            << cases[i].what << (type == SOCK_RAW ? ", raw" : ", cooked");
      }
    }
  });
}

// Older kernels grant a socket 20,480 bytes for its options.
TEST_F(CaptureFilterInKernel, FitsAnOlderKernelsMemory_WhenSmall) {
  Random random(6);
  for (int i = 0; i < 2000; ++i) {
    wishes.own_addresses.push_back(i % 2 != 0 ? random_v4(random) : random_v6(random));
  }
  wishes.doors = many_doors(1000, random);
  in_own_network([&] {
    const bool limited = std::system("echo 20480 2>/dev/null >/proc/sys/net/core/optmem_max") == 0;
    const UniqueFd fd = packet_socket(SOCK_RAW);
    EXPECT_TRUE(attach(fd, make_capture_filter(wishes, kKernelLayout, kSmallFilterInstructions)));
    if (limited) {
      EXPECT_FALSE(attach(fd, make_capture_filter(wishes, kKernelLayout)));
    }
  });
}

}  // namespace
}  // namespace knockd
