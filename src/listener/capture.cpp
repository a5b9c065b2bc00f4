// SPDX-License-Identifier: MIT
#include "knockd/listener/capture.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <pcap/pcap.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "knockd/base/text.h"

namespace knockd {
namespace {

// Link header, tags, the longest IPv4 header or 88 bytes of IPv6 extension headers, and TCP up to
// its flags. In immediate mode each frame, however short, uses this size plus 68 bytes of the ring:
// 18 frames a page.
constexpr int kSnapshotBytes = 156;
// 1,548 frames: 30 ms of traffic at 50,000 frames a second. Allocated from the start, for each
// interface; by far the largest part of the daemon's memory on a router. A small ring also stays in
// the cache between write and read.
constexpr int kRingBytes = 344 * 1024;

CaptureTrouble trouble_of(int status) {
  switch (status) {
    case PCAP_ERROR_PERM_DENIED:
    case PCAP_ERROR_PROMISC_PERM_DENIED:
      return CaptureTrouble::kNoPermission;
    case PCAP_ERROR_NO_SUCH_DEVICE:
      return CaptureTrouble::kNoDevice;
    case PCAP_ERROR_IFACE_NOT_UP:
      return CaptureTrouble::kDown;
    default:
      return CaptureTrouble::kOther;
  }
}

CaptureFault link_type_fault(pcap_t* handle) {
  const char* name = pcap_datalink_val_to_name(pcap_datalink(handle));
  return {CaptureTrouble::kLinkType,
          format("link type %s is not understood", name == nullptr ? "?" : name)};
}

// A file may contain any number; one beyond this (the year 2242) is invalid and read as the epoch.
constexpr int64_t kLastSecond = int64_t{1} << 33;

Instant time_stamp(int64_t seconds, int64_t nanoseconds) {
  const bool is_time =
      seconds >= 0 && seconds < kLastSecond && nanoseconds >= 0 && nanoseconds < 1'000'000'000;
  if (!is_time) return Instant();
  return Instant(std::chrono::seconds(seconds) + std::chrono::nanoseconds(nanoseconds));
}

}  // namespace

void LiveCapture::Close::operator()(pcap* handle) const { pcap_close(handle); }
void CaptureFile::Close::operator()(pcap* handle) const { pcap_close(handle); }

Result<LiveCapture, CaptureFault> LiveCapture::create(const std::string& interface) {
  char error[PCAP_ERRBUF_SIZE] = "";
  LiveCapture capture;
  capture.handle_.reset(pcap_create(interface.c_str(), error));
  pcap* const handle = capture.handle_.get();
  if (handle == nullptr) return CaptureFault{CaptureTrouble::kOther, error};
  pcap_set_snaplen(handle, kSnapshotBytes);
  pcap_set_buffer_size(handle, kRingBytes);
  pcap_set_immediate_mode(handle, 1);
  const int status = pcap_activate(handle);
  if (status < 0) {
    const std::string text = pcap_geterr(handle);
    return CaptureFault{trouble_of(status), text.empty() ? pcap_statustostr(status) : text};
  }
  // Cooked version 2 has the interface of each packet; old libraries only support version 1.
  if (interface == "any") pcap_set_datalink(handle, DLT_LINUX_SLL2);
  const auto link_type = link_type_from_number(pcap_datalink(handle));
  if (!link_type) return link_type_fault(handle);
  if (pcap_setnonblock(handle, 1, error) != 0) return CaptureFault{CaptureTrouble::kOther, error};
  capture.link_type_ = *link_type;
  fcntl(capture.fd(), F_SETFD, FD_CLOEXEC);
  return capture;
}

int LiveCapture::fd() const { return pcap_get_selectable_fd(handle_.get()); }

FilterLayout LiveCapture::filter_layout() const {
  constexpr uint32_t kProtocol = static_cast<uint32_t>(SKF_AD_OFF + SKF_AD_PROTOCOL);
  constexpr uint32_t kEthernetHeader = 14;
  // The packets of a cooked capture's socket begin with the network header; libpcap adds the rest.
  return {kProtocol, link_type_ == LinkType::kEthernet ? kEthernetHeader : 0};
}

// As a system call of its own, even where the C library still uses socketcall(2), whose arguments
// the sandbox cannot check.
bool LiveCapture::set_option(int option, const void* value, size_t length) {
#ifdef SYS_setsockopt
  return syscall(SYS_setsockopt, fd(), SOL_SOCKET, option, value, length) == 0;
#else
  return setsockopt(fd(), SOL_SOCKET, option, value, static_cast<socklen_t>(length)) == 0;
#endif
}

bool LiveCapture::set_filter(const std::vector<FilterInstruction>& filter) {
  // Directly to the kernel: libpcap would silently filter in user space what the kernel refuses.
  static_assert(sizeof(FilterInstruction) == sizeof(sock_filter));
  std::vector<sock_filter> code(filter.size());
  std::memcpy(code.data(), filter.data(), filter.size() * sizeof(sock_filter));
  const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  if (set_option(SO_ATTACH_FILTER, &program, sizeof(program))) return true;
  // The old filter lacks the new addresses: capturing too much is better.
  const int none = 0;
  set_option(SO_DETACH_FILTER, &none, sizeof(none));
  return false;
}

Result<size_t, CaptureFault> LiveCapture::read(Handler& handler, int most) {
  const auto take = [](u_char* user, const pcap_pkthdr* header, const u_char* bytes) {
    reinterpret_cast<Handler*>(user)->on_frame(
        {std::span<const uint8_t>(bytes, header->caplen), header->len, Instant()});
  };
  const int count = pcap_dispatch(handle_.get(), most, take, reinterpret_cast<u_char*>(&handler));
  if (count >= 0) return static_cast<size_t>(count);
  const bool is_down = count == PCAP_ERROR_IFACE_NOT_UP;
  return CaptureFault{is_down ? CaptureTrouble::kDown : CaptureTrouble::kNoDevice,
                      pcap_geterr(handle_.get())};
}

LiveCapture::Counts LiveCapture::counts() {
  pcap_stat stat{};
  if (pcap_stats(handle_.get(), &stat) != 0) return {};
  return {stat.ps_recv, stat.ps_drop};
}

Result<CaptureFile, CaptureFault> CaptureFile::create(const std::string& path) {
  char error[PCAP_ERRBUF_SIZE] = "";
  CaptureFile file;
  // With this precision tv_usec is in nanoseconds.
  file.handle_.reset(
      pcap_open_offline_with_tstamp_precision(path.c_str(), PCAP_TSTAMP_PRECISION_NANO, error));
  if (!file.handle_) {
    // Only some of libpcap's messages begin with the path.
    const std::string text = error;
    return CaptureFault{CaptureTrouble::kOther, text.starts_with(path) ? text : path + ": " + text};
  }
  const auto link_type = link_type_from_number(pcap_datalink(file.handle_.get()));
  if (!link_type) {
    CaptureFault fault = link_type_fault(file.handle_.get());
    fault.text.insert(0, path + ": ");
    return fault;
  }
  file.link_type_ = *link_type;
  return file;
}

std::optional<Frame> CaptureFile::next() {
  pcap_pkthdr* header = nullptr;
  const u_char* bytes = nullptr;
  const int status = pcap_next_ex(handle_.get(), &header, &bytes);
  if (status == 1) {
    return Frame{std::span<const uint8_t>(bytes, header->caplen), header->len,
                 time_stamp(header->ts.tv_sec, header->ts.tv_usec)};
  }
  if (status == PCAP_ERROR) cut_short_ = pcap_geterr(handle_.get());
  return std::nullopt;
}

}  // namespace knockd
