// SPDX-License-Identifier: MIT
// An assembler for classic BPF (linux/filter.h, Documentation/networking/filter.rst): instructions,
// jumps of any length, and decision trees over numbers. capture_filter.h decides what a program
// filters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <vector>

namespace knockd {

// Laid out as the kernel's struct sock_filter and libpcap's struct bpf_insn.
struct FilterInstruction {
  uint16_t code = 0;
  uint8_t jump_true = 0;
  uint8_t jump_false = 0;
  uint32_t k = 0;

  friend bool operator==(const FilterInstruction&, const FilterInstruction&) = default;
};

// Instruction codes of classic BPF (linux/bpf_common.h).
enum BpfCode : uint16_t {
  kLoadWord = 0x20,           // A = 32 bits at [k]
  kLoadHalf = 0x28,           // A = 16 bits at [k]
  kLoadByte = 0x30,           // A = 8 bits at [k]
  kLoadHalfAtX = 0x48,        // A = 16 bits at [X + k]
  kLoadByteAtX = 0x50,        // A = 8 bits at [X + k]
  kLoadScratch = 0x60,        // A = scratch[k]
  kLoadX = 0x01,              // X = k
  kLoadXHeaderLength = 0xb1,  // X = 4 * (byte at [k] & 15)
  kStoreScratch = 0x02,       // scratch[k] = A
  kAnd = 0x54,                // A &= k
  kJump = 0x05,               // always, by k
  kIfEqual = 0x15,            // A == k
  kIfGreater = 0x25,          // A > k
  kIfAtLeast = 0x35,          // A >= k
  kIfAnyBit = 0x45,           // A & k
  kReturn = 0x06,             // pass k bytes
};

// Numbers from `low` to `high`: ports, or words of an address.
struct NumberRange {
  uint32_t low = 0;
  uint32_t high = 0;

  friend bool operator==(const NumberRange&, const NumberRange&) = default;
};

// Sorts, and joins adjacent numbers.
std::vector<NumberRange> ranges_of(std::vector<uint32_t> numbers);

// Joins neighbours, the closest first, until at most `limit` ranges are left. `ranges` is sorted
// and free of overlaps.
void merge_closest(std::vector<NumberRange>& ranges, size_t limit);

// Instructions are added from the last to the first. Jumps only lead forward, so the target of each
// already exists when it is added; a target beyond the reach of an 8-bit jump gets a stepping
// stone.
class BpfProgram {
 public:
  // The number of instructions from an instruction to the end, inclusive.
  using Label = size_t;

  // Adds an instruction that continues at `next`.
  Label put(BpfCode code, uint32_t k, Label next);
  // Ends the program and passes this many bytes.
  Label give(uint32_t bytes) { return push({kReturn, 0, 0, bytes}); }
  Label branch(BpfCode code, uint32_t k, Label yes, Label no);

  // Jumps to the target of the range that contains A, else to `no`. The ranges are sorted. `target`
  // is called with a range's index and adds the range's target, so that it is within reach of the
  // jumps.
  Label choose(std::span<const NumberRange> ranges, Label no,
               const std::function<Label(size_t)>& target, size_t first = 0);

  // The program, which begins with the last instruction added. Nothing may be added afterwards.
  std::vector<FilterInstruction> finish();

 private:
  // From the next instruction to be added.
  size_t distance(Label target) const { return reversed_.size() - target; }
  Label push(FilterInstruction instruction);
  Label jump(Label target) { return push({kJump, 0, 0, static_cast<uint32_t>(distance(target))}); }
  Label stone(Label target);

  std::vector<FilterInstruction> reversed_;
  std::map<Label, Label> stones_;  // the last added for each target
};

}  // namespace knockd
