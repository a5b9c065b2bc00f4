// SPDX-License-Identifier: MIT
// The status for people: a table, and the lines of SIGUSR1.
#include <time.h>

#include <algorithm>

#include "knockd/base/text.h"
#include "knockd/control/status_report.h"
#include "knockd/knock/event_text.h"

namespace knockd {
namespace {

using std::chrono::duration_cast;
using std::chrono::seconds;

// "3d 04:12:09"
std::string clock_text(Duration duration) {
  const auto total = static_cast<long long>(duration_cast<seconds>(duration).count());
  return format("%lldd %02lld:%02lld:%02lld", total / 86400, total / 3600 % 24, total / 60 % 60,
                total % 60);
}

// "52 min", for inexact times.
std::string rough_text(Duration duration) {
  const auto total = static_cast<long long>(duration_cast<seconds>(duration).count());
  if (total < 120) return format("%lld s", total);
  if (total < 7200) return format("%lld min", total / 60);
  if (total < 172800) return format("%lld h", total / 3600);
  return format("%lld days", total / 86400);
}

std::string time_text(WallTime time) {
  const auto count = static_cast<time_t>(duration_cast<seconds>(time).count());
  tm parts{};
  localtime_r(&count, &parts);
  char text[32];
  strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &parts);
  return text;
}

std::string numbers_text(const InterfaceReport& interface) {
  return format("%s, %llu lost, %s", counted(interface.packets, "packet").c_str(),
                static_cast<unsigned long long>(interface.lost),
                counted(interface.sources, "source").c_str());
}

// Rows of cells, the columns as wide as their widest cell.
class Table {
 public:
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  std::string text() const {
    std::vector<size_t> widths;
    for (const auto& row : rows_) {
      widths.resize(std::max(widths.size(), row.size()));
      for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    std::string text;
    for (const auto& row : rows_) {
      text += "  ";
      for (size_t i = 0; i < row.size(); ++i) {
        text += row[i];
        if (i + 1 < row.size()) text += std::string(widths[i] - row[i].size() + 2, ' ');
      }
      text += '\n';
    }
    return text;
  }

 private:
  std::vector<std::vector<std::string>> rows_;
};

std::string doors_text(const StatusReport& report) {
  Table table;
  table.add({"door", "open", "begun", "opened", "too slow", "wrong", "scans", "refused",
             "commands failed"});
  for (const DoorReport& door : report.doors) {
    const DoorTotals& totals = door.totals;
    std::vector<std::string> row{printable(door.name)};
    for (const uint64_t number :
         {door.open, totals.begun, totals.opened, totals.timed_out, totals.wrong, totals.discarded,
          totals.refused, totals.commands_failed}) {
      row.push_back(std::to_string(number));
    }
    table.add(std::move(row));
  }
  return table.text();
}

std::string users_text(const StatusReport& report) {
  std::string text;
  for (const DoorReport& door : report.doors) {
    if (door.users.empty()) continue;
    text += "users of " + printable(door.name) + ": " + join(door.users, ", ") + '\n';
  }
  return text;
}

std::string openings_text(const StatusReport& report) {
  Table table;
  for (const OpeningReport& opening : report.openings) {
    table.add({printable(opening.door), opening.network,
               opening.since ? "since " + time_text(*opening.since) : "since an earlier run",
               rough_text(opening.left) + " left",
               opening.interface + (opening.user.empty() ? "" : "  by " + opening.user) +
                   (opening.fleet.empty() ? "" : "  gateway " + opening.fleet)});
  }
  return table.text();
}

std::string attempts_text(const StatusReport& report) {
  Table table;
  for (const FailedAttempt& attempt : report.attempts) {
    table.add({time_text(attempt.time), attempt.source.to_string(), printable(attempt.door),
               format("after knock %u", attempt.stage), reason_text(attempt)});
  }
  return table.text();
}

std::string interface_text(const InterfaceReport& interface) {
  // Most reasons name the interface.
  if (interface.waits_because.starts_with("interface ")) return interface.waits_because + '\n';
  std::string text = "interface " + printable(interface.name) + ": ";
  if (!interface.waits_because.empty()) return text + interface.waits_because + '\n';
  text += interface.link_type + ", " + addresses_text(interface.addresses) + "; ";
  text += interface.filter_in_kernel ? "" : "the kernel refused the filter; ";
  text += numbers_text(interface);
  if (interface.age >= seconds(1)) text += " (" + rough_text(interface.age) + " ago)";
  return text + '\n';
}

std::string head_text(const StatusReport& report) {
  return "knockd " + report.version + format(", pid %d, up ", report.pid) +
         clock_text(report.uptime) + "\nconfiguration " + printable(report.config_file) +
         ", read " + time_text(report.config_read) +
         (report.config_changed ? "; the file has changed since, it is read on SIGHUP" : "") +
         "\nclock " + (report.clock_is_kept ? "in sync" : "not in sync") + "\n" +
         format("commands: %llu running, %llu waiting; at most %u sources an interface\n",
                static_cast<unsigned long long>(report.commands_running),
                static_cast<unsigned long long>(report.commands_waiting), report.max_sources);
}

}  // namespace

std::string to_table(const StatusReport& report) {
  std::string text = head_text(report);
  for (const InterfaceReport& interface : report.interfaces) text += interface_text(interface);
  text += report.doors.empty() ? "\nno doors\n" : "\n" + doors_text(report);
  text += users_text(report);
  text += report.openings.empty()
              ? "\nnobody is in\n"
              : format("\nopen, %zu:\n", report.openings.size()) + openings_text(report);
  if (report.attempts.empty()) return text;
  return text + "\nattempts that opened nothing, the last at the end:\n" + attempts_text(report);
}

std::vector<std::string> to_log_lines(const StatusReport& report) {
  std::vector<std::string> lines;
  lines.push_back(format("status: up %s; %s, %zu open; %s running, %llu waiting",
                         clock_text(report.uptime).c_str(),
                         counted(report.doors.size(), "door").c_str(), report.openings.size(),
                         counted(report.commands_running, "command").c_str(),
                         static_cast<unsigned long long>(report.commands_waiting)));
  for (const InterfaceReport& interface : report.interfaces) {
    const std::string head = "status: " + interface.name;
    lines.push_back(interface.waits_because.empty()
                        ? head + ": listening on " + addresses_text(interface.addresses) + "; " +
                              numbers_text(interface)
                        : head + ": waiting for it");
  }
  return lines;
}

}  // namespace knockd
