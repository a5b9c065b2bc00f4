// SPDX-License-Identifier: MIT
// Output for others to knock with: a page for any browser, and a file for an app. Both contain the
// knocks of one door, the page also the secret of one user.
#pragma once

#include <string>

#include "knockd/client/failure.h"
#include "knockd/client/options.h"
#include "knockd/knock/code_places.h"

namespace knockd::client {

struct Handout {
  std::string host;  // a name or an address
  std::string name;  // of the door, for people; may be anything
  Family family = Family::kAny;
  CodedSequence sequence;
  std::string secret;  // in base32, if the sequence has places for a code
};

// A page that needs no other file and connects only to the host. Fails if browsers cannot send some
// knocks, and names those.
OrFailure<std::string> knock_page(const Handout& handout);

// The import file of the Android app Knock on Ports, in its version 1 (a JSON object). The app
// computes no codes.
OrFailure<std::string> knock_on_ports_file(const Handout& handout, Duration delay);

}  // namespace knockd::client
