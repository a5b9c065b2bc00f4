// SPDX-License-Identifier: MIT
#include "knockd/fleet/daemon_link.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "knockd/base/text.h"
#include "knockd/control/control_path.h"
#include "knockd/control/json.h"

namespace knockd {
namespace {

constexpr Duration kFirstPause = std::chrono::milliseconds(100);
constexpr Duration kLongestPause = std::chrono::seconds(5);
// After this long without an answer, reconnects.
constexpr Duration kPatience = std::chrono::seconds(30);
constexpr Duration kBetweenRefusals = std::chrono::seconds(60);
// The daemon never sends longer lines.
constexpr size_t kLongestLine = size_t{64} << 20;  // bytes

}  // namespace

DaemonLink::DaemonLink(EventLoop& loop, Log& log, std::string path, Owner& owner)
    : loop_(loop),
      log_(log),
      path_(std::move(path)),
      owner_(owner),
      pause_(kFirstPause, kLongestPause),
      again_(loop, [this] { connect(); }),
      patience_(loop, [this] { lost("knockd does not answer"); }) {}

DaemonLink::~DaemonLink() {
  close(events_);
  close(requests_);
}

void DaemonLink::share(bool share) {
  share_ = share;
  send_next();
}

void DaemonLink::ask(DaemonRequest request) {
  if (!is_there_) return;
  queue_.add(std::move(request));
  send_next();
}

// --- Connecting ----------------------------------------------------------------------------------

void DaemonLink::connect() {
  close(events_);
  close(requests_);
  wants_status_ = true;
  is_shared_ = false;
  Status opened = open(events_);
  if (opened) opened = open(requests_);
  if (!opened) return lost(opened.error().text);
  events_.to_send = "events\n";
  if (!send(events_) || !watch(events_)) return lost(strerror(errno));
  // Two requests, so that the first answer comes after the beginning of the events.
  send_request(format("fleet-share\t%s", share_ ? "yes" : "no"), Awaited::kShare);
  is_shared_ = share_;
}

Status DaemonLink::open(Line& line) {
  const auto place = place_of_socket(path_);
  if (!place) return place.error();
  line = {UniqueFd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0))};
  if (!line.fd) return fault_of("socket");
  if (::connect(line.fd.get(), reinterpret_cast<const sockaddr*>(&place->address),
                sizeof(place->address)) == 0) {
    return {};
  }
  const int error = errno;
  line.fd.reset();
  if (error == EACCES || error == EPERM) {
    return Fault{path_ +
                 ": only the user that knockd runs as and the members of Control_Group "
                 "may ask"};
  }
  if (error == ENOENT || error == ECONNREFUSED) {
    return Fault{"knockd is not running, or not asked at " + path_};
  }
  return Fault{path_ + ": " + strerror(error)};
}

void DaemonLink::close(Line& line) {
  if (line.fd) loop_.unwatch(line.fd.get());
  line = {};
}

void DaemonLink::lost(const std::string& why) {
  close(events_);
  close(requests_);
  queue_.clear();
  untold_.clear();
  awaited_ = Awaited::kNothing;
  patience_.set(std::nullopt);
  again_.set(loop_.now() + pause_.next());
  if (pause_.is_worth_a_line()) log_.warning(printable(why));
  if (std::exchange(is_there_, false)) owner_.on_daemon_lost();
}

bool DaemonLink::watch(Line& line) {
  const uint32_t events = line.to_send.empty() ? uint32_t{EPOLLIN} : EPOLLIN | EPOLLOUT;
  return loop_.watch(line.fd.get(), events, [this, &line] { on_ready(line); });
}

// --- Reading and writing -------------------------------------------------------------------------

void DaemonLink::on_ready(Line& line) {
  if (!send(line) || !receive(line)) return on_gone(line);
  if (line.fd) watch(line);
}

// False: the connection is gone.
bool DaemonLink::send(Line& line) {
  while (!line.to_send.empty()) {
    const ssize_t sent = ::send(line.fd.get(), line.to_send.data(), line.to_send.size(),
                                MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) return errno == EAGAIN || errno == EINTR;
    line.to_send.erase(0, static_cast<size_t>(sent));
  }
  return true;
}

bool DaemonLink::receive(Line& line) {
  char buffer[65536];
  const ssize_t length = recv(line.fd.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
  if (length < 0) return errno == EAGAIN || errno == EINTR;
  if (length == 0) return false;
  size_t searched = line.received.size();
  line.received.append(buffer, static_cast<size_t>(length));
  const int fd = line.fd.get();
  size_t begin = 0;
  for (;;) {
    const size_t end = line.received.find('\n', std::max(begin, searched));
    if (end == std::string::npos) break;
    const std::string text = line.received.substr(begin, end - begin);
    begin = searched = end + 1;
    on_line(line, text);
    // Handling the line may have ended this connection.
    if (!line.fd || line.fd.get() != fd || line.received.size() < begin) return true;
  }
  line.received.erase(0, begin);
  return line.received.size() <= kLongestLine;
}

void DaemonLink::on_gone(Line& line) {
  // The daemon disconnects idle callers after some seconds; the next request reconnects.
  const bool is_idle = &line == &requests_ && awaited_ == Awaited::kNothing && !is_shared_;
  if (is_idle) return close(requests_);
  lost("knockd has ended");
}

void DaemonLink::on_line(Line& line, std::string_view text) {
  if (&line == &events_) {
    on_event_line(text);
  } else {
    on_answer(text);
  }
}

void DaemonLink::on_event_line(std::string_view text) {
  if (const auto refusal = parse_answer(text)) return lost("events: " + refusal->text);
  DaemonEvent event = parse_event(text);
  if (std::holds_alternative<DaemonReloaded>(event)) {
    wants_status_ = true;
    return send_next();
  }
  if (std::holds_alternative<std::monostate>(event)) return;
  // The status may or may not include it; handling it again after the status does no harm.
  if (wants_status_) return untold_.push_back(std::move(event));
  owner_.on_event(event);
}

// --- Requests ------------------------------------------------------------------------------------

void DaemonLink::on_answer(std::string_view text) {
  patience_.set(std::nullopt);
  const Awaited awaited = std::exchange(awaited_, Awaited::kNothing);
  if (awaited == Awaited::kStatus) return on_status(text);
  const auto answer = parse_answer(text);
  if (awaited == Awaited::kNothing || !answer) return lost("knockd gave an answer that is none");
  if (answer->status != 0 && awaited == Awaited::kShare) {
    return lost("knockd refuses: " + answer->text);
  }
  // Not logged: doors that are already closed and the like, repeated refusals, and floods of them.
  const bool is_news = answer->text != last_refusal_ && loop_.now() >= refusals_silent_until_;
  if (answer->status != 0 && asked_.starts_with("fleet-open") && is_news) {
    last_refusal_ = answer->text;
    refusals_silent_until_ = loop_.now() + kBetweenRefusals;
    log_.warning("knockd refuses: " + printable(answer->text));
  }
  send_next();
}

void DaemonLink::on_status(std::string_view text) {
  const auto status = parse_status(text);
  if (!status) return lost("knockd gave a status that is none");
  wants_status_ = false;
  pause_.reset();
  last_refusal_.clear();
  if (!std::exchange(is_there_, true)) log_.notice("following knockd at " + printable(path_));
  owner_.on_daemon(*status);
  for (const DaemonEvent& event : std::exchange(untold_, {})) owner_.on_event(event);
  send_next();
}

void DaemonLink::send_next() {
  if (awaited_ != Awaited::kNothing || !events_.fd) return;
  if (wants_status_) return send_request("status\tjson", Awaited::kStatus);
  if (share_ != is_shared_) {
    is_shared_ = share_;
    return send_request(format("fleet-share\t%s", share_ ? "yes" : "no"), Awaited::kShare);
  }
  while (const auto request = queue_.take()) {
    const auto text = request_text(*request, loop_.now());
    if (text) return send_request(*text, Awaited::kRequest);
  }
}

void DaemonLink::send_request(const std::string& text, Awaited awaited) {
  if (!requests_.fd) {
    if (Status opened = open(requests_); !opened) return lost(opened.error().text);
  }
  asked_ = text;
  awaited_ = awaited;
  requests_.to_send += text + '\n';
  patience_.set(loop_.now() + kPatience);
  if (!send(requests_) || !watch(requests_)) lost("knockd has ended");
}

}  // namespace knockd
