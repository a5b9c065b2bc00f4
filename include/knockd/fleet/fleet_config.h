// SPDX-License-Identifier: MIT
// The configuration of /etc/knockd-fleet.conf: the broker, its certificates and our login there,
// the shared doors, and the daemon's socket. Lines and comments as in knockd.conf.
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
  std::string tls_cert;  // our certificate and key; empty: none needed
  std::string tls_key;
  std::string user;             // empty: none needed
  std::string password;         // of Password_File, its first line
  std::string fleet = "fleet";  // the same for all its gateways
  std::string gateway;          // unique to us; default: User, else this host's name up to a '.'
  std::set<std::string> doors;  // the shared ones; required
  std::string control;          // the daemon's socket; default: /run/knockd/control
  bool use_syslog = false;
  std::string log_file;  // without this and UseSyslog: standard error
};

// The errors in it, in the order of the lines.
using FleetComplaints = std::vector<Complaint>;

// Parses the text of `file`. `host_name` replaces a missing Gateway. Pure; load_fleet_config()
// reads the files that it names.
Result<FleetConfig, FleetComplaints> parse_fleet_config(std::string_view text,
                                                        const std::string& file,
                                                        const std::string& host_name);

// Reads the file and the password that it names, and checks that the other files can be read.
Result<FleetConfig, FleetComplaints> load_fleet_config(const std::string& file);

}  // namespace knockd
