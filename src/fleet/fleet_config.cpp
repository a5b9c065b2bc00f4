// SPDX-License-Identifier: MIT
#include "knockd/fleet/fleet_config.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <utility>

#include "knockd/base/guarded_file.h"
#include "knockd/base/name.h"
#include "knockd/base/nearest_word.h"
#include "knockd/base/text.h"
#include "knockd/config/values.h"
#include "knockd/control/control_path.h"

namespace knockd {
namespace {

constexpr size_t kLongestDoor = 200;       // as in knockd.conf
constexpr size_t kLongestPassword = 4096;  // bytes
constexpr size_t kLargestFile = size_t{1} << 20;
constexpr FileGuard kPasswordGuard = {S_IRWXO | S_IWGRP, "others than its owner and group",
                                      "0600, or 0640"};

// The configuration so far, and the place of each key.
struct Draft {
  FleetConfig config;
  std::map<std::string_view, Place> places;  // by the key in the table
  FleetComplaints errors;

  void error(const Place& place, std::string message) {
    errors.push_back({Complaint::Severity::kError, place, std::move(message)});
  }
};

struct Value {
  std::string_view key;
  std::string_view text;
  Place place;
};

// Stores a value in the draft; returns what was expected if it is invalid.
using Reader = const char* (*)(FleetConfig& config, std::string_view text);

const char* read_broker(FleetConfig& config, std::string_view text) {
  constexpr const char* kExpected = "HOST, HOST:PORT or [IPv6]:PORT, the port from 1 to 65535";
  std::string_view host = text;
  std::string_view port;
  const bool has_brackets = text.starts_with('[') && text.find(']') != text.npos;
  const size_t colon = has_brackets ? text.find(']') + 1 : text.find(':');
  if (colon < text.size()) {
    if (text[colon] != ':') return kExpected;
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    const auto number = parse_number(port, 65535);
    if (!number || *number == 0) return kExpected;
    config.port = static_cast<uint16_t>(*number);
  }
  if (has_brackets) host = host.substr(1, host.size() - 2);
  if (host.empty() || host.size() > 255 || host.find_first_of(" \t[]/") != host.npos) {
    return kExpected;
  }
  config.host = host;
  return nullptr;
}

template <std::string FleetConfig::*member>
const char* read_name(FleetConfig& config, std::string_view text) {
  if (!is_name(text, kLongestGateway)) return "1 to 64 letters, digits, '.', '_' and '-'";
  config.*member = text;
  return nullptr;
}

template <std::string FleetConfig::*member>
const char* read_text(FleetConfig& config, std::string_view text) {
  config.*member = text;
  return nullptr;
}

template <std::string FleetConfig::*member>
const char* read_path(FleetConfig& config, std::string_view text) {
  if (!text.starts_with('/')) return "the path of a file, from /";
  return read_text<member>(config, text);
}

const char* read_doors(FleetConfig& config, std::string_view text) {
  for (const std::string_view part : split(text, ',')) {
    const std::string_view name = trim(part);
    if (name.empty() || name.size() > kLongestDoor) return "names of doors, a comma list";
    config.doors.emplace(name);
  }
  return nullptr;
}

const char* read_use_syslog(FleetConfig& config, std::string_view text) {
  const bool yes = equals_ignoring_case(text, "yes");
  if (!yes && !equals_ignoring_case(text, "no")) return "yes or no";
  config.use_syslog = yes;
  return nullptr;
}

struct Key {
  std::string_view name;
  Reader read;
};

constexpr std::string_view kPasswordFile = "Password_File";
constexpr std::string_view kUseSyslog = "UseSyslog";

// `password` has the path of its file until that is read.
constexpr Key kKeys[] = {
    {"Broker", read_broker},
    {"TLS_CA", read_path<&FleetConfig::tls_ca>},
    {"TLS_Cert", read_path<&FleetConfig::tls_cert>},
    {"TLS_Key", read_path<&FleetConfig::tls_key>},
    {"User", read_text<&FleetConfig::user>},
    {kPasswordFile, read_path<&FleetConfig::password>},
    {"Fleet", read_name<&FleetConfig::fleet>},
    {"Gateway", read_name<&FleetConfig::gateway>},
    {"Doors", read_doors},
    {"Control", read_path<&FleetConfig::control>},
    {kUseSyslog, read_use_syslog},
    {"LogFile", read_path<&FleetConfig::log_file>},
};

const Key* find_key(std::string_view name) {
  const auto* const found = std::find_if(std::begin(kKeys), std::end(kKeys), [&](const Key& key) {
    return equals_ignoring_case(key.name, name);
  });
  return found == std::end(kKeys) ? nullptr : found;
}

std::string advice_on_key(std::string_view name) {
  std::vector<std::string_view> names;
  std::vector<std::string> all;
  for (const Key& key : kKeys) {
    names.push_back(key.name);
    all.emplace_back(key.name);
  }
  const std::string_view nearest = nearest_word(name, names);
  return "expected " + (nearest.empty() ? join(all, ", ") : std::string(nearest));
}

class Reading {
 public:
  explicit Reading(const std::string& file) : file_(file) {}

  Draft& draft() { return draft_; }

  void read(std::string_view text) {
    if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
    int number = 0;
    for (const std::string_view line : split(text, '\n')) {
      ++number;
      line_ = line;
      const std::string_view content = trim(line);
      place_ = {file_, number, static_cast<int>(content.data() - line.data()) + 1};
      if (content.empty() || content.front() == '#') continue;
      if (content.front() == '[') {
        read_section(content);
      } else {
        read_line(content);
      }
    }
  }

 private:
  void read_section(std::string_view text) {
    const size_t end = find_closing_bracket(text);
    const bool is_options =
        end != text.npos && equals_ignoring_case(trim(text.substr(1, end - 1)), "options");
    if (!is_options) draft_.error(place_, "section " + in_quotes(text) + ": expected [options]");
    has_section_ = true;
  }

  void read_line(std::string_view text) {
    const size_t equals = text.find('=');
    const std::string_view name = without_comment(text.substr(0, equals));
    const Key* const key = find_key(name);
    if (key == nullptr) {
      return draft_.error(place_, "unknown key " + in_quotes(name) + ": " + advice_on_key(name));
    }
    if (!has_section_) {
      return draft_.error(place_,
                          in_quotes(name) + " outside a section: expected [options] before");
    }
    draft_.places[key->name] = place_;
    std::string_view value = equals == text.npos ? "" : without_comment(text.substr(equals + 1));
    if (equals == text.npos && key->name == kUseSyslog) value = "yes";
    if (value.empty()) {
      return draft_.error(place_, std::string(key->name) + ": missing value");
    }
    Place place = place_;
    if (equals != text.npos) place.column = static_cast<int>(value.data() - line_.data()) + 1;
    if (find_control_byte(value) != value.npos) {
      return draft_.error(place,
                          std::string(key->name) + ": a control byte in " + in_quotes(value));
    }
    if (const char* const expected = key->read(draft_.config, value)) {
      draft_.error(place,
                   std::string(key->name) + " " + in_quotes(value) + ": expected " + expected);
    }
  }

  const std::string file_;
  Draft draft_;
  std::string_view line_;
  Place place_;
  bool has_section_ = false;
};

void require(Draft& draft, const Place& file, std::string_view key, const char* what) {
  if (draft.places.contains(key)) return;
  draft.error(file, std::string(key) + " is missing: expected " + what);
}

// Requires one key with another.
void require_both(Draft& draft, std::string_view one, std::string_view other) {
  const auto found = draft.places.find(one);
  if (found == draft.places.end() || draft.places.contains(other)) return;
  draft.error(found->second, std::string(one) + ": expected " + std::string(other) + " beside it");
}

void complete(Draft& draft, const std::string& file, const std::string& host_name) {
  const Place whole{file, 0, 0, true};
  FleetConfig& config = draft.config;
  require(draft, whole, "Broker", "HOST:PORT");
  require(draft, whole, "Doors", "the names of the doors that are shared");
  require_both(draft, "TLS_Cert", "TLS_Key");
  require_both(draft, "TLS_Key", "TLS_Cert");
  require_both(draft, "TLS_Cert", "TLS_CA");
  require_both(draft, kPasswordFile, "User");
  if (config.port == 0) config.port = config.tls_ca.empty() ? kPlainBrokerPort : kTlsBrokerPort;
  if (config.control.empty()) config.control = control_path_of_root();
  if (!config.gateway.empty()) return;
  config.gateway = config.user.empty() ? host_name.substr(0, host_name.find('.')) : config.user;
  if (is_name(config.gateway, kLongestGateway) || draft.places.contains("Gateway")) return;
  draft.error(whole, "Gateway is missing, and " + in_quotes(config.gateway) +
                         " cannot be one: expected 1 to 64 letters, digits, '.', '_' and '-'");
}

Result<FleetConfig, FleetComplaints> result_of(Draft draft, const std::string& file) {
  if (draft.errors.empty()) return std::move(draft.config);
  sort_by_place(draft.errors, {file});
  return std::move(draft.errors);
}

Result<std::string> read_file(const std::string& path, size_t most, const FileGuard& guard = {}) {
  auto text = read_guarded_file(path, most + 1, guard);
  if (text && text->size() > most) {
    return Fault{format("expected a file of at most %zu bytes", most)};
  }
  return text;
}

// The first line.
Result<std::string> read_password(const std::string& path) {
  auto text = read_file(path, kLongestPassword, kPasswordGuard);
  if (!text) return text;
  text->resize(std::min(text->find('\n'), text->size()));
  if (text->ends_with('\r')) text->pop_back();
  const bool has_control = find_control_byte(*text) != std::string::npos;
  if (text->empty() || has_control) {
    return Fault{"expected a password in its first line, without control bytes"};
  }
  return text;
}

void check_file(Draft& draft, std::string_view key, const std::string& path) {
  if (path.empty() || access(path.c_str(), R_OK) == 0) return;
  draft.error(draft.places[key],
              std::string(key) + ": " + printable(path) + " cannot be read: " + strerror(errno));
}

std::string host_name() {
  char name[256] = "";
  gethostname(name, sizeof(name) - 1);
  return name;
}

}  // namespace

Result<FleetConfig, FleetComplaints> parse_fleet_config(std::string_view text,
                                                        const std::string& file,
                                                        const std::string& host_name) {
  Reading reading(file);
  reading.read(text);
  complete(reading.draft(), file, host_name);
  return result_of(std::move(reading.draft()), file);
}

Result<FleetConfig, FleetComplaints> load_fleet_config(const std::string& file) {
  const auto text = read_file(file, kLargestFile);
  if (!text) {
    return FleetComplaints{{Complaint::Severity::kError, Place{file, 0, 0}, text.error().text}};
  }
  Reading reading(file);
  reading.read(*text);
  Draft& draft = reading.draft();
  complete(draft, file, host_name());
  FleetConfig& config = draft.config;
  check_file(draft, "TLS_CA", config.tls_ca);
  check_file(draft, "TLS_Cert", config.tls_cert);
  check_file(draft, "TLS_Key", config.tls_key);
  if (!config.password.empty()) {
    auto password = read_password(config.password);
    if (!password) {
      draft.error(draft.places[kPasswordFile], std::string(kPasswordFile) + ": " +
                                                   printable(config.password) + ": " +
                                                   password.error().text);
    } else {
      config.password = std::move(*password);
    }
  }
  return result_of(std::move(draft), file);
}

}  // namespace knockd
