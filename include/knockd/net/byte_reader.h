// SPDX-License-Identifier: MIT
// All bytes from strangers are read with this. A read that does not fit fails and returns zeros, as
// do all later reads; so a header is read field by field and checked once at its end.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

namespace knockd {

// Numbers in network order at an offset of a header that was read whole.
template <size_t kOffset, size_t kSize>
constexpr uint16_t u16_at(std::span<const uint8_t, kSize> header) {
  static_assert(kOffset + 2 <= kSize);
  return static_cast<uint16_t>(header[kOffset] << 8 | header[kOffset + 1]);
}
template <size_t kOffset, size_t kSize>
constexpr uint32_t u32_at(std::span<const uint8_t, kSize> header) {
  return uint32_t{u16_at<kOffset>(header)} << 16 | u16_at<kOffset + 2>(header);
}

// A position in bytes that moves forward only, never past the end or the limit. The caller owns the
// bytes, which must outlive the reader. Numbers are in network order.
class ByteReader {
 public:
  enum class Failure : uint8_t {
    kNone,
    kPastEnd,   // no more bytes
    kPastLimit  // beyond a length that was read before
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

  // Limits reading to the next `count` bytes, a length that was read. It may exceed the bytes that
  // exist; a limit within a limit can only be narrower.
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
