// SPDX-License-Identifier: MIT
#include "knockd/app/shut.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "knockd/base/text.h"
#include "knockd/config/parser.h"
#include "knockd/keeper/interface_monitor.h"
#include "knockd/keeper/nft_program.h"
#include "knockd/keeper/shut_ports.h"
#include "knockd/knock/event_text.h"

namespace knockd {
namespace {

std::vector<std::string> named(const CommandLine& line, const Config& config) {
  return line.interfaces.empty() ? config.interfaces : line.interfaces;
}

bool is_of_link_alone(const IpAddress& address) {
  const auto in = [&](const char* network, uint8_t prefix) {
    return network_of(address, prefix) == IpAddress::parse(network);
  };
  return in("127.0.0.0", kMappedBits + 8) || in("169.254.0.0", kMappedBits + 16) ||
         in("::1", 128) || in("fe80::", 10);
}

int fail(const std::string& why) {
  std::fprintf(stderr, "knockd: %s\n", why.c_str());
  return 1;
}

// Loads the last table that the kernel accepted, for a faulty configuration.
int shut_as_before(const Config& config) {
  const KeptTable kept(kept_table_file(config));
  const std::string ruleset = kept.ruleset();
  const std::string name = table_name_in(ruleset);
  if (name.empty()) return fail("no port is shut: the configuration is faulty");
  EventLoop loop;
  Log log;
  ShutPorts ports(loop, log, name);
  if (const std::string fault = ports.take(); !fault.empty()) {
    return fail(fault + ", nothing was changed");
  }
  const std::string fault = run_nft(ruleset);
  if (!fault.empty()) return fail("no port is shut: " + fault);
  auto sets = NftSets::create();
  if (!sets || !sets->list({TableFamily::kInet, name, "shut"})) {
    return fail("no port is shut: nft has not made the table " + name);
  }
  return fail("the configuration is faulty: ports are shut as they were last, by " + kept.path());
}

int unshut_table(const Config& config, const std::string& table) {
  auto sets = NftSets::create();
  if (!sets) return fail(sets.error().text);
  const auto shut = sets->list({TableFamily::kInet, table, "shut"});
  if (!shut && shut.error() == ENOENT) return 0;
  if (!shut) return fail("table " + table + " cannot be read: " + strerror(shut.error()));
  EventLoop loop;
  Log log;
  ShutPorts ports(loop, log, table);
  // A running daemon would only recreate it.
  if (const std::string fault = ports.take(); !fault.empty()) {
    return fail(fault + ", nothing was changed");
  }
  ports.keep_in(kept_table_file(config));
  if (const std::string fault = ports.remove(); !fault.empty()) {
    return fail("table " + table + " is not removed: " + fault);
  }
  for (const NftSets::Found& port : *shut) {
    const auto knock = port_of_key(port.key);
    if (knock) std::printf("%s\n", no_longer_shut_text(*knock).c_str());
  }
  return 0;
}

}  // namespace

int shut_ports(const CommandLine& line) {
  const auto loaded = load_config(line.config_file);
  const Config& config = loaded ? *loaded : loaded.error().read;
  if (!loaded) {
    for (const Complaint& complaint : loaded.error().complaints) {
      std::fprintf(stderr, "%s\n", complaint.to_string().c_str());
    }
  }
  // If no interface is named: at all except loopback, until the daemon knows its own.
  InterfaceMonitor monitor;
  if (const Status begun = monitor.begin(); !begun) {
    return fail("no port is shut: " + begun.error().text);
  }
  const ShutTable table =
      shut_table_of(config, monitor.entrances(named(line, config)), !line.only_v4);
  if (table.ports.empty()) {
    if (!loaded) return shut_as_before(config);
    std::printf("no door has Open in knockd's own table: no port is to be shut\n");
    return 0;
  }
  EventLoop loop;
  Log log;
  std::vector<std::unique_ptr<LogSink>> sinks;
  sinks.push_back(make_descriptor_sink(STDERR_FILENO, LogLevel::kNotice, "knockd: "));
  log.set_sinks(std::move(sinks));
  ShutPorts ports(loop, log, table.name);
  if (const std::string fault = ports.take(); !fault.empty()) {
    return fail(fault + ", nothing was changed");
  }
  if (loaded) ports.keep_in(kept_table_file(config));
  return ports.shut(table) && loaded ? 0 : 1;
}

int unshut_ports(const CommandLine& line) {
  const auto loaded = load_config(line.config_file);
  const Config& config = loaded ? *loaded : loaded.error().read;
  const std::string kept = KeptTable(kept_table_file(config)).name();
  int status = unshut_table(config, config.table);
  // The kept name differs if `Table` was changed since, or cannot be read.
  if (!kept.empty() && kept != config.table) status |= unshut_table(config, kept);
  return status;
}

std::vector<std::string> other_entrances(const CommandLine& line, const Config& config) {
  InterfaceMonitor monitor;
  if (!monitor.begin()) return {};
  std::vector<std::string> names = named(line, config);
  if (names.empty() && monitor.find("eth0") != nullptr) names = {"eth0"};
  if (names.empty()) {
    const auto device = default_route_interface();
    if (!device || !*device) return {};
    names = {**device};
  }
  names = monitor.entrances(names);
  if (names.empty()) return {};  // any
  std::vector<std::string> others;
  for (const auto& [index, interface] : monitor.interfaces()) {
    if (std::ranges::find(names, interface.name) != names.end()) continue;
    const auto global = std::ranges::find_if_not(interface.addresses, is_of_link_alone);
    if (global == interface.addresses.end()) continue;
    others.push_back(interface.name + " (" + global->to_string() + ')');
  }
  return others;
}

}  // namespace knockd
