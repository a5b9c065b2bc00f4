// SPDX-License-Identifier: MIT
#include "knockd/knock/bpf_program.h"

#include <algorithm>
#include <array>
#include <utility>

namespace knockd {
namespace {

constexpr size_t kReach = 255;   // of a conditional jump
constexpr size_t kLeafSize = 4;  // compared one by one; larger nodes branch

}  // namespace

void merge_closest(std::vector<NumberRange>& ranges, size_t limit) {
  if (ranges.size() <= limit) return;
  std::vector<uint32_t> gaps;
  for (size_t i = 1; i < ranges.size(); ++i) gaps.push_back(ranges[i].low - ranges[i - 1].high);
  const size_t merges = ranges.size() - limit;
  std::sort(gaps.begin(), gaps.end());
  const uint32_t widest = gaps[merges - 1];

  std::vector<NumberRange> merged{ranges.front()};
  for (const NumberRange& range : std::span(ranges).subspan(1)) {
    if (range.low - merged.back().high <= widest) {
      merged.back().high = range.high;
    } else {
      merged.push_back(range);
    }
  }
  ranges = std::move(merged);
}

std::vector<NumberRange> ranges_of(std::vector<uint32_t> numbers) {
  std::sort(numbers.begin(), numbers.end());
  std::vector<NumberRange> ranges;
  for (const uint32_t number : numbers) {
    if (!ranges.empty() && number - ranges.back().high <= 1) {
      ranges.back().high = number;
    } else {
      ranges.push_back({number, number});
    }
  }
  return ranges;
}

BpfProgram::Label BpfProgram::put(BpfCode code, uint32_t k, Label next) {
  if (distance(next) != 0) jump(next);
  return push({code, 0, 0, k});
}

BpfProgram::Label BpfProgram::branch(BpfCode code, uint32_t k, Label yes, Label no) {
  if (yes == no) return yes;
  // Adding a stone for one target moves the other one instruction further away.
  if (distance(no) >= kReach) no = stone(no);
  if (distance(yes) > kReach) yes = stone(yes);
  return push({code, static_cast<uint8_t>(distance(yes)), static_cast<uint8_t>(distance(no)), k});
}

BpfProgram::Label BpfProgram::choose(std::span<const NumberRange> ranges, Label no,
                                     const std::function<Label(size_t)>& target, size_t first) {
  if (ranges.size() > kLeafSize) {
    const size_t half = ranges.size() / 2;
    const Label upper = choose(ranges.subspan(half), no, target, first + half);
    const Label lower = choose(ranges.first(half), no, target, first);
    return branch(kIfAtLeast, ranges[half].low, upper, lower);
  }
  std::array<Label, kLeafSize> targets{};
  for (size_t i = ranges.size(); i-- > 0;) targets[i] = target(first + i);
  Label next = no;
  for (size_t i = ranges.size(); i-- > 0;) {
    const auto [low, high] = ranges[i];
    if (low == high) {
      next = branch(kIfEqual, low, targets[i], next);
    } else {
      next = branch(kIfGreater, high, next, targets[i]);
      next = branch(kIfAtLeast, low, next, no);
    }
  }
  return next;
}

std::vector<FilterInstruction> BpfProgram::finish() {
  std::reverse(reversed_.begin(), reversed_.end());
  return std::move(reversed_);
}

BpfProgram::Label BpfProgram::push(FilterInstruction instruction) {
  reversed_.push_back(instruction);
  return reversed_.size();
}

BpfProgram::Label BpfProgram::stone(Label target) {
  Label& last = stones_[target];
  if (last == 0 || distance(last) >= kReach) last = jump(target);
  return last;
}

}  // namespace knockd
