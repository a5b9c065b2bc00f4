// SPDX-License-Identifier: MIT
#include "knockd/knock/shut_table.h"

#include <string_view>

#include "knockd/base/text.h"
#include "knockd/knock/nft_name.h"

namespace knockd {
namespace {

constexpr std::string_view kTable = "table inet ";
constexpr char kKey[] = "meta l4proto . th dport";

std::string port_element(const Knock& port) {
  return format("%s . %u", protocol_name(port.protocol), port.port);
}

// A set that never changes.
std::string fixed_set(const char* name, const char* type,
                      const std::vector<std::string>& elements) {
  const std::string content =
      elements.empty() ? "" : " elements = { " + join(elements, ", ") + " };";
  return format("  set %s { type %s;%s }\n", name, type, content.c_str());
}

// A set of admitted sources, and the rule that accepts them.
void append_open_set(std::string& sets, std::string& rules, bool is_v4, uint8_t prefix,
                     uint32_t most) {
  const std::string name = own_set_name(is_v4, prefix);
  sets += format("  set %s { type %s . inet_proto . inet_service; size %u; flags timeout; }\n",
                 name.c_str(), is_v4 ? "ipv4_addr" : "ipv6_addr", most);
  std::string source = is_v4 ? "ip saddr" : "ip6 saddr";
  if (prefix != 128) {
    IpAddress::Bytes ones;
    ones.fill(0xff);
    const std::string mask =
        is_v4 ? network_of(IpAddress::from_v4(std::array<uint8_t, 4>{255, 255, 255, 255}), prefix)
                    .to_string()
              : network_of(IpAddress(ones), prefix).to_string();
    source += " & " + mask;
  }
  rules += format("    %s . %s @%s return\n", source.c_str(), kKey, name.c_str());
}

}  // namespace

std::string to_nft(const ShutTable& table) {
  std::vector<std::string> interfaces;
  for (const std::string& name : table.interfaces) interfaces.push_back('"' + name + '"');
  std::vector<std::string> shut;
  std::vector<std::string> kept;
  for (const ShutPort& port : table.ports) {
    shut.push_back(port_element(port.port));
    if (port.keep_established) kept.push_back(shut.back());
  }
  std::string sets = fixed_set("shut", "inet_proto . inet_service", shut) +
                     fixed_set("kept", "inet_proto . inet_service", kept);
  std::string rules;
  if (interfaces.empty()) {
    rules += "    iifname \"lo\" return\n";
  } else {
    sets += fixed_set("interfaces", "ifname", interfaces);
    rules += "    iifname != @interfaces return\n";
  }
  rules += format("    %s != @shut return\n", kKey);
  rules += "    fib daddr type unicast return\n";
  for (const uint8_t prefix : table.prefixes_v4) {
    append_open_set(sets, rules, true, prefix, table.most_elements);
  }
  for (const uint8_t prefix : table.prefixes_v6) {
    append_open_set(sets, rules, false, prefix, table.most_elements);
  }
  // conntrack may not know a session that is older than the table, when the client sends first: for
  // tcp the flags decide. Protocols without connections depend on conntrack alone.
  rules += format("    meta l4proto tcp %s @kept tcp flags & (syn | ack) != syn return\n", kKey);
  for (const ShutPort& port : table.ports) {
    if (port.port.protocol != Protocol::kUdp || !port.keep_established) continue;
    rules += format("    meta l4proto udp %s @kept ct state established return\n", kKey);
    break;
  }
  // Matches the ports again: packets without a port, such as later fragments, reach this rule.
  rules += format("    %s @shut drop\n", kKey);
  return to_nft_removal(table.name) + "table inet " + table.name + " {\n" + sets + "  chain " +
         kShutChain + " {\n    type filter hook prerouting priority mangle + 1; policy accept;\n" +
         rules + "  }\n}\n";
}

std::string table_name_in(std::string_view ruleset) {
  const std::string_view line = ruleset.substr(0, ruleset.find('\n'));
  if (!line.starts_with(kTable)) return {};
  const std::string_view name = line.substr(kTable.size());
  return is_nft_name(name) ? std::string(name) : std::string();
}

std::string to_nft_removal(const std::string& name) {
  return std::string(kTable) + name + "\ndelete table inet " + name + "\n";
}

}  // namespace knockd
