// SPDX-License-Identifier: MIT
#include "knockd/keeper/resolver.h"

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "knockd/base/privileges.h"

namespace knockd {
namespace {

// Names kept; when there are more the oldest knowledge is of little use, and all goes.
constexpr size_t kMostNames = 4096;
constexpr size_t kAddressBytes = 16;
// An answer: the address and the name, of at most NI_MAXHOST bytes.
constexpr size_t kLongestAnswer = kAddressBytes + NI_MAXHOST;

std::string ask(const IpAddress& address) {
  sockaddr_storage storage{};
  socklen_t length;
  if (address.is_v4()) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
    v4->sin_family = AF_INET;
    std::memcpy(&v4->sin_addr, address.bytes().data() + 12, 4);
    length = sizeof(*v4);
  } else {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
    v6->sin6_family = AF_INET6;
    std::memcpy(&v6->sin6_addr, address.bytes().data(), 16);
    length = sizeof(*v6);
  }
  char name[NI_MAXHOST] = "";
  const int status = getnameinfo(reinterpret_cast<const sockaddr*>(&storage), length, name,
                                 sizeof(name), nullptr, 0, NI_NAMEREQD);
  return status == 0 ? name : "";
}

// The child: one question after the other, as slow as name servers are.
[[noreturn]] void answer_questions(const Channel& channel) {
  prctl(PR_SET_NAME, "knockd-lookup");
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (const int ignored : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGPIPE}) signal(ignored, SIG_IGN);
  std::array<uint8_t, kAddressBytes> question;
  for (;;) {
    pollfd readable{channel.fd(), POLLIN, 0};
    poll(&readable, 1, -1);
    const Channel::Received received = channel.receive(question);
    if (received.kind == Channel::Received::Kind::kClosed) _exit(0);
    if (received.kind != Channel::Received::Kind::kMessage) continue;
    if (received.length != kAddressBytes) continue;
    const std::string name = ask(IpAddress(question));
    std::vector<uint8_t> answer(question.begin(), question.end());
    answer.insert(answer.end(), name.begin(), name.end());
    if (!channel.send_waiting(answer)) _exit(0);
  }
}

}  // namespace

std::string clean_host_name(std::string_view name) {
  std::string clean;
  for (const char c : name) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool digit = c >= '0' && c <= '9';
    if (letter || digit || c == '-' || c == '.' || c == '_') clean += c;
  }
  return clean;
}

Resolver::Resolver(EventLoop& loop) : loop_(loop) {
  auto pair = Channel::make_pair();
  if (!pair) {
    fault_ = pair.error();
    return;
  }
  auto& [ours, theirs] = *pair;
  pid_ = fork();
  if (pid_ < 0) {
    fault_ = fault_of("fork");
    return;
  }
  if (pid_ == 0) {
    close_inherited(theirs.fd());
    if (become_nobody()) _exit(1);
    answer_questions(theirs);
  }
  channel_ = std::move(ours);
  gone_ = !loop_.watch(channel_.fd(), EPOLLIN, [this] { on_answer(); });
  if (gone_) fault_ = fault_of("epoll_ctl");
}

Resolver::~Resolver() {
  if (!gone_) loop_.unwatch(channel_.fd());
  if (pid_ > 0) kill(pid_, SIGKILL);
}

std::string Resolver::name_of(const IpAddress& address) {
  if (names_.size() >= kMostNames) names_.clear();
  const auto [at, unknown] = names_.try_emplace(address);
  if (unknown && (gone_ || channel_.send(address.bytes()) != Sent::kYes)) names_.erase(at);
  return unknown ? std::string() : at->second;
}

void Resolver::on_answer() {
  std::array<uint8_t, kLongestAnswer> answer;
  for (;;) {
    const Channel::Received received = channel_.receive(answer);
    if (received.kind == Channel::Received::Kind::kNothing) return;
    if (received.kind == Channel::Received::Kind::kClosed) {
      gone_ = true;
      return loop_.unwatch(channel_.fd());
    }
    if (received.length < kAddressBytes) continue;
    IpAddress::Bytes bytes;
    std::copy_n(answer.begin(), kAddressBytes, bytes.begin());
    const std::string_view name(reinterpret_cast<const char*>(answer.data()) + kAddressBytes,
                                received.length - kAddressBytes);
    const auto asked = names_.find(IpAddress(bytes));
    if (asked != names_.end()) asked->second = clean_host_name(name);
  }
}

}  // namespace knockd
