// SPDX-License-Identifier: MIT
#include "knockd/knock/keyed_hash.h"

#include <sys/random.h>

#include <bit>
#include <cstring>

namespace knockd {
namespace {

struct State {
  uint64_t v0, v1, v2, v3;

  void round() {
    v0 += v1, v2 += v3;
    v1 = std::rotl(v1, 13), v3 = std::rotl(v3, 16);
    v1 ^= v0, v3 ^= v2;
    v0 = std::rotl(v0, 32);
    v2 += v1, v0 += v3;
    v1 = std::rotl(v1, 17), v3 = std::rotl(v3, 21);
    v1 ^= v2, v3 ^= v0;
    v2 = std::rotl(v2, 32);
  }

  void absorb(uint64_t word) {
    v3 ^= word;
    round();
    v0 ^= word;
  }
};

// SipHash reads little-endian words.
uint64_t word_at(const uint8_t* bytes) {
  uint64_t word;
  std::memcpy(&word, bytes, sizeof(word));
  return std::endian::native == std::endian::big ? __builtin_bswap64(word) : word;
}

}  // namespace

Result<HashKey> random_hash_key() {
  HashKey key{};
  if (getrandom(key.data(), sizeof(key), 0) != static_cast<ssize_t>(sizeof(key))) {
    return fault_of("no random numbers from the kernel");
  }
  return key;
}

uint64_t keyed_hash(const HashKey& key, std::span<const uint8_t, 16> bytes) {
  State state{key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d, key[0] ^ 0x6c7967656e657261,
              key[1] ^ 0x7465646279746573};
  state.absorb(word_at(bytes.data()));
  state.absorb(word_at(bytes.data() + 8));
  state.absorb(uint64_t{bytes.size()} << 56);
  state.v2 ^= 0xff;
  for (int i = 0; i < 3; ++i) state.round();
  return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

}  // namespace knockd
