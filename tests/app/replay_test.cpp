// SPDX-License-Identifier: MIT
// Walks tests/data/captures: each NAME.pcap or NAME.pcapng is replayed with the doors of NAME.conf
// and must print what NAME.out holds, exit status included. "# replay: -D -4" in the configuration
// gives options. With KNOCKD_UPDATE_REPLAYS in the environment the .out files are written anew.
#include "knockd/app/replay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "knockd/base/text.h"
#include "knockd/code/code_ports.h"
#include "knockd/config/parser.h"
#include "tests/base/child.h"
#include "tests/base/folder_cases.h"
#include "tests/base/temporary_folder.h"

namespace knockd {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;

const std::string kCaptures = KNOCKD_TEST_DATA "/captures";

// What replay prints, standard error behind standard output, and its status.
std::string replay_of(const std::string& config_file, const ReplayOptions& options) {
  return in_child(
      [&] {
        setenv("TZ", "UTC", 1);
        tzset();
        dup2(STDOUT_FILENO, STDERR_FILENO);
        if (chdir(kCaptures.c_str()) != 0) return std::string("no folder of captures");
        const int status = replay(*load_config(config_file), options);
        std::fflush(stdout);
        return format("exit status %d\n", status);
      },
      STDOUT_FILENO);
}

class Replay : public testing::TestWithParam<std::string> {};

TEST_P(Replay, PrintsTheExpectedOutput) {
  const std::string name = std::filesystem::path(GetParam()).stem();
  if (name == "far-times" && sizeof(time_t) < sizeof(int64_t)) {
    GTEST_SKIP() << "libpcap cuts times to 32 bits here";
  }
  const std::string config = read_file(kCaptures + '/' + name + ".conf");
  ReplayOptions options;
  options.capture_file = GetParam();
  const size_t at = config.find("# replay: ");
  if (at != std::string::npos) {
    const std::string line = config.substr(at, config.find('\n', at) - at);
    options.explain = line.find("-D") != std::string::npos;
    options.only_v4 = line.find("-4") != std::string::npos;
  }
  const std::string told = replay_of(name + ".conf", options);
  const std::string expected_file = kCaptures + '/' + name + ".out";
  if (std::getenv("KNOCKD_UPDATE_REPLAYS") != nullptr) write_file(expected_file, told);
  EXPECT_EQ(read_file(expected_file), told);
}

INSTANTIATE_TEST_SUITE_P(, Replay, testing::ValuesIn(files_in(kCaptures, {".pcap", ".pcapng"})),
                         name_of_case);

TEST(ReplayRunsNothing, NoCommand_NoMark_NoStateFile) {
  const TemporaryFolder folder;
  const std::string list = folder / "sequences";
  const std::string marker = folder / "was-run";
  write_file(list, "1001,1002,1003\n2001,2002,2003\n");
  write_file(folder / "knockd.conf",
             "[options]\nStateFile = " + (folder / "state") + "\nLogFile = " + (folder / "log") +
                 "\nOn_Start = touch " + marker + "\n[once]\nOne_Time_Sequences = " + list +
                 "\nStart_Command = touch " + marker + "\nStop_Command = touch " + marker + '\n');
  const std::string told = replay_of(folder / "knockd.conf", {"one-time.pcap", false, false});
  EXPECT_THAT(told, HasSubstr("once: would run: touch " + marker));
  EXPECT_EQ(read_file(list), "1001,1002,1003\n2001,2002,2003\n");
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    files.push_back(entry.path().filename());
  }
  EXPECT_THAT(files, testing::UnorderedElementsAre("sequences", "knockd.conf"));
}

TEST(ReplayOfAFlood, OneLineIsSingular) {
  const TemporaryFolder folder;
  write_file(folder / "knockd.conf",
             "[options]\nLog_Rate = 5\n[a]\nSequence = 7000,8000,9000\nTCPFlags = syn\n");
  EXPECT_THAT(replay_of(folder / "knockd.conf", {"log-rate.pcap", false, false}),
              HasSubstr("] 1 log line left out, more than 5 a second (Log_Rate)\n"));
}

// The lines for a door with these directives, without those about the knocks themselves.
std::string opening_lines(const std::string& door, const std::string& capture) {
  const TemporaryFolder folder;
  write_file(folder / "knockd.conf", "[ssh]\nSequence = 7000,8000,9000\nTCPFlags = syn\n" + door);
  const std::string told = replay_of(folder / "knockd.conf", {capture, false, false});
  std::string lines;
  for (const std::string_view line : split(told, '\n')) {
    if (line.find("Stage") == line.npos && line.find("OPEN SESAME") == line.npos) {
      lines.append(line) += '\n';
    }
  }
  return lines;
}

TEST(ReplayOfADoorWithoutAShell, PrintsWhatItWouldOpen) {
  EXPECT_EQ(opening_lines("Open = 22\n", "reknock-extend.pcap"),
            "[2026-01-02 03:04:07.000000] ssh: would open tcp 22 to 192.0.2.7 for 10 s\n"
            "[2026-01-02 03:04:11.000000] 192.0.2.7: ssh: already open, time extended\n"
            "[2026-01-02 03:04:21.000000] 192.0.2.7: ssh: command timeout\n"
            "[2026-01-02 03:04:21.000000] ssh: would close tcp 22 to 192.0.2.7\n"
            "[2026-01-02 03:04:37.000000] ssh: would open tcp 22 to 192.0.2.7 for 10 s\n"
            "[2026-01-02 03:04:47.000000] 192.0.2.7: ssh: command timeout\n"
            "[2026-01-02 03:04:47.000000] ssh: would close tcp 22 to 192.0.2.7\n"
            "exit status 0\n\n");
}

TEST(ReplayOfADoorWithoutAShell, PrintsNetworks_AndCommands) {
  EXPECT_EQ(
      opening_lines("Open = 22,51820:udp\nOpen_Prefix = 24 64\nStart_Command = open %IP%\n"
                    "Stop_Command = close %IP%\n",
                    "ipv6.pcap"),
      "[2026-01-02 03:04:07.000000] ssh: would open tcp 22, udp 51820 to 2001:db8::/64 for 10 s\n"
      "[2026-01-02 03:04:07.000000] ssh: would run: open 2001:db8::/64\n"
      "[2026-01-02 03:04:07.100000] ssh: would open tcp 22, udp 51820 to 192.0.2.0/24 for 10 s\n"
      "[2026-01-02 03:04:07.100000] ssh: would run: open 192.0.2.0/24\n"
      "[2026-01-02 03:04:17.000000] 2001:db8::7: ssh: command timeout\n"
      "[2026-01-02 03:04:17.000000] ssh: would close tcp 22, udp 51820 to 2001:db8::/64\n"
      "[2026-01-02 03:04:17.000000] ssh: would run: close 2001:db8::/64\n"
      "[2026-01-02 03:04:17.100000] 192.0.2.7: ssh: command timeout\n"
      "[2026-01-02 03:04:17.100000] ssh: would close tcp 22, udp 51820 to 192.0.2.0/24\n"
      "[2026-01-02 03:04:17.100000] ssh: would run: close 192.0.2.0/24\n"
      "exit status 0\n\n");
}

#ifdef KNOCKD_CODES
// The codes of the capture's time, in 2026; oathtool computed the ports. The configuration lies in
// a new folder, because the file of secrets must belong to this user.
TEST(ReplayOfRecordedCodes, UsesTheCapturesTime) {
  const TemporaryFolder folder;
  write_file(folder / "secrets", "alice GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\n");
  ASSERT_EQ(chmod((folder / "secrets").c_str(), 0600), 0);
  const std::string secrets = "Secrets = " + (folder / "secrets") + "\n";
  write_file(folder / "knockd.conf",
             "[options]\nStateFile = " + (folder / "state") +
                 "\n[ssh]\nSequence = 7000,totp,totp,totp,totp\n" + secrets +
                 "Start_Command = open %IP%\n[typed]\nSequence = 7100,400xx,401xx,402xx,403xx\n" +
                 secrets + "Start_Command = open %IP%\n");
  const auto told = [&](bool explain) {
    std::string lines;
    const std::string all =
        replay_of(folder / "knockd.conf", {kCaptures + "/codes/codes.pcap", explain, false});
    for (const std::string_view line : split(all, '\n')) {
      const bool is_of_code = line.find("code") != line.npos || line.find("OPEN") != line.npos ||
                              line.find("knock of alice") != line.npos;
      if (is_of_code) lines.append(line.substr(line.find("] ") + 2)) += '\n';
    }
    return lines;
  };
  const std::string opens = "192.0.2.7: ssh: knock of alice\n192.0.2.7: ssh: OPEN SESAME\n";
  const std::string refused =
      "203.0.113.9: ssh: code of alice for the step before, refused: it, or a later one, was used "
      "before\n";
  const std::string opens_6 = "2001:db8::7: ssh: knock of alice\n2001:db8::7: ssh: OPEN SESAME\n";
  const std::string typed =
      "typed: 3 wrong codes, no typed code is taken before the next step\n"
      "192.0.2.8: typed: code of alice, refused: too many wrong codes in this step\n";
  EXPECT_EQ(told(false), opens + refused + opens_6 + typed);
  EXPECT_EQ(told(true), "192.0.2.7: ssh: code of alice for the step before, accepted\n" + opens +
                            refused + "2001:db8::7: ssh: code of alice, accepted\n" + opens_6 +
                            typed);
}
#endif

TEST(ReplayOfAnUnreadableFile, IsOneLineWithTheName) {
  const auto replay_file = [](const std::string& file) {
    return replay_of("empty.conf", {file, false, false});
  };
  EXPECT_EQ(replay_file("missing.pcap"),
            "knockd: missing.pcap: No such file or directory\nexit status 1\n");
  EXPECT_EQ(replay_file("empty.conf"), "knockd: empty.conf: unknown file format\nexit status 1\n");
  const std::string folder = replay_file(".");
  EXPECT_THAT(folder, testing::StartsWith("knockd: .: "));
  EXPECT_THAT(folder, EndsWith("exit status 1\n"));
}

#ifdef KNOCKD_CODES

// --- Codes -------------------------------------------------------------------------------------

constexpr const char* kAliceSecret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
constexpr int64_t kMoment = 1'767'323'047;  // 2026-01-02 03:04:07, 7 s into a step

using Ports = std::vector<uint16_t>;

// A capture of connection attempts, each of which comes a hundredth of a second later.
class Capture {
 public:
  // The format of tcpdump, with raw IP packets.
  Capture() {
    put(0xa1b2c3d4u);
    for (const int version : {2, 4}) put(static_cast<uint16_t>(version));
    for (const uint32_t word : {0u, 0u, 65535u, 101u}) put(word);
  }
  void syn(const std::string& source, uint16_t port) {
    const bool is_v4 = source.find(':') == source.npos;
    const auto bytes = [&](const std::string& text) {
      const auto all = IpAddress::parse(text)->bytes();
      return std::string(all.begin() + (is_v4 ? 12 : 0), all.end());
    };
    std::string packet = is_v4 ? std::string("\x45\0\0\x28\0\0\0\0\x40\x06\0\0", 12)
                               : std::string("\x60\0\0\0\0\x14\x06\x40", 8);
    packet += bytes(source) + bytes(is_v4 ? "198.51.100.1" : "2001:db8::1");
    packet += {'\x9c', static_cast<char>(++knocks_), static_cast<char>(port >> 8),
               static_cast<char>(port)};
    packet += std::string("\0\0\0\x01\0\0\0\0\x50\x02\x04\0\0\0\0\0", 16);
    const auto length = static_cast<uint32_t>(packet.size());
    for (const uint32_t word : {static_cast<uint32_t>(time), knocks_ * 10'000, length, length}) {
      put(word);
    }
    bytes_ += packet;
  }
  // The fixed knock, then knocks at these ports.
  void knock(const std::string& source, uint16_t fixed, const Ports& ports) {
    syn(source, fixed);
    for (const uint16_t port : ports) syn(source, port);
  }
  const std::string& bytes() const { return bytes_; }

  int64_t time = kMoment;

 private:
  // In the byte order of this machine.
  template <typename Number>
  void put(Number number) {
    bytes_.append(reinterpret_cast<const char*>(&number), sizeof(number));
  }
  std::string bytes_;
  uint32_t knocks_ = 0;
};

class ReplayOfCodes : public testing::Test {
 protected:
  // A door with computed places and one with typed ones, for one user.
  ReplayOfCodes() {
    write_file(folder_ / "phones", std::string("alice ") + kAliceSecret + '\n');
    chmod((folder_ / "phones").c_str(), 0600);
    for (const char* door : {"[ssh]\nSequence = 7000,totp,totp,totp\n",
                             "[typed]\nSequence = 7100,400xx,401xx,402xx,403xx\n"}) {
      config_ += door + ("Secrets = " + (folder_ / "phones")) + "\nStart_Command = open %IP%\n";
    }
  }
  // Alice's ports, `away` steps from the step of the capture.
  Ports ports_of(std::string_view sequence, int away, bool is_v4) const {
    const auto coded = std::get<CodedSequence>(parse_coded_sequence(sequence));
    const auto ports =
        code_ports(*Secret::parse(kAliceSecret), coded, step_at(capture_.time) + away, is_v4);
    return {ports.begin(), ports.begin() + static_cast<ptrdiff_t>(coded.places.count())};
  }
  Ports computed(int away = 0, bool is_v4 = true) const {
    return ports_of("7000,totp,totp,totp", away, is_v4);
  }
  Ports typed() const { return ports_of("7100,400xx,401xx,402xx,403xx", 0, true); }
  // The lines printed, without stages and timestamps.
  std::vector<std::string> told(bool explain = false) const {
    write_file(folder_ / "knockd.conf", config_);
    write_file(folder_ / "some.pcap", capture_.bytes());
    const std::string all =
        replay_of(folder_ / "knockd.conf", {folder_ / "some.pcap", explain, false});
    std::vector<std::string> lines;
    for (std::string_view line : split(all, '\n')) {
      if (line.starts_with('[')) line = line.substr(line.find("] ") + 2);
      const bool is_stage = line.find(": Stage ") != line.npos;
      if (!is_stage && !line.empty()) lines.emplace_back(line);
    }
    return lines;
  }

  const TemporaryFolder folder_;
  std::string config_;
  Capture capture_;
};

TEST_F(ReplayOfCodes, AreCheckedAtTheCapturesTime) {
  capture_.knock("192.0.2.1", 7000, computed(-2));
  capture_.knock("192.0.2.2", 7000, computed(-1));
  capture_.knock("192.0.2.3", 7000, computed(2));
  capture_.time += 300;
  capture_.knock("192.0.2.4", 7000, computed());
  capture_.knock("2001:db8::4", 7000, computed(0, false));
  EXPECT_THAT(
      told(),
      ElementsAre("192.0.2.2: ssh: knock of alice", "192.0.2.2: ssh: OPEN SESAME",
                  "ssh: would run: open 192.0.2.2",
                  "192.0.2.3: ssh: code of alice, refused: it is of another time",
                  "192.0.2.1: ssh: sequence timeout (stage 1)", "192.0.2.4: ssh: knock of alice",
                  "192.0.2.4: ssh: OPEN SESAME", "ssh: would run: open 192.0.2.4",
                  "2001:db8::4: ssh: knock of alice", "2001:db8::4: ssh: OPEN SESAME",
                  "ssh: would run: open 2001:db8::4", "exit status 0"));
}

TEST_F(ReplayOfCodes, OpenOnce) {
  capture_.knock("192.0.2.1", 7000, computed());
  capture_.knock("192.0.2.2", 7000, computed());
  capture_.knock("192.0.2.3", 7100, typed());
  EXPECT_THAT(told(),
              ElementsAre("192.0.2.1: ssh: knock of alice", "192.0.2.1: ssh: OPEN SESAME",
                          "ssh: would run: open 192.0.2.1",
                          "192.0.2.2: ssh: code of alice, refused: it, or a later one, was used "
                          "before",
                          "192.0.2.3: typed: code of alice, refused: it, or a later one, was used "
                          "before",
                          "exit status 0"));
}

// A browser knocks over both families.
TEST_F(ReplayOfCodes, OfTheOtherAddressFamily_AreReportedOnlyWithD) {
  capture_.knock("192.0.2.1", 7000, computed(0, false));
  EXPECT_THAT(told(), ElementsAre("exit status 0"));
  EXPECT_THAT(told(true), testing::Contains("192.0.2.1: ssh: code of alice, refused: it is for the "
                                            "other address family"));
}

TEST_F(ReplayOfCodes, ThreeWrongTypedOnes_BlockTypedOnesForTheStep) {
  for (int i = 0; i < 4; ++i) capture_.knock("192.0.2.1", 7100, {40199});
  capture_.knock("192.0.2.2", 7100, typed());
  EXPECT_THAT(told(),
              ElementsAre("typed: 3 wrong codes, no typed code is taken before the next step",
                          "192.0.2.2: typed: code of alice, refused: too many wrong codes in this "
                          "step",
                          "exit status 0"));
}

#endif

}  // namespace
}  // namespace knockd
