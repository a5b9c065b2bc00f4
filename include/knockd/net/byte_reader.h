// SPDX-License-Identifier: MIT
// The one way by which bytes from strangers are read. A read that does not fit fails, and so does
// every read after it, giving zeros; so a header is read field by field and judged at its end.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

namespace knockd {

// Numbers in network order at an offset of a header that was read as a whole.
template <size_t kOffset, size_t kSize>
constexpr uint16_t u16_at(std::span<const uint8_t, kSize> header) {
  static_assert(kOffset + 2 <= kSize);
  return static_cast<uint16_t>(header[kOffset] << 8 | header[kOffset + 1]);
}
template <size_t kOffset, size_t kSize>
constexpr uint32_t u32_at(std::span<const uint8_t, kSize> header) {
  return uint32_t{u16_at<kOffset>(header)} << 16 | u16_at<kOffset + 2>(header);
}

// A place in a row of bytes that moves forward only, and never past its end or its limit. The bytes
// belong to someone else and must outlive the reader. Numbers are read in network order.
class ByteReader {
 public:
  enum class Failure : uint8_t {
    kNone,
    kPastEnd,   // there were no more bytes
    kPastLimit  // a length that was read before does not allow as many
  };

  static constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();

  explicit constexpr ByteReader(std::span<const uint8_t> bytes) : rest_(bytes) {}

  constexpr uint8_t u8() { return take<1>()[0]; }
  constexpr uint16_t u16() {
    const auto bytes = take<2>();
    return static_cast<uint16_t>(bytes[0] << 8 | bytes[1]);
  }
  constexpr uint32_t u32() {
    const auto bytes = take<4>();
    return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 |
           uint32_t{bytes[3]};
  }

  // The next `kCount` bytes, or as many zeros if the read failed.
  template <size_t kCount>
  constexpr std::span<const uint8_t, kCount> take() {
    const std::span<const uint8_t> bytes = take(kCount);
    if (bytes.size() != kCount) return std::span<const uint8_t, kCount>(kZeros<kCount>);
    return bytes.template first<kCount>();
  }

  // The next `count` bytes, or none if the read failed.
  constexpr std::span<const uint8_t> take(size_t count) {
    if (!ok()) return {};
    if (count > limit_) return fail(Failure::kPastLimit);
    if (count > rest_.size()) return fail(Failure::kPastEnd);
    const std::span<const uint8_t> bytes = rest_.first(count);
    rest_ = rest_.subspan(count);
    if (limit_ != kNoLimit) limit_ -= count;
    return bytes;
  }

  constexpr void skip(size_t count) { take(count); }

  // What was read says that only the next `count` bytes belong to it. They may be more than there
  // are; a limit within a limit can only be narrower.
  constexpr void set_limit(size_t count) { limit_ = std::min(limit_, count); }

  // Bytes that the limit still allows; kNoLimit without one.
  constexpr size_t limit() const { return limit_; }

  // Bytes that can still be read; 0 after a failure.
  constexpr size_t remaining() const { return std::min(rest_.size(), limit_); }

  constexpr bool ok() const { return failure_ == Failure::kNone; }
  constexpr Failure failure() const { return failure_; }

 private:
  template <size_t kCount>
  static constexpr std::array<uint8_t, kCount> kZeros{};

  constexpr std::span<const uint8_t> fail(Failure failure) {
    failure_ = failure;
    rest_ = {};
    return {};
  }

  std::span<const uint8_t> rest_;
  size_t limit_ = kNoLimit;
  Failure failure_ = Failure::kNone;
};

}  // namespace knockd
