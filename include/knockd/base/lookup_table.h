// SPDX-License-Identifier: MIT
// A table that is filled at leisure and then asked for each packet: open addressing, so that an
// answer is one or two places in memory away, and takes no division.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace knockd {

// `Mix` spreads a key over 64 bits. It is not keyed: only for keys that no stranger chooses.
template <class Key, class Value, class Mix>
class LookupTable {
 public:
  struct Entry {
    Key key;
    Value value{};
  };

  // Null for a key that was never added. Valid until the next key is added.
  const Value* find(const Key& key) const {
    if (slots_.empty()) return nullptr;
    const uint32_t number = slots_[slot_of(key)];
    return number == 0 ? nullptr : &entries_[number - 1].value;
  }

  // Adds the key if it is new. Made small where find() is made fast.
  [[gnu::cold]] Value& operator[](const Key& key) {
    if (slots_.size() < 2 * (entries_.size() + 1)) grow();
    uint32_t& number = slots_[slot_of(key)];
    if (number == 0) {
      entries_.push_back({key});
      number = static_cast<uint32_t>(entries_.size());
    }
    return entries_[number - 1].value;
  }

  void clear() {
    entries_.clear();
    slots_.clear();
  }

  // In the order in which the keys were added.
  const std::vector<Entry>& entries() const { return entries_; }

 private:
  // Where the key is, or the empty slot where it would be.
  size_t slot_of(const Key& key) const {
    const size_t mask = slots_.size() - 1;
    size_t slot = static_cast<size_t>(Mix()(key) >> 32) & mask;
    while (slots_[slot] != 0 && !(entries_[slots_[slot] - 1].key == key)) slot = (slot + 1) & mask;
    return slot;
  }

  [[gnu::cold]] void grow() {
    slots_.assign(slots_.empty() ? 8 : 2 * slots_.size(), 0);
    for (size_t i = 0; i < entries_.size(); ++i) {
      slots_[slot_of(entries_[i].key)] = static_cast<uint32_t>(i + 1);
    }
  }

  std::vector<Entry> entries_;
  std::vector<uint32_t> slots_;  // entry numbers from 1; a power of two, at most half of it in use
};

}  // namespace knockd
