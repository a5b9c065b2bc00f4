// fuzzes: net
// longest: 320
// SPDX-License-Identifier: MIT
// The first byte chooses the link type, the rest is the frame. The decoder must be consistent: a
// frame cut short is the same packet or none.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "knockd/net/decoder.h"

namespace {

using namespace knockd;

constexpr uint8_t kLinkTypes = 5;
constexpr uint32_t kWireLength = 1500;

void require(bool condition) {
  if (!condition) std::abort();
}

// Decodes a copy of just this size, so that the sanitizer sees any read past it.
Decoded decode_first(size_t size, LinkType link_type, const uint8_t* frame) {
  const auto exact = std::make_unique<uint8_t[]>(size);
  std::copy_n(frame, size, exact.get());
  return decode(link_type, {exact.get(), size}, kWireLength);
}

void check_facts(LinkType link_type, const Packet& packet) {
  require(packet.source.is_v4() == packet.destination.is_v4());
  require(packet.protocol == Protocol::kTcp || packet.protocol == Protocol::kUdp);
  require(packet.tcp_flags < 0x40);
  require(packet.protocol == Protocol::kTcp || (packet.tcp_flags == 0 && packet.tcp_sequence == 0));
  require(packet.length == kWireLength);
  require(packet.interface_index == 0 || link_type == LinkType::kLinuxCooked2);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto link_type = static_cast<LinkType>(data[0] % kLinkTypes);
  const uint8_t* const frame = data + 1;
  const size_t frame_size = size - 1;

  const Decoded whole = decode_first(frame_size, link_type, frame);
  if (whole.packet) check_facts(link_type, *whole.packet);
  require(describe(whole.reason) != nullptr);
  for (size_t cut = 0; cut < frame_size; ++cut) {
    const Decoded part = decode_first(cut, link_type, frame);
    require(!part.packet || part.packet == whole.packet);
  }
  return 0;
}
