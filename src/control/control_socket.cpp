// SPDX-License-Identifier: MIT
#include "knockd/control/control_socket.h"

#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "knockd/base/file_calls.h"
#include "knockd/base/text.h"
#include "knockd/control/control_path.h"
#include "knockd/control/json.h"
#include "knockd/control/request.h"

namespace knockd {
namespace {

// Callers that wait in the kernel; limited by net.core.somaxconn.
constexpr int kBacklog = 1024;
// Bytes read from a caller in a turn.
constexpr size_t kChunk = 4096;
constexpr Duration kPauseWithoutRoom = std::chrono::seconds(1);

// Whether a daemon serves it; otherwise a crash has left it.
bool is_in_use(const SocketPlace& place) {
  const UniqueFd call(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return call && (connect(call.get(), reinterpret_cast<const sockaddr*>(&place.address),
                          sizeof(place.address)) == 0 ||
                  errno != ECONNREFUSED);
}

Result<std::optional<gid_t>> find_group(const std::string& name) {
  if (name.empty()) return std::optional<gid_t>();
  const group* const found = getgrnam(name.c_str());
  if (found == nullptr) return Fault{"no group is called " + printable(name)};
  return std::optional(found->gr_gid);
}

}  // namespace

struct ControlSocket::Call {
  UniqueFd fd;
  uid_t user = 0;
  std::string in;      // an incomplete line
  std::string out;     // unsent
  size_t sent = 0;     // of `out`
  bool asked = false;  // unanswered
  bool follows = false;
  bool ends = false;  // once all is sent
  bool was_answered = false;
  Instant came;
  Instant since;  // of waiting for a line, or for the caller to read

  size_t behind() const { return out.size() - sent; }
};

ControlSocket::ControlSocket(EventLoop& loop, Owner& owner)
    : loop_(loop), owner_(owner), impatience_(loop, [this] { send_away(); }) {}

ControlSocket::~ControlSocket() { close(); }

// --- The socket ----------------------------------------------------------------------------------

Status ControlSocket::open(const std::string& path, const std::string& group) {
  close();
  if (Status bound = bind(path, group); !bound) {
    listening_.reset();
    lock_.give_back();
    return bound;
  }
  path_ = path;
  listen_if_room();
  return {};
}

// Creates one folder if it is missing. Only the daemon's user and the group may enter it.
Status ControlSocket::make_folder(const std::string& path, std::optional<gid_t> group) {
  const std::string folder = folder_of(path);
  members_may_enter_ = true;
  if (mkdir(folder.c_str(), 0700) == 0) {
    made_folder_ = folder;
  } else if (errno != EEXIST) {
    return fault_of(folder.c_str());
  }
  // Does not change a folder that already existed.
  if (folder != made_folder_ && folder != kControlFolder) {
    struct stat there {};
    if (!group || stat(folder.c_str(), &there) != 0) return {};
    const mode_t needed = there.st_gid == *group ? S_IXGRP : S_IXOTH;
    members_may_enter_ = (there.st_mode & needed) != 0;
    return {};
  }
  if (group && chown(folder.c_str(), static_cast<uid_t>(-1), *group) != 0) {
    return fault_of(folder.c_str());
  }
  if (chmod(folder.c_str(), group ? 0750 : 0700) != 0) return fault_of(folder.c_str());
  return {};
}

Status ControlSocket::bind(const std::string& path, const std::string& group) {
  const auto members = find_group(group);
  if (!members) return members.error();
  if (Status made = make_folder(path, *members); !made) return made;
  // Locked while the daemon runs, so that two detect each other whatever a crash left.
  const LockFile::Outcome lock = lock_.take(path + ".lock", 0600);
  if (lock == LockFile::Outcome::kOthers) return Fault{path + " is another knockd's"};
  if (lock == LockFile::Outcome::kUnusable) return fault_of((path + ".lock").c_str());
  const auto place = place_of_socket(path);
  if (!place) return place.error();
  struct stat there {};
  if (lstat(path.c_str(), &there) == 0) {
    if (!S_ISSOCK(there.st_mode)) return Fault{path + " is there and is no socket"};
    if (is_in_use(*place)) return Fault{path + " is the socket of another program"};
    if (unlink(path.c_str()) != 0) return fault_of(path.c_str());
  }
  listening_.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listening_) return fault_of("socket");
  const mode_t mask = umask(0177);
  const int bound = ::bind(listening_.get(), reinterpret_cast<const sockaddr*>(&place->address),
                           sizeof(place->address));
  const int why = errno;
  umask(mask);
  errno = why;
  if (bound != 0) return fault_of(path.c_str());
  if (*members && (chown(path.c_str(), static_cast<uid_t>(-1), **members) != 0 ||
                   chmod(path.c_str(), 0660) != 0)) {
    const Fault fault = fault_of(path.c_str());
    unlink(path.c_str());
    return fault;
  }
  if (lstat(path.c_str(), &made_) != 0) return fault_of(path.c_str());
  if (listen(listening_.get(), kBacklog) != 0) return fault_of("listen");
  return {};
}

bool ControlSocket::is_there() const {
  struct stat there {};
  return !path_.empty() && lstat(path_.c_str(), &there) == 0 && is_same_file(there, made_);
}

void ControlSocket::close() {
  while (!calls_.empty()) hang_up(calls_.begin()->first);
  if (path_.empty()) return;
  loop_.unwatch(listening_.get());
  if (is_there()) unlink(path_.c_str());
  listening_.reset();
  lock_.give_back();
  path_.clear();
}

// --- Callers -------------------------------------------------------------------------------------

void ControlSocket::listen_if_room() {
  if (!listening_) return;
  if (is_full() || deaf_until_) {
    loop_.unwatch(listening_.get());
  } else {
    loop_.watch(listening_.get(), EPOLLIN, [this] { on_connection(); });
  }
}

void ControlSocket::on_connection() {
  while (!is_full()) {
    UniqueFd fd(accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) {
      // Without a free descriptor the loop would report the caller again at once.
      if (errno != EAGAIN && errno != ECONNABORTED) deaf_until_ = loop_.now() + kPauseWithoutRoom;
      break;
    }
    ucred peer{};
    socklen_t length = sizeof(peer);
    if (getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) continue;
    auto call = std::make_unique<Call>();
    call->fd = std::move(fd);
    call->user = peer.uid;
    call->came = call->since = loop_.now();
    const Caller caller = ++last_;
    watch(caller, *(calls_[caller] = std::move(call)));
  }
  listen_if_room();
  set_alarm();
}

// During a request only for the caller's end, which epoll always reports.
void ControlSocket::watch(Caller caller, Call& call) {
  const bool hears = !call.asked && (call.follows || call.behind() == 0);
  const uint32_t events = (hears ? EPOLLIN : 0u) | (call.behind() != 0 ? EPOLLOUT : 0u);
  loop_.watch(call.fd.get(), events, [this, caller] { on_ready(caller); });
}

void ControlSocket::on_ready(Caller caller) {
  const auto found = calls_.find(caller);
  if (found == calls_.end()) return;
  Call& call = *found->second;
  if (call.asked || !flush(call) || has_had_its_turn(caller, call)) return hang_up(caller);
  if ((call.follows || call.behind() == 0) && !hear(caller, call)) return hang_up(caller);
  watch(caller, call);
  set_alarm();
}

// Whether this caller, after repeated requests, must leave its place to one that is waiting.
bool ControlSocket::has_had_its_turn(Caller caller, const Call& call) const {
  return call.was_answered && call.behind() == 0 && is_full() && !call.follows && !stays(caller) &&
         loop_.now() >= call.came + kShortPatience;
}

// Reads from the caller and handles a complete request. False: the caller is gone.
bool ControlSocket::hear(Caller caller, Call& call) {
  if (call.in.find('\n') == std::string::npos) {
    char buffer[kChunk];
    const ssize_t length = recv(call.fd.get(), buffer, sizeof(buffer), 0);
    if (length == 0) return false;
    if (length < 0) return errno == EAGAIN || errno == EINTR;
    if (call.follows) return true;  // ignores what followers send
    call.in.append(buffer, static_cast<size_t>(length));
  }
  const size_t end = call.in.find('\n');
  if (end == std::string::npos && call.in.size() <= kLongestRequest) return true;
  call.asked = true;
  if (end > kLongestRequest) {
    call.ends = true;
    answer(caller, to_json(Answer{1, "the request is too long"}));
    return true;
  }
  const std::string line = call.in.substr(0, end);
  call.in.erase(0, end + 1);
  owner_.on_request(caller, call.user, line);
  return true;
}

void ControlSocket::answer(Caller caller, std::string_view line) {
  const auto found = calls_.find(caller);
  if (found == calls_.end()) return;
  Call& call = *found->second;
  call.asked = false;
  call.was_answered = true;
  call.out += line;
  call.out += '\n';
  call.since = loop_.now();
  watch(caller, call);  // the loop sends it, so that no caller is removed during answer()
  set_alarm();
}

// Sends as much as fits. False: the caller is gone, or must go.
bool ControlSocket::flush(Call& call) {
  while (call.behind() != 0) {
    const ssize_t sent =
        send(call.fd.get(), call.out.data() + call.sent, call.behind(), MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN || errno == EINTR;
    call.sent += static_cast<size_t>(sent);
    call.since = loop_.now();
  }
  call.out.clear();
  call.out.shrink_to_fit();
  call.sent = 0;
  return !call.ends;
}

bool ControlSocket::follow(Caller caller) {
  const auto found = calls_.find(caller);
  if (found == calls_.end()) return true;
  if (followers_ == kMostFollowers || stays(caller)) return false;
  found->second->follows = true;
  found->second->asked = false;
  ++followers_;
  watch(caller, *found->second);
  listen_if_room();
  return true;
}

bool ControlSocket::let_stay(Caller caller) {
  if (staying_ != 0 && staying_ != caller) return false;
  staying_ = caller;
  listen_if_room();
  return true;
}

void ControlSocket::tell(std::string_view line, std::string_view overrun) {
  for (auto& [caller, call] : calls_) {
    if (!call->follows || call->ends) continue;
    call->ends = call->behind() + line.size() > kMostBehind;
    call->since = loop_.now();
    // A reader that never catches up costs no more than its unsent part.
    if (call->sent > call->behind()) call->out.erase(0, std::exchange(call->sent, 0));
    call->out += call->ends ? overrun : line;
    call->out += '\n';
    watch(caller, *call);
  }
  set_alarm();
}

void ControlSocket::hang_up(Caller caller) {
  auto gone = calls_.extract(caller);
  flush(*gone.mapped());
  if (gone.mapped()->follows) --followers_;
  loop_.unwatch(gone.mapped()->fd.get());
  owner_.on_gone(caller);
  if (stays(caller)) staying_ = 0;
  listen_if_room();
}

// --- Impatience ----------------------------------------------------------------------------------

void ControlSocket::send_away() {
  if (deaf_until_ && *deaf_until_ <= loop_.now()) deaf_until_.reset();
  std::vector<Caller> tiresome;  // all of them, even if the first makes room
  for (const auto& [caller, call] : calls_) {
    const auto end = end_of_patience(caller, *call);
    if (end && *end <= loop_.now()) tiresome.push_back(caller);
  }
  for (const Caller caller : tiresome) hang_up(caller);
  listen_if_room();
  set_alarm();
}

// Nothing for a caller that may wait without limit.
std::optional<Instant> ControlSocket::end_of_patience(Caller caller, const Call& call) const {
  if (call.asked || (call.follows && !call.ends)) return std::nullopt;
  if (stays(caller) && call.behind() == 0) return std::nullopt;
  return call.since + (is_full() && !call.follows ? kShortPatience : kPatience);
}

void ControlSocket::set_alarm() {
  std::optional<Instant> next = deaf_until_;
  for (const auto& [caller, call] : calls_) {
    const auto end = end_of_patience(caller, *call);
    if (end) next = std::min(next.value_or(Instant::max()), *end);
  }
  impatience_.set(next);
}

}  // namespace knockd
