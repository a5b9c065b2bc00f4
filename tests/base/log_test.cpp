// SPDX-License-Identifier: MIT
// The sinks with real files, pipes, terminals and sockets. A sink that blocks hangs the test until
// ctest's timeout.
#include "knockd/base/log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits.h>
#include <pty.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "knockd/base/text.h"
#include "tests/base/child.h"
#include "tests/base/temporary_folder.h"

namespace knockd {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;

// The text with "[YYYY-MM-DD HH:MM] " taken off each line that has it.
std::string without_stamps(const std::string& text) {
  const std::string form = "[0000-00-00 00:00] ";
  std::string rest;
  for (const std::string_view line : split(text, '\n')) {
    std::string begin(line.substr(0, form.size()));
    for (char& c : begin) {
      if (c >= '0' && c <= '9') c = '0';
    }
    rest += begin == form ? line.substr(form.size()) : line;
    rest += '\n';
  }
  rest.pop_back();  // text after the last newline is not a line
  return rest;
}

// What can be read from a descriptor without waiting.
std::string available(int fd) {
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  std::string text;
  char part[4096];
  for (ssize_t got; (got = read(fd, part, sizeof(part))) > 0;) {
    text.append(part, static_cast<size_t>(got));
  }
  return text;
}

// Writes numbered lines until the sink refuses one; returns how many it accepted.
int fill(LogSink& sink, int most = 1'000'000) {
  int taken = 0;
  while (taken < most && sink.write(LogLevel::kNotice, format("line %d", taken))) ++taken;
  return taken;
}

// --- File --------------------------------------------------------------------------------------

class FileSinkTest : public ::testing::Test {
 protected:
  std::unique_ptr<LogSink> open_sink() {
    int error = -1;
    auto sink = make_file_sink(path_, error);
    EXPECT_EQ(error, 0) << strerror(error);
    return sink;
  }
  std::string file() const { return read_file(path_); }

  TemporaryFolder folder_;
  const std::string path_ = folder_ / "knockd.log";
};

TEST_F(FileSinkTest, LineHasLocalTimeToTheMinute) {
  setenv("TZ", "XXX-05:30", 1);
  tzset();
  const time_t before = time(nullptr);
  EXPECT_TRUE(open_sink()->write(LogLevel::kNotice, "192.0.2.7: openSSH: Stage 1"));
  const time_t after = time(nullptr);
  unsetenv("TZ");
  tzset();
  const auto line_at = [](time_t when) {
    when += 5 * 3600 + 30 * 60;
    tm parts{};
    gmtime_r(&when, &parts);
    char stamp[32];
    strftime(stamp, sizeof(stamp), "[%Y-%m-%d %H:%M] ", &parts);
    return stamp + std::string("192.0.2.7: openSSH: Stage 1\n");
  };
  EXPECT_THAT(file(), ::testing::AnyOf(line_at(before), line_at(after)));
}

TEST_F(FileSinkTest, LineIsAppendedBeforeWriteReturns) {
  write_file(path_, "old\n");
  const auto sink = open_sink();
  sink->write(LogLevel::kNotice, "a");
  EXPECT_EQ(without_stamps(file()), "old\na\n");
  sink->write(LogLevel::kError, "b");
  EXPECT_EQ(without_stamps(file()), "old\na\nb\n");
}

TEST_F(FileSinkTest, FileIsReadableByOwnerAndGroupOnly) {
  const mode_t old = umask(0);
  open_sink();
  umask(old);
  struct stat status {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0640u);
}

TEST_F(FileSinkTest, ReopenFollowsTheName) {
  const auto sink = open_sink();
  sink->write(LogLevel::kNotice, "before");
  std::filesystem::rename(path_, folder_ / "knockd.log.1");
  sink->write(LogLevel::kNotice, "rotated");
  EXPECT_EQ(without_stamps(read_file(folder_ / "knockd.log.1")), "before\nrotated\n");
  sink->reopen();
  sink->write(LogLevel::kNotice, "after");
  EXPECT_EQ(without_stamps(file()), "after\n");
}

TEST_F(FileSinkTest, ReportsWhyOpeningFailed_AndRetriesWithEachLine) {
  const std::string path = folder_ / "later/knockd.log";
  int error = 0;
  const auto sink = make_file_sink(path, error);
  EXPECT_EQ(error, ENOENT);
  EXPECT_FALSE(sink->write(LogLevel::kNotice, "lost"));
  std::filesystem::create_directory(folder_ / "later");
  EXPECT_TRUE(sink->write(LogLevel::kNotice, "kept"));
  EXPECT_EQ(without_stamps(read_file(path)), "kept\n");
}

TEST_F(FileSinkTest, LongLineIsNotCut) {
  const std::string line(100'000, 'x');
  EXPECT_TRUE(open_sink()->write(LogLevel::kNotice, line));
  EXPECT_EQ(without_stamps(file()), line + '\n');
}

TEST_F(FileSinkTest, FullDiskRefusesLines) {
  int error = -1;
  const auto sink = make_file_sink("/dev/full", error);
  EXPECT_EQ(error, 0);
  EXPECT_FALSE(sink->write(LogLevel::kNotice, "lost"));
}

// A limit on the file's size simulates a disk that becomes full in the middle of a line.
TEST_F(FileSinkTest, HalfWrittenLineIsEnded_BeforeTheNextOne) {
  const auto set_size_limit = [](rlim_t most) {
    const rlimit limit{most, RLIM_INFINITY};
    setrlimit(RLIMIT_FSIZE, &limit);
  };
  const std::string said = in_child([&] {
    signal(SIGXFSZ, SIG_IGN);
    int error = 0;
    const auto sink = make_file_sink(path_, error);
    set_size_limit(24);
    const bool torn = !sink->write(LogLevel::kNotice, "too long for it");
    const bool none = !sink->write(LogLevel::kNotice, "no room at all");
    set_size_limit(RLIM_INFINITY);
    const bool whole =
        sink->write(LogLevel::kNotice, "whole") && sink->write(LogLevel::kNotice, "whole again");
    return std::string(torn && none && whole ? "ok" : "wrong result");
  });
  EXPECT_EQ(said, "ok");
  EXPECT_EQ(without_stamps(file()), "too l\nwhole\nwhole again\n");
}

TEST_F(FileSinkTest, FifoWithoutAReaderDoesNotBlock) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  const auto sink = open_sink();
  const int taken = fill(*sink);
  EXPECT_GT(taken, 100);
  EXPECT_LT(taken, 1'000'000);
  const UniqueFd reader(open(path_.c_str(), O_RDONLY | O_NONBLOCK));
  const std::string text = without_stamps(available(reader.get()));
  EXPECT_THAT(text, EndsWith(format("\nline %d\n", taken - 1)));
  EXPECT_TRUE(sink->write(LogLevel::kNotice, "room again"));
  EXPECT_EQ(without_stamps(available(reader.get())), "room again\n");
}

TEST_F(FileSinkTest, FifoWhoseReaderLeftRaisesNoSignal) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(in_child([&] {
              const auto sink = open_sink();
              close(open(path_.c_str(), O_RDONLY | O_NONBLOCK));
              return std::string(sink->write(LogLevel::kNotice, "a") ? "taken" : "refused");
            }),
            "taken");
}

// --- Syslog ------------------------------------------------------------------------------------

// The log daemon's end of /dev/log.
class SyslogSinkTest : public ::testing::Test {
 protected:
  void start_daemon() {
    std::filesystem::remove(path_);
    daemon_.reset(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof(address.sun_path) - 1);
    ASSERT_EQ(bind(daemon_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  }
  // The next datagram, or nothing.
  std::string datagram() const {
    char text[65536];
    const ssize_t got = recv(daemon_.get(), text, sizeof(text), 0);
    return got < 0 ? "nothing" : std::string(text, static_cast<size_t>(got));
  }
  std::string message() const {
    const std::string text = datagram();
    const size_t colon = text.find("]: ");
    return colon == std::string::npos ? text : text.substr(colon + 3);
  }

  TemporaryFolder folder_;
  const std::string path_ = folder_ / "log";
  UniqueFd daemon_;
};

TEST_F(SyslogSinkTest, DatagramEqualsTheOneOfLibc) {
  start_daemon();
  const auto sink = make_syslog_sink(path_);
  const auto text_at = [](int priority, const char* line) {
    const time_t now = time(nullptr);
    tm parts{};
    localtime_r(&now, &parts);
    char stamp[32];
    strftime(stamp, sizeof(stamp), "%b %e %H:%M:%S", &parts);
    return format("<%d>%s knockd[%d]: %s", priority, stamp, getpid(), line);
  };
  constexpr struct {
    LogLevel level;
    int priority;
  } kPriorities[] = {{LogLevel::kError, 11},
                     {LogLevel::kWarning, 12},
                     {LogLevel::kNotice, 13},
                     {LogLevel::kInfo, 14}};
  for (const auto& [level, priority] : kPriorities) {
    const std::string before = text_at(priority, "192.0.2.7: openSSH: OPEN SESAME");
    EXPECT_TRUE(sink->write(level, "192.0.2.7: openSSH: OPEN SESAME"));
    const std::string after = text_at(priority, "192.0.2.7: openSSH: OPEN SESAME");
    EXPECT_THAT(datagram(), ::testing::AnyOf(before, after));
  }
  EXPECT_EQ(datagram(), "nothing");
}

TEST_F(SyslogSinkTest, LineIsNotAFormatString) {
  start_daemon();
  EXPECT_TRUE(make_syslog_sink(path_)->write(LogLevel::kNotice, "%s%n%IP%"));
  EXPECT_EQ(message(), "%s%n%IP%");
}

TEST_F(SyslogSinkTest, LongCommandIsNotCut) {
  start_daemon();
  const std::string line(60'000, 'x');
  EXPECT_TRUE(make_syslog_sink(path_)->write(LogLevel::kNotice, line));
  EXPECT_EQ(message(), line);
}

TEST_F(SyslogSinkTest, DaemonThatDoesNotReadDoesNotBlock) {
  start_daemon();
  const auto sink = make_syslog_sink(path_);
  const int taken = fill(*sink);
  EXPECT_GT(taken, 0);
  EXPECT_LT(taken, 1'000'000);
  for (int i = 0; i < taken; ++i) ASSERT_EQ(message(), format("line %d", i));
  EXPECT_EQ(datagram(), "nothing");
  EXPECT_TRUE(sink->write(LogLevel::kNotice, "room again"));
  EXPECT_EQ(message(), "room again");
}

TEST_F(SyslogSinkTest, ConnectsAgain_WhenTheDaemonWasRestarted) {
  start_daemon();
  const auto sink = make_syslog_sink(path_);
  EXPECT_TRUE(sink->write(LogLevel::kNotice, "first"));
  daemon_.reset();
  EXPECT_FALSE(sink->write(LogLevel::kNotice, "lost"));
  start_daemon();
  EXPECT_TRUE(sink->write(LogLevel::kNotice, "second"));
  EXPECT_EQ(message(), "second");
}

TEST_F(SyslogSinkTest, ConnectsLater_WhenThereIsNoDaemonAtStart) {
  const auto sink = make_syslog_sink(path_);
  EXPECT_FALSE(sink->write(LogLevel::kNotice, "lost"));
  start_daemon();
  EXPECT_TRUE(sink->write(LogLevel::kNotice, "taken"));
  EXPECT_EQ(message(), "taken");
}

// --- Descriptor --------------------------------------------------------------------------------

class DescriptorSinkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    out_.reset(ends[0]);
    in_.reset(ends[1]);
  }
  UniqueFd in_, out_;
};

TEST_F(DescriptorSinkTest, WritesPrefixAndLine) {
  const auto sink = make_descriptor_sink(in_.get(), LogLevel::kInfo, "knockd: ");
  EXPECT_TRUE(sink->write(LogLevel::kInfo, "a %s line"));
  EXPECT_EQ(available(out_.get()), "knockd: a %s line\n");
}

TEST_F(DescriptorSinkTest, IgnoresLessUrgentLines) {
  const auto sink = make_descriptor_sink(in_.get(), LogLevel::kWarning);
  for (const LogLevel level :
       {LogLevel::kError, LogLevel::kWarning, LogLevel::kNotice, LogLevel::kInfo}) {
    EXPECT_TRUE(sink->write(level, format("%d", static_cast<int>(level))));
  }
  EXPECT_EQ(available(out_.get()), "3\n4\n");
}

TEST_F(DescriptorSinkTest, FullPipeDoesNotBlock_AndHoldsWholeLines) {
  const auto sink = make_descriptor_sink(in_.get());
  int taken = fill(*sink);
  // Also lines of the greatest length that fits.
  while (sink->write(LogLevel::kNotice, std::string(PIPE_BUF - 1, 'x'))) ++taken;
  const std::string text = available(out_.get());
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), taken);
  EXPECT_THAT(text, EndsWith("\n"));
}

TEST_F(DescriptorSinkTest, LineLongerThanAnAtomicPipeWriteIsCut) {
  const auto sink = make_descriptor_sink(in_.get());
  EXPECT_TRUE(sink->write(LogLevel::kNotice, std::string(PIPE_BUF + 100, 'x')));
  EXPECT_EQ(available(out_.get()), std::string(PIPE_BUF - 1, 'x') + '\n');
}

TEST_F(DescriptorSinkTest, DescriptorStaysOpenAndBlocking) {
  const int flags = fcntl(in_.get(), F_GETFL);
  make_descriptor_sink(in_.get())->write(LogLevel::kNotice, "a");
  EXPECT_EQ(fcntl(in_.get(), F_GETFL), flags);
}

TEST(DescriptorSink, StoppedTerminalDoesNotBlock) {
  int master = -1, slave = -1;
  ASSERT_EQ(openpty(&master, &slave, nullptr, nullptr, nullptr), 0);
  const UniqueFd screen(master), terminal(slave);
  const auto sink = make_descriptor_sink(terminal.get());
  int taken = 0;
  while (taken < 100'000 && sink->write(LogLevel::kNotice, std::string(3000, 'x'))) ++taken;
  EXPECT_LT(taken, 100'000);
  EXPECT_FALSE(sink->write(LogLevel::kNotice, "held"));
  EXPECT_FALSE(available(screen.get()).empty());
  EXPECT_TRUE(sink->write(LogLevel::kNotice, "goes on"));
}

// --- Log ---------------------------------------------------------------------------------------

// A sink that a test can make refuse lines.
class FakeSink : public LogSink {
 public:
  explicit FakeSink(std::vector<std::string>& lines) : lines_(lines) {}
  bool write(LogLevel level, std::string_view line) override {
    if (!room) return false;
    lines_.push_back(format("%d %s", static_cast<int>(level), std::string(line).c_str()));
    return true;
  }
  void reopen() override { lines_.push_back("reopened"); }
  bool room = true;

 private:
  std::vector<std::string>& lines_;
};

class LogTest : public ::testing::Test {
 protected:
  FakeSink* add(std::vector<std::string>& lines) {
    sinks_.push_back(std::make_unique<FakeSink>(lines));
    return static_cast<FakeSink*>(sinks_.back().get());
  }
  void begin() { log_.set_sinks(std::move(sinks_)); }

  Log log_;
  std::vector<std::unique_ptr<LogSink>> sinks_;
  std::vector<std::string> a_, b_;
};

TEST_F(LogTest, WritesToEachSinkWithItsLevel) {
  add(a_);
  add(b_);
  begin();
  log_.error("e");
  log_.warning("w");
  log_.notice("n");
  log_.info("i");
  EXPECT_THAT(a_, ElementsAre("3 e", "4 w", "5 n", "6 i"));
  EXPECT_EQ(a_, b_);
}

TEST_F(LogTest, WithoutSinksNothingHappens) {
  log_.notice("n");
  log_.reopen();
}

TEST_F(LogTest, ReopensEachSink) {
  add(a_);
  add(b_);
  begin();
  log_.reopen();
  EXPECT_THAT(a_, ElementsAre("reopened"));
  EXPECT_THAT(b_, ElementsAre("reopened"));
}

TEST_F(LogTest, LostLinesAreCountedAndReported_InTheSinkThatLostThem) {
  FakeSink* const a = add(a_);
  add(b_);
  begin();
  log_.notice("1");
  a->room = false;
  log_.notice("2");
  log_.notice("3");
  a->room = true;
  log_.notice("4");
  log_.notice("5");
  EXPECT_THAT(a_, ElementsAre("5 1", "4 2 log lines could not be written", "5 4", "5 5"));
  EXPECT_THAT(b_, ElementsAre("5 1", "5 2", "5 3", "5 4", "5 5"));
}

TEST_F(LogTest, OneLostLineIsSingular) {
  FakeSink* const a = add(a_);
  begin();
  a->room = false;
  log_.notice("1");
  a->room = true;
  log_.notice("2");
  EXPECT_THAT(a_, ElementsAre("4 1 log line could not be written", "5 2"));
}

TEST_F(LogTest, OldSinksAreClosed_WhenNewOnesAreSet) {
  add(a_);
  begin();
  add(b_);
  begin();
  log_.notice("n");
  EXPECT_THAT(a_, ElementsAre());
  EXPECT_THAT(b_, ElementsAre("5 n"));
}

}  // namespace
}  // namespace knockd
