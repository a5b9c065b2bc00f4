// SPDX-License-Identifier: MIT
#include "knockd/lint/iptables_rule.h"

#include <algorithm>
#include <string_view>

#include "knockd/base/text.h"

namespace knockd {
namespace {

bool is_iptables(std::string_view tool) {
  return tool.starts_with("iptables") || tool.starts_with("ip6tables");
}

// Reads the words after the program's name.
class Reader {
 public:
  explicit Reader(const Words& words) : words_(words) {}

  std::optional<IptablesRule> read(std::string_view tool, size_t first) {
    rule_.tool = tool;
    for (at_ = first; at_ < words_.size(); ++at_) read_option(words_[at_]);
    if (rule_.chain.empty()) return std::nullopt;
    return std::move(rule_);
  }

 private:
  std::string value() { return at_ + 1 < words_.size() ? words_[++at_] : std::string(); }
  bool number_follows() const {
    return at_ + 1 < words_.size() && parse_number(words_[at_ + 1], 1u << 31);
  }

  void read_option(std::string_view option) {
    if (is_one_of(option, "-A --append -I --insert")) {
      rule_.appended = is_one_of(option, "-A --append");
      rule_.chain = value();
      if (!rule_.appended && number_follows()) value();
    } else if (is_one_of(option, "-t --table")) {
      rule_.table = value();
    } else if (is_one_of(option, "-j --jump")) {
      rule_.target = value();
    } else if (is_one_of(option, "-w --wait")) {
      if (number_follows()) value();
    } else if (is_one_of(option, "-m --match --comment --reject-with")) {
      value();  // does not narrow the rule by itself
    } else if (option != "--syn") {
      read_match(option);
    }
  }

  // Reads which packets match. `! OPTION` and unknown options make the rule narrow.
  void read_match(std::string_view option) {
    if (is_one_of(option, "-p --protocol --proto")) {
      rule_.protocol = value();
      if (is_one_of(rule_.protocol, "all 0")) rule_.protocol.clear();
    } else if (is_one_of(option, "--dport --destination-port")) {
      rule_.port = value();
    } else if (is_one_of(option, "-i --in-interface")) {
      rule_.interface = value();
    } else if (is_one_of(option, "--state --ctstate")) {
      const std::string states = value();
      const auto parts = split(states, ',');
      rule_.narrow |= std::find(parts.begin(), parts.end(), "NEW") == parts.end();
    } else if (option == "--tcp-flags") {  // as -S shows --syn
      const std::string mask = value();
      rule_.narrow |= mask != "FIN,SYN,RST,ACK" || value() != "SYN";
    } else if (is_one_of(option, "-s --source -d --destination")) {
      rule_.narrow |= !is_one_of(value(), "0.0.0.0/0 ::/0");
    } else {
      rule_.narrow = true;
    }
  }

  const Words& words_;
  size_t at_ = 0;
  IptablesRule rule_;
};

bool may_meet(const std::string& one, const std::string& other) {
  return one.empty() || other.empty() || one == other;
}

}  // namespace

std::optional<IptablesRule> iptables_rule_of(const Words& words) {
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string tool = words[i].substr(words[i].rfind('/') + 1);
    if (is_iptables(tool)) return Reader(words).read(tool, i + 1);
  }
  return std::nullopt;
}

bool shuts_out(const IptablesRule& rule, const IptablesRule& wanted) {
  return is_one_of(rule.target, "DROP REJECT") && !rule.narrow && rule.tool == wanted.tool &&
         rule.table == wanted.table && rule.chain == wanted.chain &&
         may_meet(rule.protocol, wanted.protocol) && may_meet(rule.port, wanted.port) &&
         may_meet(rule.interface, wanted.interface);
}

}  // namespace knockd
