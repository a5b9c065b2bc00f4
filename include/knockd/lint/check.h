// SPDX-License-Identifier: MIT
// The warnings of -t: for usable configurations that are easily guessed, leave a door open or do
// not fit this machine. They never prevent a start.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "knockd/base/clock.h"
#include "knockd/config/complaint.h"
#include "knockd/config/config.h"

namespace knockd {

// The machine's facts that the checks need.
class Surroundings {
 public:
  virtual ~Surroundings() = default;
  // Whether /bin/sh would find it: a path, or a name in PATH.
  virtual bool has_program(const std::string& name) const = 0;
  // The permission bits; nothing if the file does not exist.
  virtual std::optional<unsigned> file_mode(const std::string& path) const = 0;
  virtual bool has_interface(const std::string& name) const = 0;
  virtual bool has_group(const std::string& name) const = 0;
  // The output of `TOOL -S CHAIN`, TOOL being an iptables; empty if this user may not read it or
  // the chain does not exist.
  virtual std::string iptables_chain(const std::string& tool, const std::string& chain) const = 0;
  virtual bool is_clock_in_sync() const = 0;
  // The output of `nft -t list ruleset`; nothing if this user may not read it.
  virtual std::optional<std::string> ruleset() const = 0;
  // The interfaces with an address that other networks may reach, on which knockd would not listen.
  virtual std::vector<std::string> other_entrances() const = 0;
};

// This machine, at the time of each call.
class Machine : public Surroundings {
 public:
  // The caller passes the result of other_entrances(), because lint has no access to interfaces.
  explicit Machine(std::vector<std::string> other_entrances = {})
      : other_entrances_(std::move(other_entrances)) {}

  bool has_program(const std::string& name) const override;
  std::optional<unsigned> file_mode(const std::string& path) const override;
  bool has_interface(const std::string& name) const override;
  bool has_group(const std::string& name) const override;
  std::string iptables_chain(const std::string& tool, const std::string& chain) const override;
  bool is_clock_in_sync() const override { return is_wall_clock_in_sync(); }
  std::optional<std::string> ruleset() const override;
  std::vector<std::string> other_entrances() const override { return other_entrances_; }

 private:
  std::vector<std::string> other_entrances_;
};

// The parser's remarks and every warning of these checks, in the order of the text.
std::vector<Complaint> check(const Config& config, const Surroundings& surroundings);

}  // namespace knockd
