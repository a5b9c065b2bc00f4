// SPDX-License-Identifier: MIT
// The kernel's ruleset as `nft -t list ruleset` prints it, as far as -t needs it: sets, and chains
// that drop packets accepted by knockd's own table. Not a full parser of nft's language: unknown
// words narrow a rule.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "knockd/knock/admission.h"
#include "knockd/knock/sequence.h"

namespace knockd {

class Ruleset {
 public:
  struct Set {
    std::string type;  // empty: unknown, given by `typeof`
    bool has_timeout = false;
    bool is_plain = true;  // without intervals, not constant
  };

  explicit Ruleset(std::string_view listed);

  // Nothing if the set does not exist.
  std::optional<Set> find(const SetName& name) const;
  // The base chains, as "inet filter input", that drop new connections to the port of this host, or
  // of the host to which it is forwarded. A rule anywhere in a chain's table that accepts the port
  // is assumed to match first.
  std::vector<std::string> chains_that_drop(const Knock& port) const;

 private:
  using Words = std::vector<std::string>;
  struct Chain {
    std::string table;  // with its family
    std::string name;
    std::string hook;  // of a base chain of type filter; else empty
    bool drops_by_policy = false;
    std::vector<Words> rules;
  };
  struct NamedSet {
    std::string name;  // with family and table
    Set set;
  };

  void take_line(std::string_view line);
  bool drops(const Chain& chain, int most_steps) const;
  bool accepts(const std::string& table, const Knock& port) const;
  // The port to which it is forwarded.
  std::optional<Knock> forwarded(const Knock& port) const;

  std::string table_;
  std::vector<Chain> chains_;
  std::vector<NamedSet> sets_;
  enum class In : uint8_t { kTable, kChain, kSet, kOther } in_ = In::kTable;
};

}  // namespace knockd
