// SPDX-License-Identifier: MIT
// Files made by tests/data/captures/make.py, and a live device in its own namespace.
#include "knockd/listener/capture.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <initializer_list>
#include <string>
#include <thread>
#include <vector>

#include "knockd/net/decoder.h"
#include "tests/base/processor_time.h"
#include "tests/base/temporary_folder.h"
#include "tests/listener/capture_network.h"
#include "tests/listener/frame_sender.h"

namespace knockd {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const std::string kCaptures = KNOCKD_TEST_DATA "/captures/";

// --- Files -------------------------------------------------------------------------------------

std::string error_of(const std::string& path) {
  const auto file = CaptureFile::create(path);
  return file ? "opened" : file.error().text;
}

size_t frames_in(CaptureFile& file) {
  size_t count = 0;
  while (file.next()) ++count;
  return count;
}

TEST(CaptureFileTest, FramesHaveTheirBytesLengthAndTime) {
  CaptureFile file = *CaptureFile::create(kCaptures + "link-ethernet.pcap");
  EXPECT_EQ(file.link_type(), LinkType::kEthernet);
  const auto frame = file.next();
  ASSERT_TRUE(frame.has_value());
  EXPECT_EQ(frame->captured.size(), 54u);
  EXPECT_EQ(frame->wire_length, 54u);
  EXPECT_EQ(frame->time, Instant(1767323045s));
  EXPECT_EQ(file.next()->time, Instant(1767323046s));
  EXPECT_EQ(frames_in(file), 1u);
  EXPECT_EQ(file.cut_short(), "");
}

TEST(CaptureFileTest, BothFormats_AndEachLinkType) {
  const struct {
    const char* name;
    LinkType type;
    size_t frames;
  } kTable[] = {{"link-ethernet.pcap", LinkType::kEthernet, 3},
                {"link-vlan.pcap", LinkType::kEthernet, 3},
                {"link-cooked.pcap", LinkType::kLinuxCooked, 6},
                {"link-cooked2.pcap", LinkType::kLinuxCooked2, 6},
                {"link-raw.pcap", LinkType::kRaw, 6},
                {"link-loopback.pcap", LinkType::kLoopback, 6},
                {"pcapng.pcapng", LinkType::kEthernet, 3},
                {"empty.pcap", LinkType::kEthernet, 0}};
  for (const auto& row : kTable) {
    CaptureFile file = *CaptureFile::create(kCaptures + row.name);
    EXPECT_EQ(file.link_type(), row.type) << row.name;
    EXPECT_EQ(frames_in(file), row.frames) << row.name;
    EXPECT_EQ(file.cut_short(), "") << row.name;
  }
}

TEST(CaptureFileTest, TimesAreReadToTheNanosecond) {
  CaptureFile file = *CaptureFile::create(kCaptures + "nanoseconds.pcap");
  file.next();
  EXPECT_EQ(file.next()->time, Instant(1767323049s + 999'999'900ns));
}

TEST(CaptureFileTest, ImpossibleTimeIsTheEpoch) {
  if (sizeof(time_t) < sizeof(int64_t)) GTEST_SKIP() << "libpcap cuts times to 32 bits here";
  CaptureFile file = *CaptureFile::create(kCaptures + "far-times.pcapng");
  std::vector<Instant> times;
  while (const auto frame = file.next()) times.push_back(frame->time);
  EXPECT_THAT(times, ElementsAre(Instant(1767323045s), Instant(), Instant(), Instant(1767323048s)));
}

TEST(CaptureFileTest, CutAtEachLength_EndsOrIsRefused_WithAMessage) {
  const TemporaryFolder folder;
  const std::string whole = read_file(kCaptures + "link-ethernet.pcap");
  constexpr size_t kHeader = 24, kFrame = 16 + 54;
  for (size_t length = 0; length < whole.size(); ++length) {
    const std::string path = folder / "cut.pcap";
    write_file(path, whole.substr(0, length));
    if (length < kHeader) {
      EXPECT_THAT(error_of(path), StartsWith(path + ": ")) << length;
      continue;
    }
    CaptureFile file = *CaptureFile::create(path);
    EXPECT_EQ(frames_in(file), (length - kHeader) / kFrame) << length;
    EXPECT_EQ(file.cut_short().empty(), (length - kHeader) % kFrame == 0) << length;
  }
}

TEST(CaptureFileTest, UnreadableFileIsNamed) {
  EXPECT_EQ(error_of("/no/such/file"), "/no/such/file: No such file or directory");
  const std::string text = kCaptures + "empty.conf";
  EXPECT_EQ(error_of(text), text + ": unknown file format");
  const std::string unknown = kCaptures + "link-unknown.pcap";
  EXPECT_EQ(error_of(unknown), unknown + ": link type IEEE802_11 is not understood");
}

// --- A live device -----------------------------------------------------------------------------

class LiveCaptureTest : public CaptureNetwork {
 protected:
  struct Recorder : LiveCapture::Handler {
    void on_frame(const Frame& frame) override {
      const Decoded decoded = decode(type, frame.captured, frame.wire_length);
      if (decoded.packet) ports.push_back(decoded.packet->destination_port);
    }
    LinkType type = LinkType::kEthernet;
    std::vector<uint16_t> ports;
  };

  static constexpr int kDeadline = 10'000;  // ms

  // Reads until a packet to `port` arrives; returns the ports of all packets.
  static std::vector<uint16_t> ports_until(LiveCapture& capture, uint16_t port) {
    Recorder recorder;
    recorder.type = capture.link_type();
    while (recorder.ports.empty() || recorder.ports.back() != port) {
      pollfd readable{capture.fd(), POLLIN, 0};
      if (poll(&readable, 1, kDeadline) == 0) {
        ADD_FAILURE() << "no packet to port " << port << " within 10 s";
        break;
      }
      if (const auto read = capture.read(recorder, 100); !read) {
        ADD_FAILURE() << read.error().text;
        break;
      }
    }
    return recorder.ports;
  }

  // The capture's filter program, read back from the kernel.
  static std::vector<FilterInstruction> filter_in_kernel(const LiveCapture& capture) {
    std::vector<sock_filter> code(kMaxFilterInstructions);
    auto count = static_cast<socklen_t>(code.size());  // in instructions, not in bytes as elsewhere
    EXPECT_EQ(getsockopt(capture.fd(), SOL_SOCKET, SO_GET_FILTER, code.data(), &count), 0);
    std::vector<FilterInstruction> filter;
    for (size_t i = 0; i < count; ++i) {
      filter.push_back({code[i].code, code[i].jt, code[i].jf, code[i].k});
    }
    return filter;
  }

  static CaptureTrouble trouble_of(const std::string& interface) {
    const auto capture = LiveCapture::create(interface);
    if (capture) {
      ADD_FAILURE() << "opened";
      return CaptureTrouble::kOther;
    }
    EXPECT_NE(capture.error().text, "");
    return capture.error().kind;
  }
};

TEST_F(LiveCaptureTest, HearsWhatComes_OnADeviceOrOnAny) {
  LiveCapture wan = *LiveCapture::create("wan");
  LiveCapture any = *LiveCapture::create("any");
  EXPECT_EQ(wan.link_type(), LinkType::kEthernet);
  EXPECT_EQ(any.link_type(), LinkType::kLinuxCooked2);
  FrameSender sender("lan");
  sender.syn("192.0.2.7", 7000);
  sender.syn("192.0.2.7", 8000);
  EXPECT_THAT(ports_until(wan, 8000), ElementsAre(7000, 8000));
  EXPECT_THAT(ports_until(any, 8000), ::testing::Contains(7000));
}

TEST_F(LiveCaptureTest, ReadNeverWaits_AndClosesOnExec) {
  LiveCapture capture = *LiveCapture::create("wan");
  Recorder recorder;
  // If it blocks, a packet releases it after a while.
  std::promise<void> has_read;
  bool was_helped = false;
  std::thread helper([&, over = has_read.get_future()] {
    was_helped = over.wait_for(5s) == std::future_status::timeout;
    if (was_helped) FrameSender("lan").syn("192.0.2.7", 7000);
  });
  // Packets of the system itself may arrive, but only a few.
  for (auto read = capture.read(recorder, 100); read && *read > 0;) {
    read = capture.read(recorder, 100);
  }
  has_read.set_value();
  helper.join();
  EXPECT_FALSE(was_helped) << "it waited for a packet";
  EXPECT_EQ(fcntl(capture.fd(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

TEST_F(LiveCaptureTest, KernelAppliesTheFilter) {
  for (const std::string name : {"wan", "any"}) {
    LiveCapture capture = *LiveCapture::create(name);
    CaptureWishes wishes;
    DoorRule door;
    door.sequence = {{7000, Protocol::kTcp}, {8000, Protocol::kTcp}};
    wishes.doors = {door};
    wishes.own_addresses = {IpAddress::parse("198.51.100.1").value()};
    wishes.scan_guard = false;
    ASSERT_TRUE(capture.set_filter(make_capture_filter(wishes, capture.filter_layout())));
    FrameSender sender("lan");
    for (const uint16_t port : std::initializer_list<uint16_t>{22, 7000, 443, 8000})
      sender.syn("192.0.2.7", port);
    const auto ports = ports_until(capture, 8000);
    EXPECT_THAT(ports, ::testing::Each(::testing::AnyOf(7000, 8000))) << name;
    EXPECT_THAT(ports, ::testing::Contains(7000)) << name;
  }
}

// The kernel refuses 0.8's filter for this. The bound is generous for slow machines and sanitizers.
TEST_F(LiveCaptureTest, FilterOfAThousandDoorsIsInTheKernel_Soon) {
  CaptureWishes wishes;
  for (const std::string host : {"1", "2", "77", "78"}) {
    wishes.own_addresses.push_back(IpAddress::parse("198.51.100." + host).value());
    wishes.own_addresses.push_back(IpAddress::parse("2001:db8::" + host).value());
  }
  for (uint16_t number = 0; number < 1000; ++number) {
    DoorRule door;
    for (uint16_t knock = 0; knock < 3; ++knock) {
      const auto port = static_cast<uint16_t>(1024 + (number * 3 + knock) * 7919 % 60000);
      door.sequence.push_back({port, knock == 1 ? Protocol::kUdp : Protocol::kTcp});
    }
    wishes.doors.push_back(door);
  }
  for (const std::string name : {"wan", "any"}) {
    LiveCapture capture = *LiveCapture::create(name);
    const auto begin = processor_time();
    const auto filter = make_capture_filter(wishes, capture.filter_layout());
    ASSERT_TRUE(capture.set_filter(filter));
    EXPECT_LT(processor_time() - begin, 500ms) << name;
    EXPECT_EQ(filter_in_kernel(capture), filter) << name;
  }
}

TEST_F(LiveCaptureTest, EverythingIsHeard_WhenTheKernelRefusesTheFilter) {
  LiveCapture capture = *LiveCapture::create("wan");
  ASSERT_TRUE(capture.set_filter({{0x06, 0, 0, 0}}));  // lets nothing through (BPF_RET, 0)
  EXPECT_FALSE(capture.set_filter({{0xffff, 0, 0, 0}}));
  EXPECT_THAT(filter_in_kernel(capture), ::testing::IsEmpty());
  FrameSender("lan").syn("192.0.2.7", 7000);
  EXPECT_THAT(ports_until(capture, 7000), ElementsAre(7000));
}

TEST_F(LiveCaptureTest, CountsWhatPassed) {
  LiveCapture capture = *LiveCapture::create("wan");
  FrameSender("lan").syn("192.0.2.7", 7000);
  ports_until(capture, 7000);
  EXPECT_GE(capture.counts().packets, 1u);
  EXPECT_EQ(capture.counts().dropped, 0u);
}

TEST_F(LiveCaptureTest, TroubleHasTheRightKind) {
  EXPECT_EQ(trouble_of("ppp0"), CaptureTrouble::kNoDevice);
  ip("link set wan down");
  EXPECT_EQ(trouble_of("wan"), CaptureTrouble::kDown);
}

TEST_F(LiveCaptureTest, RemovedDeviceEndsTheCapture) {
  LiveCapture capture = *LiveCapture::create("wan");
  ip("link del wan");
  Recorder recorder;
  pollfd readable{capture.fd(), POLLIN, 0};
  do {
    ASSERT_EQ(poll(&readable, 1, kDeadline), 1) << "nothing is heard of it within 10 s";
  } while (capture.read(recorder, 100));
}

}  // namespace
}  // namespace knockd
