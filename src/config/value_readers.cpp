// SPDX-License-Identifier: MIT
#include "knockd/config/value_readers.h"

#include <string.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <variant>
#include <vector>

#include "knockd/base/text.h"
#include "knockd/config/one_time_file.h"
#include "knockd/config/values.h"
#include "knockd/knock/nft_name.h"

namespace knockd {
namespace {

void unexpected(Draft& draft, const Value& value) {
  draft.error(value.place, std::string(value.key) + ' ' + in_quotes(value.text) + ": expected " +
                               std::string(value.expects));
}

void read_fault(Draft& draft, const Value& value, const TextFault& fault) {
  Place place = value.place;
  place.column += static_cast<int>(fault.offset);
  draft.error(place, fault.message);
}

// A name that nft(8) refuses gets its own error.
bool is_free(Draft& draft, const Value& value, std::string_view name) {
  if (!is_nft_word(name)) return true;
  draft.error(value.place, std::string(value.key) + ": " + in_quotes(name) +
                               " is a word of nft's language, expected another name");
  return false;
}

}  // namespace

bool read_path(Draft& draft, const Value& value, std::string& result) {
  if (find_control_byte(value.text) != value.text.npos) {
    draft.error(value.place, std::string(value.key) + ' ' + in_quotes(value.text) +
                                 ": expected a path without control bytes");
    return false;
  }
  result = value.text;
  return true;
}

void read_number(Draft& draft, const Value& value, uint64_t least, uint64_t most,
                 uint32_t& result) {
  const auto number = parse_number(value.text, most);
  if (!number || *number < least) return unexpected(draft, value);
  result = static_cast<uint32_t>(*number);
}

void read_time(Draft& draft, const Value& value, int64_t least, Duration& result) {
  const auto time = parse_time(value.text, kLongestTime);
  if (!time || *time < std::chrono::seconds(least)) return unexpected(draft, value);
  result = *time;
}

void read_switch(Draft& draft, const Value& value, bool& result) {
  const bool is_yes = equals_ignoring_case(value.text, "yes");
  if (!is_yes && !equals_ignoring_case(value.text, "no")) return unexpected(draft, value);
  result = is_yes;
}

void read_interfaces(Draft& draft, const Value& value) {
  auto result = parse_interface_list(value.text);
  if (const auto* fault = std::get_if<TextFault>(&result)) return read_fault(draft, value, *fault);
  auto& list = std::get<InterfaceList>(result);
  for (const TextFault& left_out : list.remarks) {
    Place place = value.place;
    place.column += static_cast<int>(left_out.offset);
    draft.remark(place, left_out.message);
  }
  draft.config.interfaces = std::move(list.names);
}

bool read_file_name(Draft& draft, const Value& value, std::string& result) {
  std::string path;
  if (!read_path(draft, value, path)) return false;
  result = draft.files.path_of(path);
  return true;
}

void read_state_file(Draft& draft, const Value& value) {
  if (equals_ignoring_case(value.text, "none")) {
    draft.config.state_file.clear();
  } else {
    read_file_name(draft, value, draft.config.state_file);
  }
}

void read_control(Draft& draft, const Value& value) {
  if (equals_ignoring_case(value.text, "none")) {
    draft.config.control = "";
  } else if (std::string path; read_file_name(draft, value, path)) {
    draft.config.control = std::move(path);
  }
}

void read_control_group(Draft& draft, const Value& value) {
  const bool is_name = !value.text.empty() && find_control_byte(value.text) == value.text.npos &&
                       value.text.find_first_of(": ,") == value.text.npos;
  if (!is_name) return unexpected(draft, value);
  draft.config.control_group = value.text;
}

void read_shutdown(Draft& draft, const Value& value) {
  if (equals_ignoring_case(value.text, "close")) {
    draft.config.shutdown = Shutdown::kClose;
  } else if (equals_ignoring_case(value.text, "keep")) {
    draft.config.shutdown = Shutdown::kKeep;
  } else {
    unexpected(draft, value);
  }
}

void read_reknock(Draft& draft, const Value& value) {
  if (equals_ignoring_case(value.text, "run")) {
    draft.door.reknock = Reknock::kRun;
  } else if (equals_ignoring_case(value.text, "extend")) {
    draft.door.reknock = Reknock::kExtend;
  } else if (equals_ignoring_case(value.text, "ignore")) {
    draft.door.reknock = Reknock::kIgnore;
  } else {
    unexpected(draft, value);
  }
}

void read_sequence(Draft& draft, const Value& value) {
  auto result = parse_coded_sequence(value.text);
  if (const auto* fault = std::get_if<TextFault>(&result)) return read_fault(draft, value, *fault);
  auto& [sequence, places] = std::get<CodedSequence>(result);
  draft.door.rule.sequence = std::move(sequence);
  draft.door.rule.places = places;
}

// An error in the file is reported with its place, but never quotes the line.
void read_secrets(Draft& draft, const Value& value) {
  std::string& file = draft.door.secrets_file;
  draft.door.users.clear();
  if (!read_file_name(draft, value, file)) return;
  auto text = draft.files.read_secrets(file);
  if (!text) {
    return draft.error(value.place, "file " + in_quotes(file) + ": " + text.error().text);
  }
  auto result = parse_secrets(*text);
  wipe(*text);
  if (const auto* fault = std::get_if<SecretsFault>(&result)) {
    return draft.error({file, fault->line, 0, true}, fault->message);
  }
  draft.door.users = std::move(std::get<std::vector<User>>(result));
}

void read_one_time_sequences(Draft& draft, const Value& value) {
  if (!read_file_name(draft, value, draft.door.one_time_file)) return;
  const auto text = draft.files.read(draft.door.one_time_file);
  if (const auto* failure = std::get_if<ConfigFiles::Failure>(&text)) {
    return draft.error(value.place, "one-time file " + in_quotes(value.text) +
                                        " cannot be read: " + strerror(failure->error));
  }
  auto in_force = sequences_in_force(std::get<std::string>(text));
  draft.door.sequences_ahead.clear();
  if (in_force.empty()) {
    // Every list is used up some day; that is no reason to refuse the other doors.
    draft.door.rule.sequence.clear();
    return draft.remark(value.place,
                        "one-time file " + in_quotes(value.text) +
                            " is exhausted, so the door is disabled: expected a line like "
                            "7000,8000:udp,9000");
  }
  draft.door.rule.sequence = std::move(in_force.front());
  draft.door.sequences_ahead.assign(in_force.begin() + 1, in_force.end());
}

void read_tcp_flags(Draft& draft, const Value& value) {
  const auto result = parse_tcp_flags(value.text);
  if (const auto* fault = std::get_if<TextFault>(&result)) return read_fault(draft, value, *fault);
  draft.door.rule.flags = std::get<FlagMask>(result);
}

void read_target(Draft& draft, const Value& value) {
  draft.door.rule.target = IpAddress::parse(value.text);
  if (!draft.door.rule.target) unexpected(draft, value);
}

void read_open(Draft& draft, const Value& value) {
  auto result = parse_sequence(value.text);
  if (const auto* fault = std::get_if<TextFault>(&result)) return read_fault(draft, value, *fault);
  std::vector<Knock>& open = draft.door.open;
  open.clear();
  for (const Knock& port : std::get<Sequence>(result)) {
    if (std::ranges::find(open, port) == open.end()) open.push_back(port);
  }
}

void read_set(Draft& draft, const Value& value, std::optional<SetName>& result) {
  const std::vector<std::string_view> words = split_words(value.text);
  if (words.size() == 3 && !(is_free(draft, value, words[1]) && is_free(draft, value, words[2]))) {
    return;
  }
  result = parse_set_name(value.text);
  if (!result) unexpected(draft, value);
}

void read_table(Draft& draft, const Value& value) {
  // File names contain it, too.
  constexpr size_t kMostLength = 200;
  if (!is_free(draft, value, value.text)) return;
  if (!is_nft_name(value.text) || value.text.find('/') != value.text.npos ||
      value.text.size() > kMostLength) {
    return unexpected(draft, value);
  }
  draft.config.table = value.text;
}

void read_prefixes(Draft& draft, const Value& value) {
  const size_t blank = std::min(value.text.find_first_of(" \t"), value.text.size());
  const auto v4 = parse_number(value.text.substr(0, blank), 32);
  const auto v6 = parse_number(trim(value.text.substr(blank)), 128);
  if (!v4 || *v4 == 0 || !v6 || *v6 == 0) return unexpected(draft, value);
  draft.door.prefix_v4 = static_cast<uint8_t>(kMappedBits + *v4);
  draft.door.prefix_v6 = static_cast<uint8_t>(*v6);
}

}  // namespace knockd
