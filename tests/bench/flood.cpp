// SPDX-License-Identifier: MIT
// Sends connection attempts with ever new forged sources out of one interface, at a given rate:
// an attack on a daemon that remembers its knockers. Or sends segments of established connections,
// as a busy host receives all day. For network namespaces made for the purpose; bounded in time.
//
//   flood INTERFACE DESTINATION-MAC DESTINATION-IPV4 PORT PACKETS-A-SECOND SECONDS [established]
//
// A rate of 0 means as fast as possible. PORT may be a range, "5000-5015", used in turn; 0 means a
// different port each time. "7000,40000-40099,40100-40199" is an attempt: each source knocks at one
// port of each of these ranges, drawn at random. Prints how many packets were sent.
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <utility>
#include <vector>

namespace {

constexpr size_t kFrameBytes = 14 + 20 + 20;
constexpr size_t kBatch = 32;
constexpr uint64_t kMostPackets = 20'000'000;

constexpr uint8_t kSyn = 0x02, kPshAck = 0x18;  // RFC 9293, 3.1

using FrameBytes = std::array<uint8_t, kFrameBytes>;

double now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

void put16(uint8_t* at, uint32_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}

void put32(uint8_t* at, uint32_t value) {
  put16(at, value >> 16);
  put16(at + 2, value);
}

// RFC 1071. A bridge on the way may check it.
void put_ip_checksum(FrameBytes& frame) {
  put16(&frame[24], 0);
  uint32_t sum = 0;
  for (size_t at = 14; at < 34; at += 2) sum += uint32_t{frame[at]} << 8 | frame[at + 1];
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  put16(&frame[24], ~sum);
}

// Ethernet, IPv4 and TCP without data; the TCP checksum is 0, nothing on the way checks it.
FrameBytes make_frame(const char* mac, const char* destination, uint32_t port, uint8_t flags) {
  FrameBytes frame{};
  unsigned octets[6] = {};
  std::sscanf(mac, "%x:%x:%x:%x:%x:%x", &octets[0], &octets[1], &octets[2], &octets[3], &octets[4],
              &octets[5]);
  for (size_t i = 0; i < 6; ++i) frame[i] = static_cast<uint8_t>(octets[i]);
  frame[6] = 0x02;
  frame[11] = 0x63;
  put16(&frame[12], ETHERTYPE_IP);
  frame[14] = 0x45;
  put16(&frame[16], 40);
  frame[22] = 64;
  frame[23] = IPPROTO_TCP;
  inet_pton(AF_INET, destination, &frame[30]);
  put16(&frame[34], 40000);
  put16(&frame[36], port);
  frame[46] = 5 << 4;
  frame[47] = flags;
  put16(&frame[48], 1024);
  return frame;
}

using Range = std::pair<uint32_t, uint32_t>;

Range parse_range(const char* text) {
  const auto first = static_cast<uint32_t>(std::atoi(text));
  const size_t length = std::strcspn(text, ",");
  const void* const dash = std::memchr(text, '-', length);
  return {first, dash == nullptr
                     ? first
                     : static_cast<uint32_t>(std::atoi(static_cast<const char*>(dash) + 1))};
}

std::vector<Range> parse_attempt(const char* text) {
  std::vector<Range> ranges{parse_range(text)};
  while ((text = std::strchr(text, ',')) != nullptr) ranges.push_back(parse_range(++text));
  return ranges;
}

}  // namespace

int main(int argc, char** argv) {
  const bool established = argc == 8 && std::strcmp(argv[7], "established") == 0;
  if (argc != 7 && !established) {
    std::fprintf(stderr, "usage: flood INTERFACE MAC IPV4 PORT RATE SECONDS [established]\n");
    return 1;
  }
  const std::vector<Range> attempt = parse_attempt(argv[4]);
  const auto [port, last_port] = attempt.front();
  const uint32_t ports = last_port - port + 1;
  std::minstd_rand random(std::random_device{}());
  // Consecutive runs use different sources, provided each attempt has its own source.
  const uint32_t first_source = attempt.size() == 1 ? 0 : static_cast<uint32_t>(random());
  const double rate = std::atof(argv[5]);
  const double seconds = std::min(std::atof(argv[6]), 60.0);

  const int out = socket(AF_PACKET, SOCK_RAW, 0);
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_ifindex = static_cast<int>(if_nametoindex(argv[1]));
  if (out < 0 || bind(out, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    std::perror("flood");
    return 1;
  }
  std::array<FrameBytes, kBatch> frames;
  frames.fill(make_frame(argv[2], argv[3], port, established ? kPshAck : kSyn));
  std::array<iovec, kBatch> parts{};
  std::array<mmsghdr, kBatch> messages{};
  for (size_t i = 0; i < kBatch; ++i) {
    parts[i] = {frames[i].data(), kFrameBytes};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }

  const double begin = now();
  uint64_t sent = 0;
  while (sent < kMostPackets && now() - begin < seconds) {
    uint64_t due = sent + kBatch;
    if (rate > 0) {
      due = std::min(due, static_cast<uint64_t>((now() - begin) * rate));
      if (due <= sent) {
        const timespec pause{0, 100'000};
        nanosleep(&pause, nullptr);
        continue;
      }
    }
    const size_t count = due - sent;
    for (size_t i = 0; i < count; ++i) {
      const auto number = static_cast<uint32_t>(sent + i);
      const uint32_t source = first_source + static_cast<uint32_t>((sent + i) / attempt.size());
      put32(&frames[i][26], 0x0b000000 + source * 2654435761u % 0xd0000000u);
      put_ip_checksum(frames[i]);
      put32(&frames[i][38], number);  // sequence number
      if (port == 0) put16(&frames[i][36], 1 + number * 40503u % 65535);
      if (attempt.size() > 1) {
        const auto [first, last] = attempt[(sent + i) % attempt.size()];
        put16(&frames[i][36], first + static_cast<uint32_t>(random()) % (last - first + 1));
      } else if (ports > 1) {
        put16(&frames[i][36], port + number % ports);
      }
    }
    const int done = sendmmsg(out, messages.data(), static_cast<unsigned>(count), 0);
    if (done > 0) sent += static_cast<uint64_t>(done);
  }
  std::printf("%llu\n", static_cast<unsigned long long>(sent));
  return 0;
}
