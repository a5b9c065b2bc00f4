// SPDX-License-Identifier: MIT
// Which messages a listener may send, after those it received: a message may have a valid form
// (message/messages.h) and still be one that no genuine listener sends.
#pragma once

#include <cstdint>
#include <vector>

#include "knockd/message/messages.h"
#include "knockd/message/settings.h"

namespace knockd {

// A listener reports once that it listens, or its trouble, and again for each new list of
// addresses. It answers each status request at most once. It explains packets only if configured.
// Its events are of the sequences that it received. After Trouble it only answers. Pure.
class Conversation {
 public:
  explicit Conversation(const ListenerSettings& settings);

  // To be called with each message to the listener, in order.
  void told(const ToListener& message);
  // Whether the listener may send this now. To be called with each received message, in order.
  bool allows(const FromListener& message);

 private:
  // The sequence in force of a door, which the listener has or will shortly receive.
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
