// SPDX-License-Identifier: MIT
// Where other programs would throw, programs with the small runtime print the reason and end.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <new>
#include <string>
#include <vector>

namespace {

TEST(RuntimeDeathTest, OutOfMemoryIsReported) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizer has a word of its own for it";
#endif
  // A 32-bit machine may have half of it.
  volatile size_t size = size_t{PTRDIFF_MAX} + 1;
  EXPECT_DEATH(::operator delete(::operator new(size)), "^fatal: out of memory\n");
  EXPECT_DEATH(::operator delete[](::operator new[](size)), "^fatal: out of memory\n");
}

TEST(RuntimeDeathTest, ProgrammingErrorsAreReported) {
  volatile size_t far = 9;
  const std::string text = "short";
  EXPECT_DEATH((void)text.substr(far), "^fatal: basic_string::substr: __pos .which is 9.");
  std::vector<int> numbers;
  EXPECT_DEATH((void)numbers.at(far), "^fatal: vector::_M_range_check");
  EXPECT_DEATH(numbers.reserve(SIZE_MAX - far), "^fatal: vector::reserve");
  EXPECT_DEATH(std::function<void()>()(), "^fatal: bad_function_call");
}

TEST(Runtime, MemoryIsAllocated) {
  std::vector<std::string> texts(1000, std::string(1000, 'x'));
  texts.resize(10);
  EXPECT_EQ(texts.back().size(), 1000u);
}

}  // namespace
