// SPDX-License-Identifier: MIT
// A tracker in a house with doors, for tests that read as a story.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "knockd/knock/tracker.h"

namespace knockd {

using namespace std::chrono_literals;

inline constexpr uint8_t kSyn = kTcpSyn;
inline constexpr uint8_t kAck = kTcpAck;
inline constexpr uint8_t kSynAck = kTcpSyn | kTcpAck;

// A house with doors, as a story: door("openSSH", "7000,8000"); knock(7000); after(3s);
// expect("openSSH: Stage 1"). `expect` lists everything that happened since the last one; anything
// unexpected fails the test at its end. Events of one packet at several doors are sorted by the
// doors' names.
class TrackerTest : public testing::Test, public TrackerSink {
 protected:
  struct DoorFacts {
    Duration timeout = 25s;
    Duration cooldown = 0s;
    FlagMask flags = {};
    DoorNumber cools_with = kNoDoor;
    const char* target = nullptr;
  };

  void door(std::string name, std::string_view sequence) { door(std::move(name), sequence, {}); }
  void door(std::string name, std::string_view sequence, const DoorFacts& facts) {
    DoorRule rule;
    rule.sequence = std::get<Sequence>(parse_sequence(sequence));
    rule.seq_timeout = facts.timeout;
    rule.seq_cooldown = facts.cooldown;
    rule.flags = facts.flags;
    rule.cools_with = facts.cools_with;
    if (facts.target != nullptr) rule.target = address(facts.target);
    rules_.push_back(rule);
    names_.push_back(std::move(name));
  }
  // Each code is its ports; its tag is its number in the list.
  using Ports = std::vector<std::array<uint16_t, kMostCodePlaces>>;
  static std::vector<Code> codes(const Ports& ports) {
    std::vector<Code> codes;
    for (const auto& one : ports) codes.push_back({one, {static_cast<uint16_t>(codes.size()), 7}});
    std::ranges::sort(codes);
    return codes;
  }
  void door_with_codes(std::string name, std::string_view sequence, const Ports& ports,
                       Duration cooldown = 0s) {
    auto coded = std::get<CodedSequence>(parse_coded_sequence(sequence));
    door(std::move(name), "1", {.cooldown = cooldown});
    rules_.back().sequence = std::move(coded.sequence);
    rules_.back().places = coded.places;
    rules_.back().codes = codes(ports);
  }
  void new_codes(DoorNumber number, const Ports& ports, uint32_t generation = 0) {
    tracker().set_codes({{number, generation, codes(ports)}});
  }
  void own_addresses(const std::vector<std::string_view>& texts) {
    std::vector<IpAddress> addresses;
    for (const auto text : texts) addresses.push_back(address(text));
    tracker().set_own_addresses(addresses);
  }
  void new_sequence(DoorNumber number, std::string_view sequence, uint32_t generation) {
    tracker().set_sequence(number, std::get<Sequence>(parse_sequence(sequence)), generation);
  }
  void close_for_good(DoorNumber number) { tracker().set_sequence(number, {}, 1); }

  // The sender and the destination from here on.
  void from(std::string_view source) { packet_.source = address(source); }
  void from_number(uint32_t number) {
    packet_.source = IpAddress::from_v4(
        std::array<uint8_t, 4>{10, static_cast<uint8_t>(number >> 16),
                               static_cast<uint8_t>(number >> 8), static_cast<uint8_t>(number)});
  }
  void to(std::string_view destination) { packet_.destination = address(destination); }

  // Each has its own source port and sequence number; returns the packets sent.
  Packet knock(uint16_t port, uint8_t flags = kSyn) {
    packet_.protocol = Protocol::kTcp;
    packet_.destination_port = port;
    packet_.tcp_flags = flags;
    packet_.source_port = static_cast<uint16_t>(40000 + knocks_ % 20000);
    packet_.tcp_sequence = ++knocks_;
    send(packet_);
    return packet_;
  }
  void knock_udp(uint16_t port) {
    packet_.protocol = Protocol::kUdp;
    packet_.destination_port = port;
    packet_.tcp_flags = 0;
    packet_.source_port = 40000;
    packet_.tcp_sequence = 0;
    send(packet_);
  }
  void retransmit() { send(packet_); }
  void send(const Packet& packet) { tracker().handle(packet, now_); }

  void after(Duration time) {
    now_ += time;
    tracker().expire(now_);
  }
  // Like after(), but without a turn of the loop.
  void unnoticed(Duration time) { now_ += time; }

  void expect(const std::string& happened) {
    EXPECT_EQ(happened_, happened);
    happened_.clear();
  }
  void expect_nothing() { expect(""); }
  void expect_anything() { happened_.clear(); }  // of any kind
  // Anything else that happened.
  void expect_all_shut() {
    EXPECT_EQ(happened_.find("OPEN SESAME"), std::string::npos) << happened_;
    happened_.clear();
  }

  // A new house: no doors, no known sources.
  void move() {
    rules_.clear();
    names_.clear();
    tracker_.reset();
  }

  Tracker& tracker() {
    if (!tracker_) {
      tracker_ = std::make_unique<Tracker>(rules_, options, *this);
      tracker_->set_own_addresses({address("192.0.2.1"), address("2001:db8::1")});
    }
    return *tracker_;
  }

  static IpAddress address(std::string_view text) { return IpAddress::parse(text).value(); }

  void TearDown() override { expect_nothing(); }

  TrackerOptions options;
  Verdict verdict = Verdict::kNotAddressed;  // the last one, with options.explain
  KnockEvent event;                          // the last one
  std::vector<KnockEvent> wrong;             // knocks that ended an attempt: not logged

 private:
  void on_event(const KnockEvent& told) override {
    event = told;
    std::string text = names_[told.door] + ": ";
    switch (told.kind) {
      case EventKind::kStage:
        text += "Stage " + std::to_string(told.stage);
        break;
      case EventKind::kOpen:
        text += "OPEN SESAME";
        break;
      case EventKind::kTimeout:
        text += "timeout at " + std::to_string(told.stage);
        break;
      case EventKind::kScan:
        text += "port scan at " + std::to_string(told.stage);
        break;
      case EventKind::kWrongCode:
        text += "wrong code at " + std::to_string(told.stage);
        break;
      case EventKind::kWrong:
        wrong.push_back(told);
        return;
    }
    happened_ += (happened_.empty() ? "" : ", ") + text;
  }
  void on_explanation(const Explanation& explanation) override { verdict = explanation.verdict; }

  std::vector<DoorRule> rules_;
  std::vector<std::string> names_;
  std::unique_ptr<Tracker> tracker_;
  std::string happened_;
  Instant now_{1000s};
  uint32_t knocks_ = 0;
  Packet packet_{.source = address("203.0.113.9"), .destination = address("192.0.2.1")};
};

}  // namespace knockd
