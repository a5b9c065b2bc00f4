// SPDX-License-Identifier: MIT
// Frames from a live interface or a capture file. Only this room uses libpcap.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "knockd/base/clock.h"
#include "knockd/base/result.h"
#include "knockd/knock/capture_filter.h"
#include "knockd/message/messages.h"
#include "knockd/net/link_type.h"

struct pcap;

namespace knockd {

struct Frame {
  std::span<const uint8_t> captured;  // valid until the next frame is asked for
  uint32_t wire_length = 0;           // bytes
  Instant time;  // of a capture file: since the epoch, which it also is if the file names no time
                 // that can be; of a live one: unset
};

struct CaptureFault {
  CaptureTrouble kind = CaptureTrouble::kOther;
  std::string text;  // one line
};

// A live interface. Captures only the headers (156 bytes of a frame), wakes up at once for a single
// packet, and never blocks.
class LiveCapture {
 public:
  // Opens "any" or a named interface.
  static Result<LiveCapture, CaptureFault> create(const std::string& interface);
  LiveCapture(LiveCapture&&) = default;

  LinkType link_type() const { return link_type_; }
  int fd() const;

  // Where a filter for this capture finds the headers. The protocol comes from the kernel's
  // metadata of the packet, the same for each link type and without tags.
  FilterLayout filter_layout() const;

  // Sets a filter in the kernel. False: the kernel refused it, and every packet of the link is
  // captured from now on, so that none is missed.
  bool set_filter(const std::vector<FilterInstruction>& filter);

  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void on_frame(const Frame& frame) = 0;
  };
  // Passes on received frames, at most `most`. Returns how many; a fault when the interface is gone
  // or down.
  Result<size_t, CaptureFault> read(Handler& handler, int most);

  struct Counts {
    uint64_t packets = 0;  // that passed the filter
    uint64_t dropped = 0;  // of them, lost because the ring was full
  };
  Counts counts();

 private:
  bool set_option(int option, const void* value, size_t length);

  struct Close {
    void operator()(pcap* handle) const;
  };
  LiveCapture() = default;

  std::unique_ptr<pcap, Close> handle_;
  LinkType link_type_ = LinkType::kEthernet;
};

// A capture file, pcap or pcapng.
class CaptureFile {
 public:
  // "-" is standard input. A fault's text has the path.
  static Result<CaptureFile, CaptureFault> create(const std::string& path);

  LinkType link_type() const { return link_type_; }
  // Nothing at the end; `cut_short` then says whether the file ended too early, and why.
  std::optional<Frame> next();
  const std::string& cut_short() const { return cut_short_; }

 private:
  struct Close {
    void operator()(pcap* handle) const;
  };
  CaptureFile() = default;

  std::unique_ptr<pcap, Close> handle_;
  LinkType link_type_ = LinkType::kEthernet;
  std::string cut_short_;
};

}  // namespace knockd
