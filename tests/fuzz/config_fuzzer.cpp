// fuzzes: lint config
// longest: 4096
// SPDX-License-Identifier: MIT
// Any text is either refused with errors that are safe to print, or gives a configuration with
// valid values. The input after two NUL bytes is the text of every file that the configuration
// names.
#include <errno.h>
#include <stdlib.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "knockd/config/door_codes.h"
#include "knockd/config/excerpt.h"
#include "knockd/config/parser.h"
#include "knockd/config/values.h"
#include "knockd/lint/check.h"

namespace {

using namespace knockd;

constexpr std::string_view kSeparator("\0\0", 2);

class SameTextEverywhere : public ConfigFiles {
 public:
  explicit SameTextEverywhere(std::string_view text) : text_(text) {}

  Text read(const std::string&) override {
    if (++reads_ > kMost) return Failure{ENOENT};
    return std::string(text_);
  }
  Result<std::string> read_secrets(const std::string&) override {
    return ++reads_ > kMost ? Result<std::string>(Fault{"cannot be read"}) : std::string(text_);
  }
  std::vector<std::string> matching(const std::string&) override { return {"a", "b"}; }

 private:
  static constexpr int kMost = 20;  // bounds the time of an input

  std::string_view text_;
  int reads_ = 0;
};

class Nowhere : public Surroundings {
  bool has_program(const std::string&) const override { return false; }
  std::optional<unsigned> file_mode(const std::string&) const override { return 0666; }
  bool has_interface(const std::string&) const override { return false; }
  bool has_group(const std::string&) const override { return false; }
  std::string iptables_chain(const std::string&, const std::string& chain) const override {
    return "-P " + chain + " ACCEPT\n-A " + chain + " -p tcp -m tcp --dport 22 -j DROP\n";
  }
  bool is_clock_in_sync() const override { return false; }
  std::optional<std::string> ruleset() const override {
    return "table inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter; "
           "policy drop;\n\t}\n}\n";
  }
  std::vector<std::string> other_entrances() const override { return {"eth9"}; }
};

void demand(bool promise) {
  if (!promise) abort();
}

// The text as it is printed; tabs are kept.
void demand_safe(std::string shown) {
  std::erase(shown, '\t');
  demand(find_control_byte(shown) == std::string::npos);
}

void demand_safe(const Complaint& complaint, std::string_view text) {
  demand(find_control_byte(complaint.to_string()) == std::string::npos);
  demand_safe(visible(complaint.write));
  // The caret is within the line.
  const auto lines = excerpt(text.substr(0, text.find('\n')), complaint.place.column);
  for (const std::string& line : lines) demand_safe(line);
  demand(lines.empty() || lines[1].size() <= lines[0].size() + 1);
}

void demand_sound(const Config& config) {
  demand(config.bounds.max_sources >= 16 && config.bounds.scan_limit <= 64 &&
         config.bounds.log_rate <= 1000000);
  for (const std::string& name : config.interfaces) demand(!name.empty() && name.size() < 16);
  for (const Door& door : config.doors) {
    demand(!door.name.empty() && find_control_byte(door.name) == std::string::npos);
    demand(!door.rule.sequence.empty() || !door.one_time_file.empty());
    demand(door.rule.sequence.size() <= kMaxKnocks);
    demand(door.has_codes() == !door.users.empty() && door.rule.codes.empty());
    for (const Code& code : codes_of(door, 59666666)) {
      for (size_t n = 0; n < door.rule.places.count(); ++n) demand(code.ports[n] != 0);
    }
    demand((door.rule.flags.wanted & door.rule.flags.excluded) == 0);
    demand(door.rule.seq_timeout >= std::chrono::seconds(1));
    demand(door.start_command.find('\0') == std::string::npos);
    for (const Knock& knock : door.rule.sequence) demand(knock.port != 0);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(input.find(kSeparator), input.size());
  SameTextEverywhere files(input.substr(std::min(end + kSeparator.size(), input.size())));
  const auto config = parse_config(input.substr(0, end), "knockd.conf", files);
  if (config) {
    demand_sound(*config);
    for (const Complaint& warning : check(*config, Nowhere())) demand_safe(warning, input);
  } else {
    demand(!config.error().complaints.empty());
    for (const Complaint& complaint : config.error().complaints) demand_safe(complaint, input);
  }
  return 0;
}
