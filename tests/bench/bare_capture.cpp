// SPDX-License-Identifier: MIT
// The least that a program on libpcap can do with a packet: be woken up, at most about a thousand
// times a second, and count it. The benchmark compares knockd with it; the ring is the listener's.
// Ends with SIGTERM and prints the packets and its CPU time in microseconds.
//
//   bare_capture INTERFACE [FILTER]
//
// FILTER is a libpcap filter; without one, connection attempts are counted.
#include <pcap/pcap.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>

#include <cstdio>

namespace {

volatile sig_atomic_t stopped = 0;

constexpr long kPauseNanoseconds = 1'000'000;

long long microseconds(const timeval& time) {
  return static_cast<long long>(time.tv_sec) * 1'000'000 + time.tv_usec;
}

}  // namespace

int main(int argc, char** argv) {
  char error[PCAP_ERRBUF_SIZE] = "";
  const char* wanted = argc == 3 ? argv[2] : "tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn";
  pcap_t* handle = argc == 2 || argc == 3 ? pcap_create(argv[1], error) : nullptr;
  if (handle == nullptr) {
    std::fprintf(stderr, "usage: bare_capture INTERFACE [FILTER] %s\n", error);
    return 1;
  }
  struct sigaction action {};
  action.sa_handler = [](int) { stopped = 1; };
  sigaction(SIGTERM, &action, nullptr);
  pcap_set_snaplen(handle, 156);
  pcap_set_immediate_mode(handle, 1);
  pcap_set_buffer_size(handle, 344 * 1024);
  bpf_program filter{};
  if (pcap_activate(handle) < 0 || pcap_setnonblock(handle, 1, error) != 0 ||
      pcap_compile(handle, &filter, wanted, 1, PCAP_NETMASK_UNKNOWN) != 0 ||
      pcap_setfilter(handle, &filter) != 0) {
    std::fprintf(stderr, "bare_capture: %s %s\n", pcap_geterr(handle), error);
    return 1;
  }
  std::printf("listening\n");
  std::fflush(stdout);

  long long packets = 0;
  const auto count = [](u_char* counter, const pcap_pkthdr*, const u_char*) {
    ++*reinterpret_cast<long long*>(counter);
  };
  pollfd readable{pcap_get_selectable_fd(handle), POLLIN, 0};
  while (stopped == 0) {
    if (poll(&readable, 1, -1) <= 0) continue;
    pcap_dispatch(handle, -1, count, reinterpret_cast<u_char*>(&packets));
    const timespec pause{0, kPauseNanoseconds};
    nanosleep(&pause, nullptr);
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf("%lld %lld\n", packets, microseconds(usage.ru_utime) + microseconds(usage.ru_stime));
  pcap_close(handle);
  return 0;
}
