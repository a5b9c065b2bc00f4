// SPDX-License-Identifier: MIT
// What one listener may say, after what it was told: a message may have a sound form
// (message/messages.h) and yet be one that no listener of ours sends.
#pragma once

#include <cstdint>
#include <vector>

#include "knockd/message/messages.h"
#include "knockd/message/settings.h"

namespace knockd {

// A listener reports once that it listens, or its trouble; again for each new list of addresses. It
// answers questions for its status, each once at most. It explains only if it is to. Its events are
// of the sequences that it was given. After Trouble it only answers. Pure.
class Conversation {
 public:
  explicit Conversation(const ListenerSettings& settings);

  // What the listener is told, in this order.
  void told(const ToListener& message);
  // Whether the listener may say this now. Each message that came, in its order.
  bool allows(const FromListener& message);

 private:
  // The sequence of a door that is in force, as the listener will know in a moment.
  struct Current {
    uint32_t generation = 0;
    size_t knocks = 0;
  };

  void note(const AddressPart& part) { listening_due_ += part.last; }
  void note(const NextSequence& next);
  void note(const CodesPart& part);
  void note(const StatusRequest&) { ++status_due_; }

  bool may_say(const Listening&);
  bool may_say(const KnockEvent& event) const;
  bool may_say(const Explanation& explanation) const;
  bool may_say(const LeftOut&) const { return listens_; }
  bool may_say(const Trouble& trouble);
  bool may_say(const ListenerStatus&);
  bool may_say(const DoorCounts& counts);
  bool is_of_family(const IpAddress& address) const { return !only_v4_ || address.is_v4(); }

  const bool only_v4_;
  const bool explain_;
  std::vector<Current> doors_;
  bool listens_ = false;
  bool ended_ = false;
  uint64_t listening_due_ = 1;
  uint64_t status_due_ = 0;
  uint64_t counts_said_ = 0;  // of doors, since the last answer
};

}  // namespace knockd
