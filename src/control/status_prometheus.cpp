// SPDX-License-Identifier: MIT
#include <string_view>

#include "knockd/base/text.h"
#include "knockd/control/json.h"
#include "knockd/control/status_report.h"

namespace knockd {
namespace {

// Escapes a label's value (the text format's page, under "Comments, help text, and type
// information"). Names that are not UTF-8 must stay different, also from names that look like their
// escaped form: a scraper refuses everything if two are the same.
std::string escaped(std::string_view value) {
  const std::string clean = clean_utf8(value);
  std::string text;
  const bool is_plain = clean == value && value.find("\\x") == value.npos;
  for (const char c : is_plain ? clean : printable(value)) {
    if (c == '\n') {
      text += "\\n";
      continue;
    }
    if (c == '"' || c == '\\') text += '\\';
    text += c;
  }
  return text;
}

class Metrics {
 public:
  void begin(const char* name, const char* type, const char* help) {
    name_ = name;
    text_ += format("# HELP knockd_%s %s\n# TYPE knockd_%s %s\n", name, help, name, type);
  }
  void sample(std::string_view labels, const std::string& value) {
    text_ += "knockd_";
    text_ += name_;
    if (!labels.empty()) text_ += '{' + std::string(labels) + '}';
    text_ += ' ' + value + '\n';
  }
  void one(const char* name, const char* help, const std::string& value) {
    begin(name, "gauge", help);
    sample("", value);
  }
  std::string take() { return std::move(text_); }

 private:
  const char* name_ = "";
  std::string text_;
};

struct DoorMetric {
  const char* name;
  const char* help;
  uint64_t DoorTotals::*total;
};

constexpr DoorMetric kDoorMetrics[] = {
    {"attempts_begun_total", "First knocks of an attempt.", &DoorTotals::begun},
    {"openings_total", "Openings.", &DoorTotals::opened},
    {"attempts_timed_out_total", "Attempts that took too long.", &DoorTotals::timed_out},
    {"attempts_wrong_total", "Attempts ended by a wrong knock.", &DoorTotals::wrong},
    {"attempts_discarded_total", "Attempts discarded because their source scans ports.",
     &DoorTotals::discarded},
    {"knocks_refused_total", "Complete knocks refused for lack of room.", &DoorTotals::refused},
    {"commands_failed_total", "Commands that failed.", &DoorTotals::commands_failed},
};

void write_doors(Metrics& metrics, const StatusReport& report) {
  const auto label = [](const DoorReport& door) { return "door=\"" + escaped(door.name) + '"'; };
  for (const DoorMetric& metric : kDoorMetrics) {
    metrics.begin(metric.name, "counter", metric.help);
    for (const DoorReport& door : report.doors) {
      metrics.sample(label(door), std::to_string(door.totals.*metric.total));
    }
  }
  metrics.begin("open", "gauge", "Openings that are open now.");
  for (const DoorReport& door : report.doors) {
    metrics.sample(label(door), std::to_string(door.open));
  }
}

void write_interfaces(Metrics& metrics, const StatusReport& report, const char* name,
                      const char* type, const char* help,
                      uint64_t (*value)(const InterfaceReport&)) {
  metrics.begin(name, type, help);
  for (const InterfaceReport& interface : report.interfaces) {
    metrics.sample("interface=\"" + escaped(interface.name) + '"',
                   std::to_string(value(interface)));
  }
}

}  // namespace

std::string to_prometheus(const StatusReport& report) {
  Metrics metrics;
  metrics.begin("info", "gauge", "The version.");
  metrics.sample("version=\"" + escaped(report.version) + '"', "1");
  metrics.one("start_time_seconds", "When it started, in seconds since 1970.",
              seconds_text(report.time - report.uptime));
  metrics.one("config_read_time_seconds", "When the configuration was read.",
              seconds_text(report.config_read));
  metrics.one("config_changed", "Whether the file has changed since.",
              report.config_changed ? "1" : "0");
  metrics.one("clock_kept", "Whether somebody keeps the clock right.",
              report.clock_is_kept ? "1" : "0");
  metrics.one("commands_running", "Commands that run.", std::to_string(report.commands_running));
  metrics.one("commands_waiting", "Commands that wait for their turn.",
              std::to_string(report.commands_waiting));
  write_doors(metrics, report);
  using Interface = InterfaceReport;
  write_interfaces(metrics, report, "listening", "gauge", "Whether the interface is listened to.",
                   [](const Interface& one) -> uint64_t { return one.waits_because.empty(); });
  write_interfaces(metrics, report, "filter_in_kernel", "gauge",
                   "Whether the kernel took the filter.", [](const Interface& one) -> uint64_t {
                     return one.waits_because.empty() && one.filter_in_kernel;
                   });
  write_interfaces(metrics, report, "packets_total", "counter", "Packets that were looked at.",
                   [](const Interface& one) { return one.packets; });
  write_interfaces(metrics, report, "packets_lost_total", "counter",
                   "Packets that were lost because there was no room.",
                   [](const Interface& one) { return one.lost; });
  write_interfaces(metrics, report, "sources", "gauge", "Sources that are remembered.",
                   [](const Interface& one) -> uint64_t { return one.sources; });
  return metrics.take();
}

}  // namespace knockd
