// SPDX-License-Identifier: MIT
#include "knockd/config/files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "knockd/base/unique_fd.h"
#include "tests/base/temporary_folder.h"

namespace knockd {
namespace {

TEST(SystemFiles, RelativePathsBeginAtTheFolder) {
  const SystemFiles files("/etc/knockd");
  EXPECT_EQ(files.path_of("log"), "/etc/knockd/log");
  EXPECT_EQ(files.path_of("../log"), "/etc/knockd/../log");
  EXPECT_EQ(files.path_of("/var/log/knockd"), "/var/log/knockd");
  EXPECT_EQ(files.path_of(""), "");
  EXPECT_EQ(SystemFiles().path_of("log"), "log");
}

class APipe : public testing::Test {
 protected:
  APipe() { EXPECT_EQ(mkfifo(path_.c_str(), 0600), 0); }

  TemporaryFolder folder_;
  std::string path_ = folder_ / "pipe";
  SystemFiles files_;
};

TEST_F(APipe, IsRefusedAfterATimeLimit_WithoutAWriter) {
  EXPECT_EQ(std::get<ConfigFiles::Failure>(files_.read(path_)).error, ETIME);
}

TEST_F(APipe, IsRefusedAfterATimeLimit_WithASilentWriter) {
  const UniqueFd silent(open(path_.c_str(), O_RDWR));
  ASSERT_EQ(write(silent.get(), "[a]", 3), 3);
  EXPECT_EQ(std::get<ConfigFiles::Failure>(files_.read(path_)).error, ETIME);
}

// Waits until the pipe is empty, so that the next part arrives after a read; ten seconds at most.
bool is_taken(int pipe) {
  int left = 1;
  for (int i = 0; i < 10'000 && ioctl(pipe, FIONREAD, &left) == 0 && left != 0; ++i) usleep(1000);
  return left == 0;
}

// The pipe of a shell's <(...).
TEST_F(APipe, IsReadToItsEnd) {
  std::thread writer([this] {
    const UniqueFd fd(open(path_.c_str(), O_WRONLY));
    for (const char* part : {"[a]\n", "Sequence = 1"}) {
      EXPECT_GT(write(fd.get(), part, std::strlen(part)), 0);
      EXPECT_TRUE(is_taken(fd.get())) << "not read within 10 s: " << part;
    }
  });
  EXPECT_EQ(std::get<std::string>(files_.read(path_)), "[a]\nSequence = 1");
  writer.join();
}

}  // namespace
}  // namespace knockd
