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
#include "knockd/base/text.h"

namespace knockd {
namespace {

// The most names kept; beyond that all are dropped, as old ones are of little use.
constexpr size_t kMostNames = 4096;
// A child that ends sooner continues the series of failures.
constexpr Duration kLongLife = std::chrono::minutes(1);
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

// The child: answers one question after the other, at the speed of name servers.
[[noreturn]] void answer_questions(const Channel& channel) {
  prctl(PR_SET_NAME, "knockd-lookup");
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // the change of user cleared it
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

Resolver::Resolver(EventLoop& loop, Log& log, std::function<void()> in_child)
    : loop_(loop),
      log_(log),
      in_child_(std::move(in_child)),
      process_(loop),
      pause_(std::chrono::milliseconds(100), std::chrono::minutes(1)),
      retry_(loop, [this] { start_again(); }) {}

Result<std::unique_ptr<Resolver>> Resolver::create(EventLoop& loop, Log& log,
                                                   std::function<void()> in_child) {
  std::unique_ptr<Resolver> resolver(new Resolver(loop, log, std::move(in_child)));
  if (const Status started = resolver->start(); !started) return started.error();
  return resolver;
}

Status Resolver::start() {
  started_ = loop_.now();
  return process_.start(
      [this](Channel channel) {
        in_child_();
        close_inherited(channel.fd());
        // A caller of `knockd -d` may read its output until all writers have closed it, also this
        // child.
        if (!discard_standard_streams() || !become_nobody() || !give_up_capabilities()) _exit(1);
        answer_questions(channel);
      },
      [this] { on_answer(); });
}

void Resolver::reaped(int status) {
  process_.reaped();
  process_.close();
  // Unanswered questions are asked again.
  std::erase_if(names_, [](const auto& entry) { return entry.second.empty(); });
  const Duration pause = count_failure();
  if (!pause_.is_worth_a_line()) return;
  log_.warning(end_line("the process that looks up names", status, pause_, pause));
}

void Resolver::start_again() {
  const Status started = start();
  if (started) return;
  count_failure();
  if (!pause_.is_worth_a_line()) return;
  log_.warning(format("no process could be had that looks up names: %s; trying again",
                      started.error().text.c_str()));
}

// Sets the time of the next try; returns the pause until then.
Duration Resolver::count_failure() {
  if (loop_.now() - started_ >= kLongLife) pause_.reset();
  const Duration pause = pause_.next();
  retry_.set(loop_.now() + pause);
  return pause;
}

std::string Resolver::name_of(const IpAddress& address) {
  if (names_.size() >= kMostNames) names_.clear();
  const auto [at, unknown] = names_.try_emplace(address);
  if (unknown && (!process_.is_open() || process_.channel().send(address.bytes()) != Sent::kYes)) {
    names_.erase(at);
  }
  return unknown ? std::string() : at->second;
}

void Resolver::on_answer() {
  std::array<uint8_t, kLongestAnswer> answer;
  for (;;) {
    const Channel::Received received = process_.channel().receive(answer);
    if (received.kind == Channel::Received::Kind::kNothing) return;
    if (received.kind == Channel::Received::Kind::kClosed) {
      // The child has ended or is useless; its status is known once it was reaped.
      process_.close();
      return process_.kill();
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
