// SPDX-License-Identifier: MIT
#include "knockd/keeper/conversation.h"

#include <variant>

namespace knockd {

Conversation::Conversation(const ListenerSettings& settings)
    : only_v4_(settings.only_v4), explain_(settings.explain), doors_(settings.doors.size()) {
  for (size_t i = 0; i < doors_.size(); ++i) {
    doors_[i].knocks = settings.doors[i].sequence.size();
    if (i < settings.generations.size()) doors_[i].generation = settings.generations[i];
  }
}

void Conversation::told(const ToListener& message) {
  std::visit([this](const auto& body) { note(body); }, message);
}

bool Conversation::allows(const FromListener& message) {
  return (!ended_ || is_answer(message)) &&
         std::visit([this](const auto& body) { return may_say(body); }, message);
}

void Conversation::note(const NextSequence& next) {
  if (next.door < doors_.size()) doors_[next.door] = {next.generation, next.count};
}

void Conversation::note(const CodesPart& part) {
  if (part.door < doors_.size()) doors_[part.door].generation = part.generation;
}

bool Conversation::may_say(const Listening&) {
  if (listening_due_ == 0) return false;
  --listening_due_;
  listens_ = true;
  return true;
}

bool Conversation::may_say(const KnockEvent& event) const {
  if (!listens_ || event.door >= doors_.size()) return false;
  // The destination is set only with a packet; a timeout has none.
  const bool timeout = event.kind == EventKind::kTimeout;
  if (!is_of_family(event.source) || (!timeout && !is_of_family(event.destination))) return false;
  const Current& current = doors_[event.door];
  // The listener may not have the newest sequence yet, but cannot have a future one.
  if (event.generation != current.generation) return event.generation < current.generation;
  return event.kind == EventKind::kOpen ? event.stage == current.knocks
                                        : event.stage < current.knocks;
}

bool Conversation::may_say(const Explanation& explanation) const {
  return listens_ && explain_ && is_of_family(explanation.packet.source);
}

bool Conversation::may_say(const Trouble& trouble) {
  ended_ = true;
  if (!listens_) return true;
  // All other trouble occurs before it listens.
  return trouble.kind == CaptureTrouble::kNoDevice || trouble.kind == CaptureTrouble::kDown;
}

bool Conversation::may_say(const ListenerStatus&) {
  if (!listens_ || status_due_ == 0) return false;
  --status_due_;
  counts_said_ = 0;
  return true;
}

// At most one for each door.
bool Conversation::may_say(const DoorCounts& counts) {
  if (!listens_ || status_due_ == 0) return false;
  counts_said_ += counts.count;
  return counts_said_ <= doors_.size();
}

}  // namespace knockd
