// SPDX-License-Identifier: MIT
#include "knockd/base/memory_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <string>

namespace knockd {
namespace {

TEST(MemoryFile, IsReadFromTheBeginning_AndNotInherited) {
  const std::string content(100'000, 'x');
  const auto file = memory_file("test", content);
  ASSERT_TRUE(file);
  std::string read_back(content.size() + 1, '\0');
  EXPECT_EQ(read(file->get(), read_back.data(), read_back.size()),
            static_cast<ssize_t>(content.size()));
  read_back.pop_back();
  EXPECT_EQ(read_back, content);
  EXPECT_EQ(fcntl(file->get(), F_GETFD), FD_CLOEXEC);
}

}  // namespace
}  // namespace knockd
