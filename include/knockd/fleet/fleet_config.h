// SPDX-License-Identifier: MIT
// What /etc/knockd-fleet.conf says: the broker, by what it is trusted and who we are there, which
// doors are shared, and where the daemon is asked. Lines and comments are those of knockd.conf.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "knockd/base/result.h"
#include "knockd/config/complaint.h"

namespace knockd {

inline constexpr char kDefaultFleetConfig[] = KNOCKD_SYSCONFDIR "/knockd-fleet.conf";
inline constexpr uint16_t kPlainBrokerPort = 1883;
inline constexpr uint16_t kTlsBrokerPort = 8883;

struct FleetConfig {
  std::string host;      // of Broker; required
  uint16_t port = 0;     // of Broker, or 8883 with TLS_CA and 1883 without
  std::string tls_ca;    // file of certificates; empty: no TLS
  std::string tls_cert;  // ours, and its key; empty: the broker asks for none
  std::string tls_key;
  std::string user;             // empty: the broker asks for none
  std::string password;         // of Password_File, its first line
  std::string fleet = "fleet";  // of all its gateways alike
  std::string gateway;          // ours alone; default: User, else this host's name up to a '.'
  std::set<std::string> doors;  // that are shared; required
  std::string control;          // the daemon's socket; default: /run/knockd/control
  bool use_syslog = false;
  std::string log_file;  // without this and UseSyslog: standard error
};

// What is wrong in it, in the order of the lines.
using FleetComplaints = std::vector<Complaint>;

// The text of `file`. `host_name` stands in for a missing Gateway. Pure; files that it names are
// read by load_fleet_config().
Result<FleetConfig, FleetComplaints> parse_fleet_config(std::string_view text,
                                                        const std::string& file,
                                                        const std::string& host_name);

// The file and what it names: the password, and whether the others can be read.
Result<FleetConfig, FleetComplaints> load_fleet_config(const std::string& file);

}  // namespace knockd
