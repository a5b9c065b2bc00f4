// SPDX-License-Identifier: MIT
#include "knockd/keeper/listener_process.h"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <utility>

namespace knockd {
namespace {

// The longest time for reading listeners in a turn: one that never stops must not delay others,
// ended commands and signals.
constexpr Duration kLongestRead = std::chrono::milliseconds(10);
// Messages between two reads of the clock; also the least read of each listener in each turn.
constexpr int kMessagesInARow = 16;
// The most messages that wait for a listener. A working one reads them at once.
constexpr size_t kMostUnsent = 8192;

}  // namespace

ListenerProcess::ListenerProcess(EventLoop& loop, const ListenerSettings& settings, Owner& owner)
    : loop_(loop),
      owner_(owner),
      doors_(settings.doors.size()),
      conversation_(settings),
      process_(loop) {}

Result<std::unique_ptr<ListenerProcess>> ListenerProcess::create(EventLoop& loop,
                                                                 const ListenerSettings& settings,
                                                                 ListenerEntry entry,
                                                                 Owner& owner) {
  std::unique_ptr<ListenerProcess> listener(new ListenerProcess(loop, settings, owner));
  // The channel must stay open until the process has ended: closing it gets the process killed.
  const Status started = listener->process_.start(
      [&](Channel channel) {
        owner.in_child();
        _exit(entry(settings, std::move(channel)));
      },
      [listener = listener.get()] { listener->on_channel(); });
  if (!started) return started.error();
  return listener;
}

void ListenerProcess::send(const ToListener& message) {
  if (!process_.is_open() || misbehaved_) return;
  conversation_.told(message);
  if (unsent_.size() == kMostUnsent) {
    misbehaved_ = true;
    unsent_.clear();
    process_.kill();  // the channel then reports its end
    return;
  }
  const bool was_empty = unsent_.empty();
  unsent_.push_back(encode(message));
  if (was_empty && !flush()) process_.await_room(true);
}

// Returns whether everything is sent.
bool ListenerProcess::flush() {
  while (!unsent_.empty()) {
    if (process_.channel().send(unsent_.front()) == Sent::kFull) return false;
    unsent_.pop_front();
  }
  return true;
}

void ListenerProcess::on_channel() {
  if (!unsent_.empty() && flush()) process_.await_room(false);
  std::array<uint8_t, kLongestMessage> buffer;
  for (int i = 1;
       process_.is_open() && (i % kMessagesInARow != 0 || loop_.time_in_turn() < kLongestRead);
       ++i) {
    const Channel::Received received = process_.channel().receive(buffer);
    if (received.kind == Channel::Received::Kind::kNothing) return;
    if (received.kind == Channel::Received::Kind::kMessage) {
      const auto message =
          decode_from_listener(std::span<const uint8_t>(buffer.data(), received.length), doors_);
      misbehaved_ |= !message || !conversation_.allows(*message);
      if (!misbehaved_) {
        owner_.on_message(*this, *message);
        continue;
      }
    }
    process_.close();
    // A listener that closed its end or sent garbage is useless, too.
    process_.kill();
    return report_end();
  }
}

void ListenerProcess::reaped(int status) {
  process_.reaped();
  status_ = status;
  report_end();
}

// Called when the channel was read to its end and the exit status is known. The status of a process
// killed here is known at once.
void ListenerProcess::report_end() {
  if (process_.is_open() || (!status_ && !misbehaved_) || std::exchange(end_reported_, true))
    return;
  owner_.on_gone(*this, status_.value_or(SIGKILL));
}

}  // namespace knockd
