// SPDX-License-Identifier: MIT
// Valid values that hardly mean what was intended: quotes that become part of a path, %ip% in a
// command. Remarks for -t.
#pragma once

#include "knockd/config/draft.h"

namespace knockd {

void remark_on_value(Draft& draft, const Value& value);
void remark_on_command(Draft& draft, const Value& value);

}  // namespace knockd
