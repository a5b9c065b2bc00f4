// SPDX-License-Identifier: MIT
// The readers of values of knockd.conf(5), for the table of directives. Each stores the value in
// the draft, or adds an error that says what was expected.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "knockd/base/clock.h"
#include "knockd/config/draft.h"
#include "knockd/knock/admission.h"

namespace knockd {

// For these the table names the member that gets the value.
void read_number(Draft& draft, const Value& value, uint64_t least, uint64_t most, uint32_t& result);
void read_time(Draft& draft, const Value& value, int64_t least, Duration& result);
void read_switch(Draft& draft, const Value& value, bool& result);
void read_set(Draft& draft, const Value& value, std::optional<SetName>& result);
// A path, unchanged. Adds an error and returns false if it has control bytes.
bool read_path(Draft& draft, const Value& value, std::string& result);
// The path of a file that the daemon uses later, perhaps after leaving its working directory.
bool read_file_name(Draft& draft, const Value& value, std::string& result);

// Each for one directive of [options].
void read_control(Draft& draft, const Value& value);
void read_control_group(Draft& draft, const Value& value);
void read_interfaces(Draft& draft, const Value& value);
void read_shutdown(Draft& draft, const Value& value);
void read_state_file(Draft& draft, const Value& value);
void read_table(Draft& draft, const Value& value);

// Each for one directive of a door.
void read_one_time_sequences(Draft& draft, const Value& value);
void read_open(Draft& draft, const Value& value);
void read_prefixes(Draft& draft, const Value& value);
void read_reknock(Draft& draft, const Value& value);
void read_secrets(Draft& draft, const Value& value);
void read_sequence(Draft& draft, const Value& value);
void read_target(Draft& draft, const Value& value);
void read_tcp_flags(Draft& draft, const Value& value);

}  // namespace knockd
